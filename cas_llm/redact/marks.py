"""One expression for many marks; pure, and knows none of them."""

from __future__ import annotations

import re
from collections.abc import Iterable


def any_of(words: Iterable[str]) -> str:
    """The source of an expression that matches where one of *words* begins: the shortest there."""
    tails: dict[str, list[str]] = {}
    for word in words:
        if not word:
            return ""
        tails.setdefault(word[0], []).append(word[1:])
    branches = [re.escape(head) + any_of(rest) for head, rest in sorted(tails.items())]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def may_begin(word: str, found: str) -> bool:
    """Whether *word* may begin at *found*, or inside it, where only *found* was told."""
    return any(
        word.startswith(found[start:]) or found[start:].startswith(word)
        for start in range(len(found))
    )
