"""The families by name.

Pure. A new family is one module and one line here; a process imports only those it meets.
"""

from __future__ import annotations

import importlib
from functools import lru_cache

from cas_llm.providers.base import Generic, Provider

_CLASSES = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "cohere": "Cohere",
    "bedrock": "Bedrock",
    "python": "Python",
}


@lru_cache(maxsize=64)
def provider_for(family: str) -> Provider:
    """The provider of *family*; one that reads what most APIs share where there is none."""
    if family not in _CLASSES:
        return Generic()
    module = importlib.import_module(f"cas_llm.providers.{family}")
    provider: Provider = getattr(module, _CLASSES[family])()
    return provider
