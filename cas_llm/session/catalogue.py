"""What a store holds, one value a recording: the list behind `ls`, `stats`, `show` and `rerecord`.

Reads tapes, shared entries, answers and key records; writes nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from cas_llm.errors import StoreError
from cas_llm.session.scopes import SHARED
from cas_llm.store import Store, Tape, crew, layout, pick
from cas_llm.store.files import Writer
from cas_llm.store.objects import Objects
from cas_llm.store.pick import Shared
from cas_llm.store.retaking import current_tapes

LINES = ("ask", "answer")

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Naming:
    """One place that names an answer: a turn of a tape, or a shared entry (`scope` shared)."""

    scope: str
    take: int
    ordinal: int
    position: int = 0
    current: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording: one answer to one request, and who was given it.

    `cost` is None where the price was unknown, `usage` empty where the answer named no tokens.
    """

    key: str
    digest: str
    namings: tuple[Naming, ...]
    api: str = ""
    path: str = ""
    model: str = ""
    namespace: str = ""
    recorded_at: str = ""
    status: int = 0
    cost: float | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    ask: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    @property
    def tests(self) -> tuple[str, ...]:
        """The scopes whose tapes name the answer, each once."""
        return tuple(sorted({n.scope for n in self.namings if n.scope != SHARED}))

    @property
    def take(self) -> int:
        """The highest take that names the answer."""
        return max((naming.take for naming in self.namings), default=0)

    @property
    def current(self) -> bool:
        """Whether a scope's current tape, or the shared take in use, names the answer."""
        return any(naming.current for naming in self.namings)

    @property
    def when(self) -> datetime | None:
        """When the answer was recorded."""
        return parse_time(self.recorded_at)


@dataclass(frozen=True)
class Catalogue:
    """All recordings, oldest first, with the tapes and shared entries that name them.

    `damaged` are answers and tapes that are named or present but cannot be read.
    """

    entries: tuple[Entry, ...]
    tapes: tuple[Tape, ...]
    shared: tuple[Shared, ...]
    damaged: tuple[str, ...] = ()


def catalogue(store: Store, lines: Collection[str] = LINES) -> Catalogue:
    """Everything that *store* names; of the *lines* of each answer only those that are asked for.

    Large stores are read by a process for each core.
    """
    damaged: list[str] = []
    tapes = _tapes(store, damaged)
    shared = tuple(sorted(store.manifest.shared()))
    namings = _namings(tapes, shared)
    entries = []
    words: dict[Any, Any] = {}
    read = partial(_facts, store.root, tuple(lines))
    for batch, found in crew.spread(read, _batches(namings), files=2 * len(namings)):
        for (key, digest), facts in zip(batch, found, strict=True):
            if facts is None:
                damaged.append(digest)
            else:
                places = tuple(namings.pop((key, digest)))
                entries.append(_entry(words, key, digest, places, facts))
    return Catalogue(tuple(sorted(entries, key=_order)), tapes, shared, tuple(damaged))


def latest_tape(tapes: Iterable[Tape]) -> Tape | None:
    """One scope's tape of the highest take: the current one where no source text is known."""
    return min(tapes, key=lambda tape: (-tape.take, tape.digest), default=None)


def parse_time(text: str) -> datetime | None:
    """A recorded time as a value, or None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def age_text(when: datetime | None, now: datetime) -> str:
    """How long ago *when* was, in one unit: ``now``, ``5 min``, ``3 h``, ``12 d``."""
    if when is None:
        return "?"
    minutes = int((now - when).total_seconds() // 60)
    if minutes < 1:
        return "now"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"


def _tapes(store: Store, damaged: list[str]) -> tuple[Tape, ...]:
    found = []
    for path in store.manifest.tape_paths():
        try:
            found.append(store.manifest.load_tape(path))
        except (StoreError, OSError):
            damaged.append(path.relative_to(store.root).as_posix())
    return tuple(sorted(found, key=lambda tape: (tape.scope, tape.take, tape.digest)))


def _namings(
    tapes: Iterable[Tape], shared: Iterable[Shared]
) -> dict[tuple[str, str], list[Naming]]:
    tapes = tuple(tapes)
    in_use = current_tapes(tapes)
    found: dict[tuple[str, str], list[Naming]] = {}
    for tape in tapes:
        counts: dict[str, int] = {}
        for position, turn in enumerate(tape.turns, 1):
            calls = ((turn.key, turn.digest), *turn.within)
            for key, digest in calls:
                counts[key] = counts.get(key, 0) + 1
                naming = Naming(tape.scope, tape.take, counts[key], position, tape.digest in in_use)
                found.setdefault((key, digest), []).append(naming)
    by_key: dict[str, list[Shared]] = {}
    for entry in shared:
        by_key.setdefault(entry.key, []).append(entry)
    for key, entries in by_key.items():
        chosen = pick.from_shared(entries)
        first = chosen.shared if chosen else None
        for entry in entries:
            used = first is not None and (entry.take, entry.run) == (first.take, first.run)
            naming = Naming(SHARED, entry.take, entry.ordinal, current=used)
            found.setdefault((key, entry.digest), []).append(naming)
    return found


def _entry(
    words: dict[Any, Any],
    key: str,
    digest: str,
    namings: tuple[Naming, ...],
    facts: tuple[Any, ...],
) -> Entry:
    api, path, model, namespace, at, status, cost, usage, ask, answer, marks = facts
    return Entry(
        key=key,
        digest=digest,
        namings=namings,
        api=_once(words, api),
        path=_once(words, path),
        model=_once(words, model),
        namespace=_once(words, namespace),
        recorded_at=at,
        status=status,
        cost=cost,
        usage=dict(usage),
        ask=ask,
        answer=answer,
        marks=marks,
    )


def _once(words: dict[Any, Any], word: Any) -> Any:
    """The same object for the same *word*: a million recordings say the same few."""
    try:
        return words.setdefault(word, word)
    except TypeError:  # another tool wrote a list
        return word


def _batches(namings: Iterable[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], ...]]:
    names = iter(tuple(namings))
    while batch := tuple(islice(names, _BATCH)):
        yield batch


def _facts(
    root: Path, lines: tuple[str, ...], batch: Iterable[tuple[str, str]]
) -> list[tuple[Any, ...] | None]:
    """What files say of each key and digest, in the order of `Entry`; None where one is damaged."""
    objects = Objects(root, Writer(root / layout.LOCAL / "tmp"))
    return [_fact(objects, lines, key, digest) for key, digest in batch]


def _fact(
    objects: Objects, lines: tuple[str, ...], key: str, digest: str
) -> tuple[Any, ...] | None:
    try:
        document = orjson.loads(objects.get(digest))
        record = orjson.loads(objects.get_request(key))
        provenance = document["provenance"]
        shown = (tuple(document[name]) if name in lines else () for name in LINES)
        return (
            record["api"],
            record["path"],
            _model(provenance),
            record.get("namespace", ""),
            provenance.get("recorded_at", ""),
            document["status"],
            provenance.get("cost_usd"),
            tuple((provenance.get("usage") or {}).items()),
            *shown,
            tuple(document.get("marks", ())),
        )
    except (StoreError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _model(provenance: Mapping[str, Any]) -> str:
    return str(provenance.get("model") or provenance.get("requested_model") or "")


def _order(entry: Entry) -> tuple[str, str, int, str, str]:
    first = min(entry.namings, key=lambda naming: (naming.scope, naming.take, naming.position))
    return entry.recorded_at, first.scope, first.position, entry.key, entry.digest
