"""What differs between two key records, in words and paths a person can act on.

Pure, and imported only on a miss. Parts are resolved, so that a changed line in a long prompt is a
changed line here; JSON inside strings (tool results, tool arguments) is compared inside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cas_llm.digest import digest_of
from cas_llm.keys.canonical import canonical
from cas_llm.keys.normalise import TIME, UUID
from cas_llm.keys.parts import restore
from cas_llm.keys.paths import inner, member

Kind = Literal["changed", "added", "removed"]

_BODIES = ("body", "multipart", "form", "bytes")
_INDEX = re.compile(r"\[\d+\]")
_WORD = re.compile(r"\w")
_LONGEST_WORD = 24  # past this it is no word but an id or base64, and may be cut
_EPOCH = 10**9, 10**11
VOLATILE: Final = (
    ("uuid", UUID),
    ("time", TIME),
    ("path", re.compile(r"(?<![\w/])(?:/(?:[\w.+~-]+/)+[\w.+~-]*|[A-Za-z]:\\[\w.\\+~-]+)")),
    ("port", re.compile(r"(?<=localhost:)\d+|(?<=127\.0\.0\.1:)\d+|(?<=\[::1\]:)\d+")),
    ("counter", re.compile(r"(?:(?<![\w.])(?:[A-Za-z]+[-_#])?|(?<=[-_#/]))\d+(?!\w|\.\d)")),
)
"""What changes by itself in a text: kinds and their patterns, to be looked for in this order."""


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = _Absent()
"""Stands for the side of a `Difference` on which there is no value."""


@dataclass(frozen=True)
class Difference:
    """One place where two requests differ.

    `kind` is ``changed``, ``added`` (only in the new one) or ``removed``. `volatile` guesses what
    makes such a value change by itself: ``time``, ``uuid``, ``counter``, ``path``, ``port``,
    ``order``; empty where nothing does.
    """

    path: str
    old: Any
    new: Any
    kind: Kind
    volatile: str = ""


def compare(
    old: Mapping[str, Any], new: Mapping[str, Any], load_part: Callable[[str], bytes | None]
) -> tuple[Difference, ...]:
    """Everything in which two loaded key records differ, the body last.

    Paths into a JSON body start with ``$``; elsewhere with the member's name. *load_part* gives
    the bytes of a part, or None where it is gone: then digests are compared.
    """
    found: list[Difference] = []
    for name in sorted({*old, *new} - set(_BODIES)):
        found += _values(name, old.get(name, ABSENT), new.get(name, ABSENT))
    for name in _BODIES:
        if name in old or name in new:
            before, after = (_body(record, name, load_part) for record in (old, new))
            found += _values("$" if name == "body" else name, before, after)
    return tuple(found)


def _body(record: Mapping[str, Any], name: str, load: Callable[[str], bytes | None]) -> Any:
    if name not in record:
        return ABSENT
    value = restore(record[name], load)
    return [_field(item, load) for item in value] if name == "multipart" else value


def _field(field: dict[str, Any], load: Callable[[str], bytes | None]) -> dict[str, Any]:
    """A multipart field with its text in place of the digest, where it is text."""
    data = load(field["digest"]) if "digest" in field else None
    try:
        text = None if data is None else data.decode()
    except UnicodeDecodeError:
        text = None
    if text is None:
        return field
    rest = {name: value for name, value in field.items() if name not in {"digest", "length"}}
    return {**rest, "value": text}


def _values(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if old is ABSENT or new is ABSENT:
        if old is not new:
            yield Difference(path, old, new, "added" if old is ABSENT else "removed")
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(n for n in new if n not in old)]:
            yield from _values(member(path, name), old.get(name, ABSENT), new.get(name, ABSENT))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _lists(path, old, new)
    elif isinstance(old, str) and isinstance(new, str):
        if old != new:
            yield from _texts(path, old, new)
    elif canonical(old) != canonical(new):
        yield Difference(path, old, new, "changed", _volatile_number(old, new))


def _texts(path: str, old: str, new: str) -> Iterator[Difference]:
    before, after = inner(old), inner(new)
    if before is not None and type(before) is type(after):
        inside = tuple(_values(path, before, after))
        if inside:
            yield from inside
            return
    yield Difference(path, old, new, "changed", _volatile_text(old, new))


def _lists(path: str, old: list[Any], new: list[Any]) -> Iterator[Difference]:
    before, after = [canonical(item) for item in old], [canonical(item) for item in new]
    if before == after:
        return
    if sorted(before) == sorted(after):
        yield Difference(path, old, new, "changed", "order")
        return
    shortest = min(len(old), len(new))
    head = _while_equal(before, after, shortest)
    tail = _while_equal(before[::-1], after[::-1], shortest - head)
    if len(old) == len(new):
        tail = 0
    middle = max(shortest - head - tail, 0)
    for index in range(head, head + middle):
        yield from _values(f"{path}[{index}]", old[index], new[index])
    for index in range(head + middle, len(old) - tail):
        yield Difference(f"{path}[{index}]", old[index], ABSENT, "removed")
    for index in range(head + middle, len(new) - tail):
        yield Difference(f"{path}[{index}]", ABSENT, new[index], "added")


def _while_equal(old: list[bytes], new: list[bytes], limit: int) -> int:
    return next((i for i in range(limit) if old[i] != new[i]), limit)


def _volatile_text(old: str, new: str) -> str:
    for name, pattern in VOLATILE:
        if pattern.sub("\0", old) == pattern.sub("\0", new):
            return name
    return ""


def _volatile_number(old: Any, new: Any) -> str:
    numbers = [v for v in (old, new) if isinstance(v, int | float) and not isinstance(v, bool)]
    for divisor in (1, 1000):  # seconds, milliseconds
        first, last = (limit * divisor for limit in _EPOCH)
        if len(numbers) == 2 and all(first <= n < last for n in numbers):
            return "time"
    return ""


def cause(difference: Difference) -> str:
    """A text that is equal for differences with one cause: what changed, not where in the list.

    Indexes are generalised, what the two texts share is left out, and of a volatile value only
    its kind counts.
    """
    place = _INDEX.sub("[*]", difference.path)
    if difference.volatile:
        return f"{place} {difference.kind} {difference.volatile}"
    old, new = difference.old, difference.new
    if isinstance(old, str) and isinstance(new, str):
        start, end = _shared(old, new)
        old, new = old[start : len(old) - end], new[start : len(new) - end]
    sides = "\0".join("" if side is ABSENT else _json(side) for side in (old, new))
    return f"{place} {difference.kind} {digest_of(sides.encode())[:16]}"


def short(value: Any, limit: int = 60) -> str:
    """*value* in at most *limit* characters of one line; strings without their quotes."""
    text = _line(value)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def shorten_pair(old: Any, new: Any, limit: int = 60) -> tuple[str, str]:
    """Both values in at most *limit* characters each, cut to show where they part.

    What they share stays as one or two words of context.
    """
    before, after = _line(old), _line(new)
    if max(len(before), len(after)) <= limit:
        return before, after
    start, end = _shared(before, after)
    room = max(limit // 3, 1)
    left = _word_before(before, start, room)
    right = min(end, room)
    return tuple(  # type: ignore[return-value]
        _window(text, left, len(text) - end + right, limit) for text in (before, after)
    )


def _window(text: str, left: int, right: int, limit: int) -> str:
    head = "…" if left > 0 else ""
    right = max(right, left)
    if right - left + len(head) + (right < len(text)) > limit:
        right = left + limit - len(head) - 1
    return head + text[left:right] + ("…" if right < len(text) else "")


def _word_before(text: str, at: int, room: int) -> int:
    """Where to begin in order to show up to *room* characters before *at*, at a word's start."""
    if at <= room:
        return 0
    gap = text.find(" ", at - room, at - 1)
    return at - room if gap < 0 else gap + 1


def _shared(old: str, new: str) -> tuple[int, int]:
    """How many characters two texts share at their start and end, whole words only."""
    start = _back_to_word(old, new, _prefix(old, new))
    rest_old, rest_new = old[start:][::-1], new[start:][::-1]
    return start, _back_to_word(rest_old, rest_new, _prefix(rest_old, rest_new))


def _prefix(old: str, new: str) -> int:
    """The length of what two texts share at their start, by halving: prompts can be long."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _back_to_word(old: str, new: str, at: int) -> int:
    if all(at == len(text) or not _WORD.match(text[at]) for text in (old, new)):
        return at
    for begin in range(at, max(at - _LONGEST_WORD, 0) - 1, -1):
        if begin == 0 or not _WORD.match(old[begin - 1]):
            return begin
    return at


def _line(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is ABSENT else _json(value)
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
