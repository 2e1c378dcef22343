"""What a store holds, one value a recording: the list behind `ls`, `stats` and `show`.

Reads tapes, shared entries, answers and key records; writes nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from cas_llm.errors import StoreError
from cas_llm.session.scopes import SHARED
from cas_llm.store import Store, Tape, pick
from cas_llm.store.pick import Shared


@dataclass(frozen=True)
class Naming:
    """One place that names an answer: a turn of a tape, or a shared entry (`scope` shared)."""

    scope: str
    take: int
    ordinal: int
    position: int = 0
    current: bool = True


@dataclass(frozen=True)
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


def catalogue(store: Store) -> Catalogue:
    """Everything that *store* names."""
    damaged: list[str] = []
    tapes = _tapes(store, damaged)
    shared = tuple(sorted(store.manifest.shared()))
    namings = _namings(tapes, shared)
    entries = []
    for (key, digest), places in namings.items():
        entry = _entry(store, key, digest, tuple(places))
        if entry is None:
            damaged.append(digest)
        else:
            entries.append(entry)
    return Catalogue(tuple(sorted(entries, key=_order)), tapes, shared, tuple(damaged))


def current_tapes(tapes: Iterable[Tape]) -> set[str]:
    """The digests of the tapes in use: of each scope and each source text the best one."""
    groups: dict[tuple[str, str], list[Tape]] = {}
    for tape in tapes:
        groups.setdefault((tape.scope, tape.source), []).append(tape)
    best = (pick.current(group, source) for (_, source), group in groups.items())
    return {tape.digest for tape in best if tape is not None}


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


def _entry(store: Store, key: str, digest: str, namings: tuple[Naming, ...]) -> Entry | None:
    try:
        document = orjson.loads(store.objects.get(digest))
        record = orjson.loads(store.objects.get_request(key))
        provenance = document["provenance"]
        return Entry(
            key=key,
            digest=digest,
            namings=namings,
            api=record["api"],
            path=record["path"],
            model=_model(provenance),
            namespace=record.get("namespace", ""),
            recorded_at=provenance.get("recorded_at", ""),
            status=document["status"],
            cost=provenance.get("cost_usd"),
            usage=provenance.get("usage") or {},
            ask=tuple(document["ask"]),
            answer=tuple(document["answer"]),
            marks=tuple(document.get("marks", ())),
        )
    except (StoreError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _model(provenance: Mapping[str, Any]) -> str:
    return str(provenance.get("model") or provenance.get("requested_model") or "")


def _order(entry: Entry) -> tuple[str, str, int, str, str]:
    first = min(entry.namings, key=lambda naming: (naming.scope, naming.take, naming.position))
    return entry.recorded_at, first.scope, first.position, entry.key, entry.digest
