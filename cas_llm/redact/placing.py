"""Hits placed in the records of a text: which lie in which, their edits, the names of their places.

Pure. Hits and records come in order and don't overlap, so that each is looked at once, however
many there are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from cas_llm.redact.deltas import Record
from cas_llm.redact.literals import paths_at
from cas_llm.redact.placeholders import Edit, Hit, edits_of
from cas_llm.redact.search import safe_edits


def edits_in(
    text: str, records: Sequence[Record], hits: Sequence[Hit], names: dict[str, str]
) -> list[Edit]:
    """The edits for *hits*; those that may hurt JSON are made record by record."""
    loose = [hit for hit in hits if not hit.exact]
    if not records or not loose:
        return safe_edits(text, hits, names)
    edits = edits_of([hit for hit in hits if hit.exact], names)
    free: list[Hit] = []
    for record, inside in _by_record(records, loose):
        if record is None or record.value is None:
            free += inside
            continue
        first = record.start
        moved = [
            Hit(hit.kind, hit.secret, ((low - first, high - first),), hit.exact)
            for hit in inside
            for low, high in hit.spans[:1]
        ]
        edits += [
            Edit(edit.start + first, edit.end + first, edit.text)
            for edit in safe_edits(record.text, moved, names)
        ]
    return sorted([*edits, *edits_of(free, names)], key=lambda edit: edit.start)


def _by_record(
    records: Sequence[Record], hits: Iterable[Hit]
) -> Iterator[tuple[Record | None, list[Hit]]]:
    """The *hits*, which are in order, by the record they lie in; None where they lie in none."""
    starts = [record.start for record in records]

    def holder(hit: Hit) -> int:
        low, high = hit.spans[0]
        index = bisect_right(starts, low) - 1
        return index if index >= 0 and high <= starts[index] + len(records[index].text) else -1

    for index, inside in groupby(hits, holder):
        yield records[index] if index >= 0 else None, list(inside)


def clear_of(taken: Sequence[tuple[int, int]], hits: Iterable[Hit]) -> list[Hit]:
    """Those of *hits* that meet none of *taken*, which are in order and don't overlap."""
    starts = [start for start, _ in taken]
    found = []
    for hit in hits:
        low, high = hit.spans[0]
        before = bisect_left(starts, high)
        if not before or taken[before - 1][1] <= low:
            found.append(hit)
    return found


def places_of(text: str, form: str, records: Sequence[Record], hits: Sequence[Hit]) -> list[str]:
    """Where each of *hits*, which are in order, begins, as people write it."""
    if form == "json":
        return paths_at(text, (hit.start for hit in hits))
    found: list[str] = []
    line = at = 0
    for record, inside in _by_record(records, (_head(hit) for hit in hits)):
        if record is None:
            for hit in inside:
                line += text.count("\n", at, hit.start)
                at = hit.start
                found.append(f"line {line + 1}")
            continue
        here = [hit.start - record.start for hit in inside]
        paths = ["$"] * len(here) if record.value is None else paths_at(record.text, here)
        found += [f"{record.name} {record.number} {path}" for path in paths]
    return found


def _head(hit: Hit) -> Hit:
    """The first character of *hit*: that says where it is, wherever it ends."""
    return Hit(hit.kind, hit.secret, ((hit.start, hit.start + 1),), hit.exact)
