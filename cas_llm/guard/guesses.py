"""What may be a secret by the looks of it: random letters, and values beside words like password.

detect-secrets' detectors of entropy and keywords, on the strings that people, tools and models
said. What is random by nature is left out: digests, ids, signatures, media. Still most of what is
found is none, so that nothing blocks by it. Imports detect-secrets when it is first asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from cas_llm.redact.literals import spell_path
from cas_llm.redact.placeholders import Finding
from cas_llm.store.answer import parse

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin

# The limits that detect-secrets has by default.
_BASE64_LIMIT, _HEX_LIMIT = 4.5, 3.0

# Members that hold what is random by nature, in any family's requests and answers.
_RANDOM = re.compile(
    r"(?:.*_)?(?:id|ids|fingerprint|signature|sha256|digest|key|etag|nonce|cursor)\Z|"
    r"encrypted_content|thoughtSignature|b64_json|base64|data|embedding|.*Id\Z|audio|bytes|"
    r"image_url|file_data|url|uri|logprobs|obfuscation|created|lengths|at_ms|headers|provenance|k"
)
# Ids of providers, UUIDs, digests and numbers, wherever they are quoted.
_ID = re.compile(
    r"[A-Za-z]{2,12}[-_][A-Za-z0-9_-]{10,}\Z|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z|"
    r"[0-9a-f]{32}\Z|[0-9a-f]{40}\Z|[0-9a-f]{64}\Z|[0-9.]+\Z|sha\d+-"
)
_SPACE = re.compile(r"\s")
_QUOTE = re.compile("[\"'`]")
_PLACEHOLDER = "[cas-llm:"
# Longer ones are media; a key of that length has a format.
_LONGEST = 512
_SHORTEST = 12


def guesses_in(data: bytes) -> Iterator[tuple[Finding, str]]:
    """Each string of *data* that looks like a secret, and the value, which is not for showing.

    The path is the JSON path where *data* is JSON, else the line.
    """
    try:
        document = parse(data)
    except (ValueError, RecursionError):
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            for kind, value in _guessed(line):
                yield Finding(kind, f"line {number}"), value
        return
    for path, text in _strings(document, ()):
        # JSON's own quotation marks count where a string is one word.
        lines = text.splitlines() if _SPACE.search(text) else [f'"{text}"']
        for line in lines:
            for kind, value in _guessed(line):
                yield Finding(kind, spell_path(path)), value


def _strings(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """The strings of a JSON value that somebody said, with their paths."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if not _RANDOM.match(name):
                yield from _strings(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _strings(inner, (*path, number))


def _guessed(line: str) -> Iterator[tuple[str, str]]:
    if len(line) < _SHORTEST or not _QUOTE.search(line):
        return  # all three look for quoted words, and a search costs them much more
    for plugin, limit in _plugins():
        for value in plugin.analyze_string(line):
            if _SHORTEST <= len(value) <= _LONGEST and not _is_known(value):
                entropy = getattr(plugin, "calculate_shannon_entropy", None)
                if entropy is None or entropy(value) > limit:
                    yield plugin.secret_type, value


def _is_known(value: str) -> bool:
    return _PLACEHOLDER in value or bool(_ID.match(value))


@cache
def _plugins() -> tuple[tuple[BasePlugin, float], ...]:
    from detect_secrets.plugins.high_entropy_strings import (
        Base64HighEntropyString,
        HexHighEntropyString,
    )
    from detect_secrets.plugins.keyword import KeywordDetector

    return (
        (Base64HighEntropyString(_BASE64_LIMIT), _BASE64_LIMIT),
        (HexHighEntropyString(_HEX_LIMIT), _HEX_LIMIT),
        (KeywordDetector(), 0.0),
    )
