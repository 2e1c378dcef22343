"""Record every LLM call once, keep the answer in git under its SHA-256, replay it for ever.

Names are imported when first used, so that ``import cas_llm`` costs next to nothing and the
pytest plugin can stay inert.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cas_llm.activation import costs, expect_miss, install, mock, set_mode, uninstall, use
    from cas_llm.client import (
        AsyncAzureOpenAI,
        AsyncOpenAI,
        AzureOpenAI,
        OpenAI,
        get_completion,
        get_completion_async,
        get_structured_completion,
        get_structured_completion_async,
    )
    from cas_llm.errors import CacheMiss, CasLLMError, ConfigError, LiveCallBlocked
    from cas_llm.functions import cached
    from cas_llm.modes import Mode
    from cas_llm.providers.text import text_of
    from cas_llm.store import Store

    __version__: str

_HOME = {
    "AsyncAzureOpenAI": "client",
    "AsyncOpenAI": "client",
    "AzureOpenAI": "client",
    "CacheMiss": "errors",
    "CasLLMError": "errors",
    "ConfigError": "errors",
    "LiveCallBlocked": "errors",
    "Mode": "modes",
    "OpenAI": "client",
    "Store": "store",
    "cached": "functions",
    "costs": "activation",
    "expect_miss": "activation",
    "get_completion": "client",
    "get_completion_async": "client",
    "get_structured_completion": "client",
    "get_structured_completion_async": "client",
    "install": "activation",
    "mock": "activation",
    "set_mode": "activation",
    "text_of": "providers.text",
    "uninstall": "activation",
    "use": "activation",
}

__all__ = [
    "AsyncAzureOpenAI",
    "AsyncOpenAI",
    "AzureOpenAI",
    "CacheMiss",
    "CasLLMError",
    "ConfigError",
    "LiveCallBlocked",
    "Mode",
    "OpenAI",
    "Store",
    "cached",
    "costs",
    "expect_miss",
    "get_completion",
    "get_completion_async",
    "get_structured_completion",
    "get_structured_completion_async",
    "install",
    "mock",
    "set_mode",
    "text_of",
    "uninstall",
    "use",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("cas-llm")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cas_llm.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
