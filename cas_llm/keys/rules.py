"""What may be set about keys, and the lists that the key version fixes.

Pure: values only. Everything in this module except `Rules` is part of ``cas-llm/key/1``; a change
to it changes keys and is a new version.
"""

from __future__ import annotations

import re
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

HEADERS = frozenset(
    {
        "anthropic-version",
        "anthropic-beta",
        "openai-beta",
        "api-version",
        "range",
        "x-amzn-bedrock-guardrailidentifier",
        "x-amzn-bedrock-guardrailversion",
        "x-amzn-bedrock-performanceconfig-latency",
        "x-portkey-provider",
        "x-portkey-config",
    }
)
"""Headers that change what a provider answers; all others are left out."""

LIST_HEADERS = frozenset({"anthropic-beta", "openai-beta"})
"""Headers that hold a set of flags, in any order."""

_WORD = re.compile(r"[A-Z]*[a-z0-9]+|[A-Z0-9]+")
# fmt: off
_CREDENTIALS = frozenset(
    {
        "key", "apikey", "accesskey", "subscriptionkey", "token", "accesstoken",
        "authtoken", "secret", "clientsecret", "auth", "sig", "signature", "password",
        "passwd",
    }
)
_SIGNED_PREFIXES = ("x-amz-", "x-goog-")
# `pageToken` and `sort_key` say what is asked; left out, page 2 would get the answer of page 1.
_SELECTING = frozenset(
    {
        "page", "next", "previous", "prev", "continuation", "continue", "start", "end",
        "sync", "skip", "cursor", "marker", "delta", "last", "sort", "order", "group",
        "partition", "primary", "cache", "row", "range", "field", "object",
    }
)
# fmt: on
_CODES = frozenset({("code",), ("auth", "code"), ("authorization", "code"), ("access", "code")})


def is_credential(name: str) -> bool:
    """Whether the query parameter *name* says who asks, not what is asked.

    Its last word decides; words end at capitals and at what is no letter or digit.
    """
    if name.lower().startswith(_SIGNED_PREFIXES):
        return True
    words = tuple(word.lower() for word in _WORD.findall(name))
    if words in _CODES:
        return True
    return bool(words) and words[-1] in _CREDENTIALS and not _SELECTING.intersection(words[:-1])


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
