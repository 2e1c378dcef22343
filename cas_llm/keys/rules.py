"""What may be set about keys, and the lists that the key version fixes.

Pure: values only. Everything in this module except `Rules` is part of ``cas-llm/key/1``; a change
to it changes keys and is a new version.
"""

from __future__ import annotations

from dataclasses import dataclass

KEY_VERSION = "cas-llm/key/1"
"""The first member of every key record."""

REDACT_VERSION = 1
"""What a key record carries as ``redacted`` when a secret was replaced in it."""

LONG_BYTES = 2048
"""A string of more UTF-8 bytes is a part, and so is a longer list of tools."""

LONG_LINES = 5
"""A string with more newlines is a part."""

MEDIA_CHARS = 64
"""Base64 below this length stays in the record, where it takes less room than its digest."""

MAX_DEPTH = 200
"""A body nested deeper is keyed by its bytes: parsers differ in how deep they go."""

HEADERS = frozenset({"anthropic-version", "anthropic-beta", "openai-beta", "api-version"})
"""Headers that change what a provider answers; all others are left out."""

LIST_HEADERS = frozenset({"anthropic-beta", "openai-beta"})
"""Headers that hold a set of flags, in any order."""

_CREDENTIALS = frozenset({"key", "api_key", "api-key", "access_token", "token", "sig", "signature"})
_SIGNED_PREFIXES = ("x-amz-", "x-goog-")


def is_credential(name: str) -> bool:
    """Whether the query parameter *name* says who asks, not what is asked."""
    name = name.lower()
    return name in _CREDENTIALS or name.startswith(_SIGNED_PREFIXES)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a project sets about its keys.

    `normalise` names normalisers, applied in this order (see `cas_llm.keys.normalise`);
    `namespace` separates recordings that must not serve each other.
    """

    normalise: tuple[str, ...] = ()
    namespace: str = ""


PLAIN = Rules()
"""No normaliser, no namespace."""
