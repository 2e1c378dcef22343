"""The assistant's text out of whatever an SDK or a recording holds.

Pure: responses are read by their shape and by `model_dump`, never by their class, so that no SDK
is imported.
"""

from __future__ import annotations

from typing import Any

from cas_llm.providers.anthropic import Anthropic
from cas_llm.providers.base import Generic
from cas_llm.providers.bedrock import Bedrock
from cas_llm.providers.cohere import Cohere
from cas_llm.providers.gemini import Gemini
from cas_llm.providers.openai import OpenAI
from cas_llm.providers.reading import at, mapping, mappings, string


def text_of(response: Any) -> str:
    """The assistant's text in *response*; empty where it only called tools.

    Takes the answer of chat completions, Responses, Messages, generateContent and Cohere's chat,
    a message of a thread, each as an SDK's object or as a dict, and a string as it is.

    Raises:
        ValueError: *response* is none of these.

    """
    if isinstance(response, str):
        return response
    body = _as_dict(response)
    provider = _provider(body)
    if provider is not None:
        return provider.text(body)
    thread = _thread_message(body)
    if thread is not None:
        return thread
    raise ValueError(
        f"no text in a {type(response).__name__}: pass a chat completion, a response, a message"
        " (an SDK's object or a dict of one) or a string",
    )


def _as_dict(response: Any) -> dict[str, Any]:
    dump = getattr(response, "model_dump", None)
    if not callable(dump):
        return mapping(response)
    try:
        return mapping(dump(warnings=False))
    except TypeError:  # not pydantic's own model_dump
        return mapping(dump())


def _provider(body: dict[str, Any]) -> Generic | None:
    if isinstance(body.get("choices"), list) or isinstance(body.get("output"), list):
        return OpenAI()
    if isinstance(body.get("candidates"), list):
        return Gemini()
    if isinstance(at(body, "message", "content"), list):
        return Cohere()
    if isinstance(at(body, "output", "message"), dict):
        return Bedrock()
    if body.get("type") == "message" and isinstance(body.get("content"), list):
        return Anthropic()
    return None


def _thread_message(body: dict[str, Any]) -> str | None:
    """The text of a thread's message, or of one message of a chat; None for anything else."""
    content = body.get("content")
    if isinstance(content, str) and isinstance(body.get("role"), str):
        return content
    if not isinstance(content, list) or not isinstance(body.get("role"), str):
        return None
    texts = (part.get("text") for part in mappings(content))
    return "".join(string(text) or string(at(text, "value")) for text in texts)
