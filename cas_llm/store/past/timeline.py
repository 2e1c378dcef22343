"""Every answer that a prompt or a test ever had, and what became of each.

From the work tree, the pending answers, the trash and one pass over git's history of the store;
what is gone is read through one question for all of it. Reads only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cas_llm.errors import StoreError
from cas_llm.gitrepo import Commit
from cas_llm.store import Store, layout, pick
from cas_llm.store.answer import parse
from cas_llm.store.past.entries import About, entries, joined
from cas_llm.store.past.memory import TRASH, Memory
from cas_llm.store.pending import Pending
from cas_llm.store.pruning.live import Entries
from cas_llm.store.pruning.trees import Tree, on_disk
from cas_llm.store.tape import Tape

SERVED = "served"
PENDING = "pending"
SUPERSEDED = "superseded"
DELETED = "deleted, not committed"
PRUNED = "pruned"
ELSEWHERE = "on another branch"

_BEST_FIRST = (SERVED, PENDING, SUPERSEDED, DELETED, ELSEWHERE, PRUNED)


@dataclass(frozen=True)
class Named:
    """One entry that names an answer: where, as which take and ordinal, and what became of it.

    `scope` is empty for a shared entry; of a pending answer `path` is its run. `added` and
    `removed` are commits, where they are known.
    """

    path: str
    state: str
    scope: str = ""
    take: int = 0
    ordinal: int = 1
    position: int = 0
    added: Commit | None = None
    removed: Commit | None = None


@dataclass(frozen=True)
class Lived:
    """An answer to `key` with all that ever named it; `document` is its file, empty if it is lost.

    `state` is the best of what became of those that named it.
    """

    key: str
    digest: str
    namings: tuple[Named, ...]
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """What became of it."""
        return min((one.state for one in self.namings), key=_BEST_FIRST.index)

    @property
    def recorded_at(self) -> str:
        """When it was recorded, as it says itself; empty where it does not."""
        return str(self.provenance.get("recorded_at") or "")

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where it came from: model, cost, time."""
        found = self.document.get("provenance")
        return found if isinstance(found, dict) else {}

    @property
    def ask(self) -> tuple[str, ...]:
        """What was asked last, as a reviewer reads it."""
        return self._lines("ask")

    @property
    def words(self) -> tuple[str, ...]:
        """What it says, as a reviewer reads it."""
        return self._lines("answer")

    def _lines(self, name: str) -> tuple[str, ...]:
        found = self.document.get(name)
        return tuple(map(str, found)) if isinstance(found, list) else ()


def timeline(memory: Memory, about: About) -> list[Lived]:
    """The answers of what it is *about*: request by request as last asked, the newest first."""
    disk = on_disk(memory.root)
    here = entries(disk, about)
    told = [one for one in memory.changes if layout.is_entry(one.path)]
    lost = memory.of(one for one in told if one.path not in disk.names)
    near = list(memory.near())
    gone = joined(entries(lost, about), *(_missing(tree, disk, about) for tree in near))
    fates = _Fates(memory, disk, near, here)
    namings: dict[tuple[str, str], list[Named]] = {}
    for some, is_here in ((here, True), (gone, False)):
        for key, digest, named in _named(some, about, fates, here=is_here):
            namings.setdefault((key, digest), []).append(named)
    pending = Store(memory.root).pending
    for key, digest, named in _waiting(pending, about):
        namings.setdefault((key, digest), []).append(named)
    digests = {digest for _, digest in namings}
    documents = {**_documents(memory, disk, near, digests), **dict(_held_back(pending, namings))}
    lived = [
        Lived(key, digest, tuple(sorted(some, key=_latest)), documents.get(digest, {}))
        for (key, digest), some in namings.items()
    ]
    return _ordered(lived)


class _Fates:
    """What became of entries: who added them and took them out, and which are served now."""

    def __init__(self, memory: Memory, disk: Tree, near: Iterable[Tree], here: Entries) -> None:
        self.added: dict[str, Commit] = {}
        self.removed: dict[str, Commit] = {}
        for change in memory.changes:
            if not change.before:
                self.added[change.path] = change.commit  # the oldest comes last
            elif not change.after:
                self.removed.setdefault(change.path, change.commit)
        self._kept = {n for tree in near for n in tree.names if tree.place != TRASH}
        self._trashed = {n for tree in near for n in tree.names if tree.place == TRASH}
        self._current = _current(disk, here)

    def of(self, path: str, *, here: bool) -> str:
        """What became of the entry at *path*."""
        if here:
            return SERVED if path in self._current else SUPERSEDED
        if path in self._kept or (path in self._trashed and path not in self.removed):
            return DELETED
        return PRUNED if path in self.removed else ELSEWHERE


def _current(disk: Tree, here: Entries) -> set[str]:
    """The paths of the entries on the *disk* that are served, of those scopes and keys."""
    found: set[str] = set()
    for scope in {tape.scope for tape in here.tapes.values()}:
        own = entries(disk, About(scope=scope)).tapes
        for source in {tape.source for tape in own.values()}:
            best = pick.current(own.values(), source)
            found |= {name for name, tape in own.items() if tape is best}
    keys = {entry.key for entry in here.shared.values()}
    for key in keys:
        used = pick.leading_run(entry for entry in here.shared.values() if entry.key == key)
        found |= {name for name, entry in here.shared.items() if entry in used}
    return found


def _missing(tree: Tree, disk: Tree, about: About) -> Entries:
    return entries(tree, about, tree.names - disk.names)


def _named(
    some: Entries, about: About, fates: _Fates, *, here: bool
) -> Iterator[tuple[str, str, Named]]:
    for path, tape in some.tapes.items():
        state, added, removed = fates.of(path, here=here), fates.added.get(path), None
        if not here:
            removed = fates.removed.get(path)
        for key, digest, ordinal, position in _calls(tape):
            if about.key in {"", key}:
                place = (tape.scope, tape.take, ordinal, position)
                yield key, digest, Named(path, state, *place, added, removed)
    for path, one in some.shared.items():
        removed = None if here else fates.removed.get(path)
        place = ("", one.take, one.ordinal, 0)
        state = fates.of(path, here=here)
        yield one.key, one.digest, Named(path, state, *place, fates.added.get(path), removed)


def _calls(tape: Tape) -> Iterator[tuple[str, str, int, int]]:
    """Key, digest, ordinal and turn of each call of *tape*."""
    counts: dict[str, int] = {}
    for position, turn in enumerate(tape.turns, 1):
        for key, digest in ((turn.key, turn.digest), *turn.within):
            counts[key] = counts.get(key, 0) + 1
            yield key, digest, counts[key], position


def _waiting(pending: Pending, about: About) -> Iterator[tuple[str, str, Named]]:
    for one in pending.all():
        if (about.key and one.key == about.key) or (about.scope and one.scope == about.scope):
            named = Named(one.run, PENDING, one.scope, 0, one.ordinal)
            yield one.key, one.digest, named


def _held_back(
    pending: Pending, namings: Mapping[tuple[str, str], Iterable[Named]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The files of the pending answers among *namings*, by digest."""
    for (_, digest), some in namings.items():
        for run in {named.path for named in some if named.state == PENDING}:
            with contextlib.suppress(StoreError, ValueError):
                yield digest, parse(pending.objects(run).get(digest))


def _documents(
    memory: Memory, disk: Tree, near: Iterable[Tree], digests: set[str]
) -> dict[str, Mapping[str, Any]]:
    """The answers' files by digest, wherever they are."""
    found: dict[str, Mapping[str, Any]] = {}
    names = {layout.sharded(layout.OBJECTS, digest): digest for digest in digests}
    past = memory.of(one for one in memory.changes if one.path in names)
    for tree in (disk, *near, past):
        wanted = sorted(n for n in names if names[n] not in found and n in tree.names)
        for name, data in tree.read(wanted):
            with contextlib.suppress(ValueError):
                if layout.fits(name, data) and isinstance(document := parse(data), dict):
                    found[names[name]] = document
    return found


def _latest(named: Named) -> tuple[int, int, str, int]:
    return _BEST_FIRST.index(named.state), -named.take, named.scope, named.ordinal


def _ordered(lived: list[Lived]) -> list[Lived]:
    """Request by request in the order of the latest tape, of each the newest answer first."""
    places: dict[str, tuple[int, int, str]] = {}
    for one in lived:
        for named in one.namings:
            place = (-named.take, named.position, one.key)
            places[one.key] = min(place, places.get(one.key, place))
    newest = sorted(lived, key=lambda one: (_when(one), one.namings[0].take), reverse=True)
    return sorted(newest, key=lambda one: places[one.key])


def _when(one: Lived) -> tuple[str, int]:
    added = [named.added.committed for named in one.namings if named.added]
    return one.recorded_at, max(added, default=0)
