"""What stands for a secret, how the placeholders of a text are numbered, and how they get in.

Numbers count the distinct secrets of one text by first appearance. A placeholder that is there
already keeps its number, and a secret that first appears after it takes a free one, so that a
conversation whose earlier answers were redacted gets the same numbers as it got with the raw ones.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cas_llm.wire import Chunk

PLACEHOLDER = re.compile(r"\[cas-llm:[A-Za-z0-9_.:-]{1,200}:([0-9]{1,6})\]")
_MARK = "[cas-llm:"


@dataclass(frozen=True)
class Finding:
    """A secret was here: its `kind` and the `path` of the place, never the value."""

    kind: str
    path: str

    def __str__(self) -> str:
        return f"{self.kind} at {self.path}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A secret in a text; `spans` has more than one element where the text holds it in pieces."""

    kind: str
    secret: str
    spans: tuple[tuple[int, int], ...]
    exact: bool = True
    """Whether a format was matched, which holds no quotes; not a value or a user's rule."""

    @property
    def start(self) -> int:
        """Where it starts."""
        return self.spans[0][0]


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in the place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


def placeholder_of(kind: str, number: int) -> str:
    """The placeholder of the *number*-th secret, which is of *kind*."""
    return f"[cas-llm:{kind}:{number}]"


def names_of(text: str, hits: Sequence[Hit]) -> dict[str, str]:
    """The placeholder of each distinct secret among *hits*, which are in order of appearance."""
    present = PLACEHOLDER.finditer(text) if _MARK in text else iter(())
    ahead = next(present, None)
    taken: set[int] = set()
    free = 1
    names: dict[str, str] = {}
    for hit in hits:
        while ahead is not None and ahead.start() < hit.start:
            taken.add(int(ahead[1]))
            ahead = next(present, None)
        if hit.secret not in names:
            while free in taken:
                free += 1
            taken.add(free)
            names[hit.secret] = placeholder_of(hit.kind, free)
    return names


def settled(text: str, hits: Iterable[Hit]) -> list[Hit]:
    """The one-piece *hits* in order, overlapping ones as one, without those that are placeholders.

    Of two that start together the longer counts, then the one that was found first.
    """
    ordered = sorted(hits, key=lambda hit: (hit.start, -hit.spans[0][1]))
    present = [m.span() for m in PLACEHOLDER.finditer(text)] if _MARK in text else []
    ends = [end for _, end in present]
    kept: list[Hit] = []
    for hit in ordered:
        start, end = hit.spans[0]
        covered = 0
        index = bisect_right(ends, start)
        while index < len(present) and present[index][0] < end:
            covered += min(end, ends[index]) - max(start, present[index][0])
            index += 1
        if covered and end - start - covered < 8:
            continue
        if kept and start < kept[-1].spans[0][1]:
            first = kept[-1]
            begin, stop = first.spans[0]
            if end > stop:
                whole = (begin, end)
                kept[-1] = Hit(first.kind, text[begin:end], (whole,), first.exact and hit.exact)
            continue
        kept.append(hit)
    return kept


def edits_of(hits: Sequence[Hit], names: dict[str, str]) -> list[Edit]:
    """The edits that put the placeholder where each of *hits* starts and cut the rest out."""
    edits = [
        Edit(start, end, "" if index else names[hit.secret])
        for hit in hits
        for index, (start, end) in enumerate(hit.spans)
    ]
    return sorted(edits, key=lambda edit: edit.start)


def apply(text: str, edits: Sequence[Edit]) -> str:
    """The *text* after *edits*, which are in order and don't overlap."""
    pieces: list[str] = []
    at = 0
    for edit in edits:
        pieces += (text[at : edit.start], edit.text)
        at = edit.end
    return "".join([*pieces, text[at:]])


def recut(chunks: tuple[Chunk, ...], text: str, edits: Sequence[Edit]) -> tuple[Chunk, ...]:
    """The *chunks* of *text* after *edits*: a placeholder belongs to the chunk where it starts.

    A chunk of which nothing is left is dropped; the lengths sum up to the new length.
    """
    if not chunks:
        return chunks
    starts: list[int] = []  # byte offset of each edit, its end, and the growth after it
    ends: list[int] = []
    growth = [0]
    at = here = 0
    for edit in edits:
        here += _size(text[at : edit.start])
        starts.append(here)
        here += _size(text[edit.start : edit.end])
        ends.append(here)
        at = edit.end
        growth.append(growth[-1] + _size(edit.text) - (here - starts[-1]))

    def moved(offset: int) -> int:
        index = bisect_right(starts, offset - 1)  # edits that start before the offset
        inside = index > 0 and offset < ends[index - 1]
        return (ends[index - 1] if inside else offset) + growth[index]

    cut: list[Chunk] = []
    old = new = 0
    for chunk in chunks:
        old += chunk.length
        end = moved(old)
        if end > new or not chunk.length:
            cut.append(Chunk(end - new, chunk.at))
        new = end
    return tuple(cut)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
