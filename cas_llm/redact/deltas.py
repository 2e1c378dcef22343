"""Secrets that a stream holds in pieces: `sk-` in one delta, the rest in the next.

A stream is a sequence of records: the events of server-sent events, the lines of JSON lines, the
elements of a JSON array. The strings that stand at one place of successive records make up one
field, and a field is searched as one text. What is found is said in spans of the raw text, so that
nothing but the secret's own characters is edited.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import orjson

from cas_llm.redact.literals import Literal, Path, literals, offsets, spell_path
from cas_llm.redact.placeholders import Hit
from cas_llm.redact.shapes import LEADS

Find = Callable[[str], list[Hit]]

_DATA = re.compile(r"(?:\A|(?<=[\r\n]))data: ?([^\r\n]*)")
_FRAME = re.compile(r"(?:\r\n|\n|\r)data: ?")
_LINE = re.compile(r"[^\r\n]+")
_ROOT = ("type", "index", "item_id", "output_index", "content_index", "summary_index")
_WHOLE = frozenset(
    {
        *("id", "object", "model", "type", "role", "name", "status", "obfuscation"),
        *("system_fingerprint", "service_tier", "finish_reason", "created_at", "createTime"),
        *("item_id", "event_id", "call_id", "responseId", "modelVersion"),
    }
)
_RUNS = frozenset({"parts", "content"})  # the elements of these lists are successive text
_REPEATED = 16
_DEEPEST = 100
_SHORTEST = 12  # of fewer characters no format is whole
_LONGEST = 4096


@dataclass(frozen=True)
class Record:
    """One record: `text` is JSON or plain, and starts at `start` of the raw text."""

    number: int
    start: int
    text: str
    value: Any
    name: str = "event"

    @cached_property
    def places(self) -> dict[Path, Literal]:
        """Where each of its strings stands in `text`."""
        return {lit.path: lit for lit in literals(self.text) if lit.role == "string"}

    def where(self, path: Path) -> str:
        """A place in it, as people write it."""
        return f"{self.name} {self.number} {spell_path(path)}" if self.name else spell_path(path)


@dataclass(frozen=True, slots=True)
class Segment:
    """One string of a field: `value` at `path` of `record`; `path` is None for plain text."""

    record: Record
    path: Path | None
    value: str

    def span(self, low: int, high: int) -> tuple[int, int] | None:
        """Where characters *low* to *high* of the value stand in the raw text."""
        if self.path is None:
            return self.record.start + low, self.record.start + high
        literal = self.record.places.get(self.path)
        if literal is None:
            return None
        units = offsets(self.record.text[literal.start : literal.end])
        if len(units) != len(self.value) + 1:  # an earlier member of the same name
            return None
        base = self.record.start + literal.start
        return base + units[low], base + units[high]


def records_of(text: str, form: str) -> list[Record]:
    """The records of *text*, whose *form* is `sse`, `lines` or `json`."""
    if form == "sse":
        return list(_events(text))
    if form == "lines":
        return [
            Record(number, match.start(), match[0], _parsed(match[0]), "line")
            for number, match in enumerate(_LINE.finditer(text))
        ]
    # One document is a sequence of its own where it is an array (Gemini without alt=sse), or where
    # it spells its text again token by token.
    if text.lstrip()[:1] == "[" or '"logprobs"' in text:
        return [Record(0, 0, text, _parsed(text), "")]
    return []


def _events(text: str) -> Iterator[Record]:
    """The data of each event; of an event over several lines, as one text if that is JSON."""
    group: list[re.Match[str]] = []
    number = 0
    for match in [*_DATA.finditer(text), None]:
        if group and (match is None or not _FRAME.fullmatch(text, group[-1].end(), match.start(1))):
            yield from _event(text, group, number)
            number += 1
            group = []
        if match is not None:
            group.append(match)


def _event(text: str, group: list[re.Match[str]], number: int) -> Iterator[Record]:
    start = group[0].start(1)
    whole = _FRAME.sub(lambda frame: " " * len(frame[0]), text[start : group[-1].end()])
    value = _parsed(whole)
    if value is not None:
        yield Record(number, start, whole, value)
        return
    for line in group:
        yield Record(number, line.start(1), line[1], None)


def _parsed(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = orjson.loads(text)
    except ValueError:
        try:  # lone surrogates, NaN, bytes that are no UTF-8
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
    return value if _is_shallow(value) else None


def _is_shallow(value: Any) -> bool:
    """Whether a walk that calls itself may go through *value*: no stream nests its text deeper."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return True
    return False


def fields_of(records: list[Record]) -> list[list[Segment]]:
    """The strings of *records* by field, each in order of appearance."""
    fields: dict[tuple[object, ...], list[Segment]] = {}
    for record in records:
        if record.value is None:
            fields.setdefault(("",), []).append(Segment(record, None, record.text))
            continue
        root = record.value if isinstance(record.value, dict) else {}
        told = tuple(step for step in map(root.get, _ROOT) if isinstance(step, str | int))
        for path, field, value in _strings(record.value, (), told):
            runs = fields.setdefault(field, [])
            if runs and _begins_anew(runs, value):
                # Each value holds the one before it: searched alone, not as a continuation.
                fields[(*field, record.number, len(fields))] = runs
                runs = fields[field] = []
            runs.append(Segment(record, path, value))
    return list(fields.values())


def _begins_anew(runs: list[Segment], value: str) -> bool:
    """Whether *value* spells all that came before anew, and each value before it did, too.

    Deltas that happen to repeat themselves go on: a secret may lie across two of them.
    """
    before = runs[-1].value
    return (
        len(before) >= _REPEATED
        and value.startswith(before)
        and all(b.value.startswith(a.value) for a, b in pairwise(runs))
    )


def _strings(
    value: Any, path: Path, field: tuple[object, ...]
) -> Iterator[tuple[Path, tuple[object, ...], str]]:
    """Each string of *value* that may be a piece of a longer text: its path, its field, itself."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str):
                if inner and name not in _WHOLE:
                    yield (*path, name), (*field, name), inner
            elif inner is not None:
                yield from _strings(inner, (*path, name), (*field, name))
    elif isinstance(value, list):
        run = not path or path[-1] in _RUNS
        for number, inner in enumerate(value):
            told = inner.get("index") if isinstance(inner, dict) else None
            step = told if isinstance(told, int) else "" if run else number
            if isinstance(inner, str):
                yield (*path, number), (*field, step), inner
            elif inner is not None:
                yield from _strings(inner, (*path, number), (*field, step))


def hits_of(fields: list[list[Segment]], find: Find) -> list[tuple[Hit, str]]:
    """The secrets of *fields*, in spans of the raw text, each with the place where it starts."""
    found: list[tuple[Hit, str]] = []
    for segments in fields:
        text = "".join(segment.value for segment in segments)
        ends: list[int] = []
        for segment in segments:
            ends.append((ends[-1] if ends else 0) + len(segment.value))
        hits = find(text)
        if len(segments) > 1:
            hits = _apart(text, hits, [*_alone(segments, ends, find), *_glued(text, ends, find)])
        for hit in hits:
            low, high = hit.spans[0]
            first = bisect_right(ends, low)
            spans = tuple(_spans(segments, ends, first, low, high))
            if spans:
                at = segments[first]
                found.append((Hit(hit.kind, hit.secret, spans), at.record.where(at.path or ())))
    return found


def _apart(text: str, joined: list[Hit], alone: list[Hit]) -> list[Hit]:
    """The hits of *joined* text, and those of pieces *alone* that joining made part of another.

    Of two that overlap the first ends where the second starts, so that all of both is covered.
    """
    kept, starts = list(joined), [hit.start for hit in joined]
    for hit in sorted(alone, key=lambda hit: hit.start):
        low, high = hit.spans[0]
        # Nearly always it is one of those that are known, or part of one.
        held = bisect_right(starts, low) - 1
        if held >= 0 and high <= joined[held].spans[0][1]:
            continue
        before = [other for other in kept if other.start < high and low < other.spans[0][1]]
        if any(other.start <= low and high <= other.spans[0][1] for other in before):
            continue
        for other in before:
            begin, end = other.spans[0]
            if begin < low:
                kept.remove(other)
                kept.append(Hit(other.kind, text[begin:low], ((begin, low),), other.exact))
            elif end <= high:
                kept.remove(other)
            else:
                high = begin
        kept.append(Hit(hit.kind, hit.secret, ((low, high),), hit.exact))
    return sorted(kept, key=lambda hit: hit.start)


def _alone(segments: list[Segment], ends: list[int], find: Find) -> Iterator[Hit]:
    """What a piece that is long enough holds by itself: two in a row look like one when joined."""
    for segment, end in zip(segments, ends, strict=True):
        if len(segment.value) < _SHORTEST:
            continue
        begin = end - len(segment.value)
        for hit in find(segment.value):
            low, high = hit.spans[0]
            yield Hit(hit.kind, hit.secret, ((begin + low, begin + high),), hit.exact)


def _spans(
    segments: list[Segment], ends: list[int], first: int, low: int, high: int
) -> Iterator[tuple[int, int]]:
    for index in range(first, len(segments)):
        begin = ends[index] - len(segments[index].value)
        if begin >= high:
            return
        span = segments[index].span(max(low - begin, 0), min(high, ends[index]) - begin)
        if span is not None:
            yield span


def _glued(text: str, ends: list[int], find: Find) -> Iterator[Hit]:
    """Secrets at the head of a delta that follows a letter: joined, they look like a word's end."""
    for begin in ends[:-1]:
        if not text[begin - 1 : begin].isalnum() or not text.startswith(LEADS, begin):
            continue
        for hit in find(text[begin : begin + _LONGEST])[:1]:
            low, high = hit.spans[0]
            if low == 0:
                yield Hit(hit.kind, hit.secret, ((begin, begin + high),), hit.exact)
