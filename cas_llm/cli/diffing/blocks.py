"""One change in full: who was served it, what differs in the answer, what it took to get it.

Part of the command line; prints nothing. Changes with the same two answers are one block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from cas_llm.cli.diffing.page import said
from cas_llm.drift.changes import Change
from cas_llm.drift.classes import VALUE, differing
from cas_llm.drift.said import Said
from cas_llm.drift.wording import Row, row, rows
from cas_llm.keys import short
from cas_llm.keys.explain import ABSENT
from cas_llm.prices import money
from cas_llm.session.causes import plural

_MOST_ROWS = 60
_LONGEST = 2000
_ASK = 90
_NAMES = 5


@dataclass(frozen=True)
class Block:
    """A change in full: the scopes it is in, a `note`, what was asked, rows, and what it took."""

    names: tuple[str, ...]
    note: tuple[str, ...]
    ask: str
    rows: tuple[Row, ...]
    facts: tuple[str, ...]

    @property
    def listed(self) -> tuple[str, ...]:
        """The first of the names, and how many more there are."""
        more = len(self.names) - _NAMES
        return (*self.names[:_NAMES], *([f"and {more:,} more"] if more > 0 else ()))


def blocks(changes: Iterable[Change]) -> Iterator[Block]:
    """*changes*, each pair of answers once, in their order."""
    groups: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.old[1], change.new[1]), []).append(change)
    for group in groups.values():
        first = group[0]
        names = tuple(dict.fromkeys(change.name for change in group))
        asked = short(" ".join(" ".join(first.ask).split()), _ASK)
        yield Block(names, _note(first), asked, tuple(_cut(_rows(first))), _facts(first))


def _note(change: Change) -> tuple[str, ...]:
    parts = [f"turn {change.turn} of {change.turns}"] if change.turns > 1 else []
    parts += [
        ", ".join(map(said, change.kinds)) if change.old[1] and change.new[1] else change.drift
    ]
    if change.before and change.after and change.before.words and change.after.words:
        parts.append(f"{change.likeness:.0%} of the words alike")
    if change.differences or change.follows:
        parts.append("request changed" if change.differences else "follows an earlier answer")
    return tuple(parts)


def _rows(change: Change) -> Iterator[Row]:
    old, new = change.before, change.after
    if old is None or new is None:
        sign, one = ("+", new) if new else ("-", old)
        yield from _alone(sign, one) if one else [row(" ", "cannot be read: cas-llm verify")]
        return
    yield from _calls(old, new)
    differ = differing(old, new)
    for place in differ:
        for sign, value in (("-", place.old), ("+", place.new)):
            if value is not ABSENT:
                yield row(sign, f"{place.path}  {short(value, _LONGEST)}")
    if not differ:
        yield from rows(old.words, new.words)
    yield from rows(old.refusal, new.refusal)
    if VALUE in change.kinds and not differ:
        yield row(" ", "the bytes of the answer differ, which holds no text")


def _alone(sign: str, one: Said) -> Iterator[Row]:
    yield from (row(sign, str(call)) for call in one.calls)
    for line in (one.words + "\n" + one.refusal).splitlines():
        if line.strip():
            yield row(sign, line)


def _calls(old: Said, new: Said) -> Iterator[Row]:
    before, after = ([call.identity for call in side.calls] for side in (old, new))
    if before == after:
        return
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, i, i2, j, j2 in matcher.get_opcodes():
        if tag == "equal":
            yield from (row(" ", str(call)) for call in old.calls[i:i2])
            continue
        yield from (row("-", str(call)) for call in old.calls[i:i2])
        yield from (row("+", str(call)) for call in new.calls[j:j2])


def _cut(found: Iterable[Row]) -> Iterator[Row]:
    every = list(found)
    for one in every[:_MOST_ROWS]:
        yield one if len(one.text) <= _LONGEST else row(one.sign, short(one.text, _LONGEST))
    if len(every) > _MOST_ROWS:
        yield row(" ", f"… {plural(len(every) - _MOST_ROWS, 'more row')}: --format=json has all")


def _facts(change: Change) -> tuple[str, ...]:
    """What differs beside the words: status, model, end, tokens, cost, time."""
    old, new = change.before, change.after
    if old is None or new is None:
        one = new or old
        return tuple(filter(None, _each(one))) if one else ()
    if None in (old.latency_ms, new.latency_ms):
        # An imported answer has no time: that another one has is no change.
        old, new = replace(old, latency_ms=None), replace(new, latency_ms=None)
    pairs = zip(_each(old), _each(new), strict=True)
    return tuple(_moved(a, b) for a, b in pairs if a != b)


def _each(one: Said) -> Sequence[str]:
    tokens = f"{one.usage[0]:,}+{one.usage[1]:,} tokens" if one.usage else ""
    return (
        f"status {one.status}" if one.status != 200 else "",
        one.model,
        f"ended by {one.finish}" if one.finish else "",
        tokens,
        money(one.cost) if one.cost is not None else "",
        f"{one.latency_ms / 1000:.1f} s" if one.latency_ms is not None else "",
        ", ".join(one.marks),
    )


def _moved(old: str, new: str) -> str:
    if not (old and new):
        return f"now {new}" if new else f"no longer {old}"
    return f"{old} -> {new}"
