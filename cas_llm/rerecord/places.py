"""Where a recorded API is served, and the credentials it wants: from the environment alone.

Reads variables; knows no SDK. What it cannot know it says, with the variable or option that tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from cas_llm.providers import is_loopback
from cas_llm.providers.hosts import KNOWN_HOSTS
from cas_llm.session import policy
from cas_llm.wire import Headers

_BASES: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "azure": ("AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE"),
    "anthropic": ("ANTHROPIC_BASE_URL",),
    "gemini": ("GOOGLE_GEMINI_BASE_URL",),
    "cohere": ("CO_API_URL",),
    "mistral": ("MISTRAL_BASE_URL",),
    "groq": ("GROQ_BASE_URL",),
    "openrouter": ("OPENROUTER_BASE_URL",),
    "deepseek": ("DEEPSEEK_API_BASE",),
    "cerebras": ("CEREBRAS_BASE_URL",),
    "together": ("TOGETHER_BASE_URL",),
    "bedrock": ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME",),
    "ollama": ("OLLAMA_HOST",),
}
_SIGNED = {"bedrock": "AWS_BEARER_TOKEN_BEDROCK", "vertex": ""}


class NoPlace(Exception):
    """Nobody knows where an API is, or how to be let in; its text says what to set."""


def origin(api: str, environ: Mapping[str, str], hosts: Mapping[str, str], base_url: str) -> str:
    """Scheme and host that serve *api*: what is given, its variable's, the mapped, its own.

    Raises:
        NoPlace: none of these is known.

    """
    family, _, provider = api.partition("@")
    name = provider or family
    variables = _BASES.get(name) or _BASES.get(family if name == "loopback" else "", ())
    named = base_url or next(filter(None, map(environ.get, variables)), "")
    if named:
        return _of(named)
    for host in _mapped(api, hosts):
        scheme = "http" if is_loopback(host.partition(":")[0]) else "https"
        return f"{scheme}://{host}"
    for pattern, known in KNOWN_HOSTS.items():
        if known == name and "*" not in pattern:
            return f"https://{pattern}"
    if "." in provider:
        return f"https://{provider}"
    variable = variables[0] if variables else ""
    how = f"set {variable}, or give --base-url" if variable else "give --base-url"
    raise NoPlace(f"it was recorded from {api}, and nobody says where that is now: {how}")


def credentials(api: str, at: str, environ: Mapping[str, str]) -> Headers:
    """The headers that let a request to *api* in, at the origin *at*.

    Raises:
        NoPlace: the variable with the key is not set, or a request there has to be signed.

    """
    family, _, provider = api.partition("@")
    name = provider or family
    if name in _SIGNED and not environ.get(_SIGNED[name]):
        raise NoPlace(f"requests to {name} are signed by its SDK; run the program that made it")
    variable = policy.key_variable(api)
    key = next(filter(None, map(environ.get, _variables(family, name, variable))), "")
    if key in {"", policy.PLACEHOLDER}:
        if is_loopback(urlsplit(at).hostname or ""):
            return ()
        raise NoPlace(f"{variable} is not set")
    if not (key.isascii() and key.isprintable()):
        raise NoPlace(f"{variable} holds a line break, or a character that no header can")
    if name == "azure":
        return (("api-key", key),)
    if name == "anthropic":
        return (("x-api-key", key),)
    if name == "gemini" and family == "gemini":
        return (("x-goog-api-key", key),)
    more = (("openai-organization", "OPENAI_ORG_ID"), ("openai-project", "OPENAI_PROJECT_ID"))
    told = [(header, environ[one]) for header, one in more if name == "openai" and environ.get(one)]
    return (("authorization", f"Bearer {key}"), *told)


def _variables(family: str, name: str, variable: str) -> tuple[str, ...]:
    more = {"gemini": ("GOOGLE_API_KEY",), "azure": ("AZURE_API_KEY",)}.get(name, ())
    return (variable, *more) if name != "loopback" else (f"{family.upper()}_API_KEY",)


def _mapped(api: str, hosts: Mapping[str, str]) -> Iterator[str]:
    return (host for host, named in hosts.items() if named == api)


def _of(url: str) -> str:
    parts = urlsplit(url if "//" in url else f"http://{url}")
    return f"{parts.scheme}://{parts.netloc}"
