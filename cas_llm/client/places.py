"""Where a model is served: base URL and key variable by the name before the first slash."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cas_llm.providers import identify
from cas_llm.session import policy
from cas_llm.wire import Request

DEFAULT_MODEL = "gpt-4o-mini"

_OPENAI = "https://api.openai.com/v1"
_BASES = {
    "openai": (_OPENAI, "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_BASE_URL", "OPENROUTER_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "", "GROQ_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "", "MISTRAL_API_KEY"),
    "gemini": (
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "",
        "GEMINI_API_KEY",
    ),
}
_OLLAMA = "http://127.0.0.1:11434"


@dataclass(frozen=True)
class Place:
    """A model and its server; `key_variable` is empty where no key is needed."""

    name: str
    model: str
    base_url: str
    key_variable: str

    @property
    def key(self) -> str:
        """The API key, or the placeholder that replays and never leaves the process."""
        return os.environ.get(self.key_variable) or policy.PLACEHOLDER if self.key_variable else "-"

    @property
    def api(self) -> str:
        """The API's name in keys and price tables."""
        return identify(Request("POST", f"{self.base_url}/chat/completions")).name


def place_of(model: str | None) -> Place:
    """The place of *model*: ``provider/name``, or a name alone for OpenAI.

    The providers are openai, openrouter, groq, mistral, gemini and ollama; any other name before
    a slash is a vendor at OpenRouter.
    """
    name = model or DEFAULT_MODEL
    prefix, slash, rest = name.partition("/")
    if not slash:
        return _known("openai", name)
    if prefix == "ollama":
        return Place("ollama", rest, _ollama(), "")
    if prefix == "openrouter" and "/" not in rest:
        # OpenRouter's own models (openrouter/auto) bear its name.
        return _known("openrouter", name)
    if prefix in _BASES:
        return _known(prefix, rest)
    return _known("openrouter", name)


def _known(provider: str, model: str) -> Place:
    base, variable, key_variable = _BASES[provider]
    url = (os.environ.get(variable) if variable else "") or base
    return Place(provider, model, url.rstrip("/"), key_variable)


def _ollama() -> str:
    host = os.environ.get("OLLAMA_HOST") or _OLLAMA
    address = host if "//" in host else f"http://{host}"
    return f"{address.rstrip('/')}/v1"
