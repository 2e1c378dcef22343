"""Drop-in clients and one-call completions: recorded and replayed wherever they are used.

Everything is imported when first used: openai takes a second to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cas_llm.client.completions import get_completion, get_structured_completion
    from cas_llm.client.completions_async import (
        get_completion_async,
        get_structured_completion_async,
    )
    from cas_llm.client.costs import CostTracker
    from cas_llm.client.messages import assistant, system, user
    from cas_llm.client.openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

_HOME = {
    "AsyncAzureOpenAI": "openai",
    "AsyncOpenAI": "openai",
    "AzureOpenAI": "openai",
    "CostTracker": "costs",
    "OpenAI": "openai",
    "assistant": "messages",
    "get_completion": "completions",
    "get_completion_async": "completions_async",
    "get_structured_completion": "completions",
    "get_structured_completion_async": "completions_async",
    "system": "messages",
    "user": "messages",
}

__all__ = [
    "AsyncAzureOpenAI",
    "AsyncOpenAI",
    "AzureOpenAI",
    "CostTracker",
    "OpenAI",
    "assistant",
    "get_completion",
    "get_completion_async",
    "get_structured_completion",
    "get_structured_completion_async",
    "system",
    "user",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
