"""Which API a request speaks to, and whether it is an LLM's at all.

Pure. The name is part of the key, so it follows from the address and the body alone: the user
agent, the SDK and its version never change it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cas_llm.providers.hosts import TELEMETRY, provider_of_host
from cas_llm.providers.reading import parse
from cas_llm.providers.shapes import family_of_call, family_of_path
from cas_llm.wire import Request

_FAMILY_OF_PROVIDER = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "vertex": "gemini",
    "cohere": "cohere",
    "bedrock": "bedrock",
}
_DEFAULT_PORT = {"http": 80, "https": 443}

_SDK_AGENTS = re.compile(
    r"(?:^|\s)(?:"
    r"(?:Async)?(?:Azure|Bedrock)?OpenAI/"
    r"|(?:Async)?Anthropic(?:Bedrock\w*|Vertex|Foundry\w*|AWS)?/"
    r"|(?:Async)?(?:Groq|Cerebras|Together|Fireworks|SambaNova|Perplexity|OpenRouter)/"
    r"|google-genai-sdk/|google-generativeai"
    r"|mistral-client|mistralai|cohere/|litellm/|ollama-python/"
    r"|voyageai|openrouter|langchain-google|pydantic-ai/|Agents/Python|ai-sdk/|ai/\d"
    r"|speakeasy-sdk/\w+\s.*(?:mistralai|openrouter)"
    r")",
    re.IGNORECASE,
)
_FERN_SDKS = {"cohere"}


@dataclass(frozen=True, slots=True)
class Api:
    """The API of a request.

    `name` goes into the key: the family alone on its own hosts (``openai``), with the provider on
    another's (``openai@azure``), with ``loopback`` or the host where the host is unknown.
    `known` says that the host is a provider's, by the table or by the user's map.
    """

    name: str
    family: str
    known: bool


PYTHON = Api("python", "python", known=True)
"""The API of a function's calls; no address has it."""


def identify(request: Request, hosts: Mapping[str, str] = {}) -> Api:
    """The API that *request* speaks to.

    *hosts* maps ``host`` or ``host:port`` to a name and goes before everything else. Never
    fails: what nothing is known about has the family ``http``.
    """
    try:
        host = request.host.rstrip(".")
        path = request.path
        port = request.port or _DEFAULT_PORT.get(request.parts.scheme)
    except ValueError:  # a URL that can't be taken apart
        return Api("http", "http", known=False)
    mapped = hosts.get(f"{host}:{port}") or hosts.get(host)
    if mapped:
        return Api(mapped, mapped.partition("@")[0], known=True)
    provider = provider_of_host(host)
    own = _FAMILY_OF_PROVIDER.get(provider, "openai")
    if provider:
        family = _family_at_provider(provider, own, path, request.body)
        # a provider named as its family is the family itself; vertex is a second home of gemini
        return Api(family if family == provider else f"{family}@{provider}", family, known=True)
    family = _guess(request, path)
    place = "loopback" if is_loopback(host) else host
    return Api(f"{family}@{place}" if place else family, family, known=False)


def looks_like_llm(request: Request) -> bool:
    """Whether *request* is an LLM's by what it carries, whatever its host.

    True for the user agent of an LLM's SDK, and for a POST whose JSON body has the shape that
    its path asks for; never for the path alone.
    """
    if _SDK_AGENTS.search(request.header("user-agent")):
        return True
    if request.header("x-fern-sdk-name") in _FERN_SDKS:
        return True
    if _SDK_AGENTS.search(request.header("x-goog-api-client")):
        return True
    if request.method.upper() != "POST":
        return False
    try:
        path = request.path
    except ValueError:
        return False
    # routes first: most POSTs of an application end here, before their body is parsed
    return bool(family_of_path(path)) and bool(family_of_call(path, parse(request.body)))


def is_telemetry(request: Request) -> bool:
    """Whether *request* only tells its provider about the program: no model is asked anything."""
    try:
        return request.path == TELEMETRY.get(request.host)
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether *host* names this machine: localhost, 127.0.0.0/8, ::1, or any address."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _family_at_provider(provider: str, own: str, path: str, body: bytes) -> str:
    """The family at a known provider: its own unless the path is plainly another's."""
    if "/openai/" in path or path.endswith("/chat/completions"):
        return "openai"
    if "/anthropic/" in path or path.endswith((":rawPredict", ":streamRawPredict")):
        return "anthropic"
    if own != "openai" or provider == "openai":
        return own
    called = family_of_path(path)
    if called in {"", "openai", "bedrock"}:
        return "openai"
    return family_of_call(path, parse(body)) or "openai"


def _guess(request: Request, path: str) -> str:
    """The family at an unknown host: a JSON body must fit its path, other bodies can't tell."""
    guess = family_of_path(path)
    if not guess:
        return "http"
    body = parse(request.body) if request.body else None
    if isinstance(body, dict):
        return family_of_call(path, body) or "http"
    if guess == "openai" and request.header("anthropic-version"):
        return "anthropic"
    return guess
