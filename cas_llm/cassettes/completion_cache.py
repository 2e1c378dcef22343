"""The one-file JSON cache of completions: `version`, `metadata`, and `entries` by hash.

An entry holds the arguments of a completion and either the provider's whole answer (with its
`cost`) or its content alone. The request is written out as the chat completion it stood for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cas_llm.cassettes.exchange import ODD, BadCassette, Exchange, mapping

COMPLETION_CACHE = "completion cache"
_OPENAI = "https://api.openai.com/v1/chat/completions"
_OPENROUTER = "https://openrouter.ai/api/v1/chat/completions"
_JSON = (("content-type", "application/json"),)
_OWN = frozenset({"user_prompt", "system_prompt", "additional_params", "messages", "model"})


def read(document: Any) -> tuple[str, tuple[Exchange, ...]] | None:
    """The dialect and the calls of *document*, None where it is nothing of this kind.

    Raises:
        BadCassette: an entry lacks what every entry has.

    """
    entries = document.get("entries") if isinstance(document, Mapping) else None
    if not isinstance(entries, Mapping) or not {"version", "metadata"} <= document.keys():
        return None
    if not all(isinstance(one, Mapping) and "response" in one for one in entries.values()):
        return None
    return COMPLETION_CACHE, tuple(_exchange(str(key), one) for key, one in entries.items())


def _exchange(key: str, entry: Mapping[str, Any]) -> Exchange:
    try:
        request = mapping(entry.get("request", {}), "request")
        response = dict(mapping(entry["response"], "response"))
        model = str(request["model"])
        # As its own client chose: a slash names OpenRouter, unless the word before it is OpenAI.
        own = "/" not in model or model.startswith("openai/")
        body = {**_arguments(request), "model": model.removeprefix("openai/") if own else model}
        when = _moment(response.get("timestamp") or response.get("created"))
        answer = _whole(key, response, body["model"])
        return Exchange(
            method="POST",
            url=_OPENAI if own else _OPENROUTER,
            headers=_JSON,
            body=json.dumps(body).encode() if body["messages"] else None,
            answer_headers=_JSON,
            answer=json.dumps(answer, ensure_ascii=False).encode(),
            recorded_at=when,
        )
    except ODD as error:
        raise BadCassette(f"its entry {key[:12]} cannot be read ({error!r})") from error


def _arguments(request: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in request.items() if name not in _OWN}
    messages = request.get("messages")
    if messages is None:
        said = [("system", request.get("system_prompt")), ("user", request.get("user_prompt"))]
        messages = [{"role": role, "content": text} for role, text in said if text]
    return {"messages": messages, **rest, **(request.get("additional_params") or {})}


def _whole(key: str, response: dict[str, Any], model: str) -> dict[str, Any]:
    """The provider's answer: as it was kept, or around the content that was."""
    if "choices" in response:
        return {name: value for name, value in response.items() if name != "cost"}
    message = {"role": "assistant", "content": response["content"]}
    return {
        "id": f"chatcmpl-{key[:24]}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": response.get("usage"),
    }


def _moment(value: Any) -> str:
    try:
        if isinstance(value, (int, float)):
            when = datetime.fromtimestamp(value, UTC)
        else:
            when = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return ""
    return when.replace(tzinfo=when.tzinfo or UTC).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
