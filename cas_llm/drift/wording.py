"""Which sentences and words of two texts differ, and how much they have in common.

Pure. Rows are what a diff shows: what is left out on both sides, what came and what went, with the
changed words marked where so few changed that marking them helps.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

Span = tuple[str, bool]
"""A piece of a row, and whether it is what changed."""

ELISION = "…"

_SENTENCE = re.compile(r"(?<=[.!?。])\s+")
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")
# Past these a diff costs more than it tells.
_MOST_PIECES = 2000
_MOST_TOKENS = 400
# Below this ratio two sentences have only small words in common, and marking them is noise.
_RELATED = 0.4


@dataclass(frozen=True)
class Row:
    """One row of a diff: `sign` is ``-``, ``+`` or a space for what stayed."""

    sign: str
    spans: tuple[Span, ...]

    @property
    def text(self) -> str:
        """The row without its marks."""
        return "".join(text for text, _ in self.spans)


def row(sign: str, text: str) -> Row:
    """A row that is changed as a whole, or not at all."""
    return Row(sign, ((text, False),))


def similarity(old: str, new: str) -> float:
    """The share of the shorter text's words that the other one has too, from 0 to 1.

    A summary in the same words is wholly alike; the order of words does not count.
    """
    before, after = (Counter(_WORD.findall(text.casefold())) for text in (old, new))
    shortest = min(before.total(), after.total())
    if not shortest:
        return float(not before.total() and not after.total())
    return (before & after).total() / shortest


def rows(old: str, new: str) -> tuple[Row, ...]:
    """What differs, sentence by sentence; an ellipsis stands for what both have in common."""
    before, after = _pieces(old), _pieces(new)
    found: list[Row] = []
    for tag, i, i2, j, j2 in _steps(before, after):
        if tag != "equal":
            found += _replaced(before[i:i2], after[j:j2])
        elif not found or found[-1].text != ELISION:
            found.append(row(" ", ELISION))
    return tuple(found) if any(one.sign != " " for one in found) else ()


def parting(old: str, new: str) -> tuple[str, str]:
    """The sentences of each text that the other one lacks, joined."""
    found = rows(old, new)
    sides = (" ".join(one.text for one in found if one.sign == sign) for sign in "-+")
    before, after = sides
    return before, after


def _pieces(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [piece for line in lines if line for piece in _SENTENCE.split(line)]


def _steps(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, int, int, int, int]]:
    if max(len(before), len(after)) > _MOST_PIECES:
        yield ("equal" if before == after else "replace"), 0, len(before), 0, len(after)
        return
    yield from SequenceMatcher(None, before, after, autojunk=False).get_opcodes()


def _replaced(before: Sequence[str], after: Sequence[str]) -> list[Row]:
    if len(before) != len(after):
        return [*(row("-", text) for text in before), *(row("+", text) for text in after)]
    found: list[Row] = []
    for old, new in zip(before, after, strict=True):
        found += _marked(old, new)
    return found


def _marked(old: str, new: str) -> list[Row]:
    """Both sentences, the words that differ marked."""
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    if max(len(before), len(after)) > _MOST_TOKENS:
        return [row("-", old), row("+", new)]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < _RELATED:
        return [row("-", old), row("+", new)]
    sides: tuple[list[Span], list[Span]] = ([], [])
    for tag, i, i2, j, j2 in matcher.get_opcodes():
        for side, text in zip(sides, (before[i:i2], after[j:j2]), strict=True):
            if text:
                side.append(("".join(text), tag != "equal"))
    return [Row("-", tuple(sides[0])), Row("+", tuple(sides[1]))]
