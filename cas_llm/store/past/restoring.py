"""Bring back what was taken out of a store: entries that are gone, and all that they name.

`plan` says what would come back and from where; `bring_back` writes it, what is named before what
names it, and never over a file that is there. Nothing is deleted, and git is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cas_llm.gitrepo import Change, Commit
from cas_llm.store import layout
from cas_llm.store.files import Writer, cannot_write
from cas_llm.store.past.entries import About, entries, joined, paths
from cas_llm.store.past.memory import TRASH, Memory, by_commit
from cas_llm.store.pruning.live import Entries
from cas_llm.store.pruning.naming import Naming, RecordParts
from cas_llm.store.pruning.trees import Tree, on_disk

_AT_ONCE = 1000


@dataclass(frozen=True)
class Back:
    """A file that comes back: its path in the store, where from, and how many bytes it has."""

    path: str
    place: str
    bytes: int


@dataclass(frozen=True)
class Gone:
    """Entries that are not in the store, and the place that has them.

    `commit` is the one that took them out, if one did; where `added` is true it is the one that
    recorded them, as on a branch that was not merged.
    """

    entries: Entries = field(default_factory=Entries)
    place: Tree | None = None
    commit: Commit | None = None
    added: bool = False


@dataclass(frozen=True)
class Plan:
    """What comes back: `files`, what is named before what names it, and of these the `entries`.

    `here` is whether the store has entries of the kind already. `nowhere` are files that an entry
    names and no place has: an entry that comes back without them is among `left_out`. `damaged`
    are there, and are not what their names say.
    """

    gone: Gone
    files: tuple[Back, ...] = ()
    entries: Entries = field(default_factory=Entries)
    here: bool = False
    nowhere: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """How many bytes come back."""
        return sum(one.bytes for one in self.files)


def plan(memory: Memory, about: About, parts_of: RecordParts, source: Tree | None = None) -> Plan:
    """What is to come back that is *about* something: from *source* alone, if it is given.

    Without it the entries are taken from the first place that has any which are not here: a prune
    that was not committed, git's index, HEAD, the newest commit that deleted some, any branch. What
    they name comes from wherever it is, and so does what entries that are here name in vain.
    """
    disk = on_disk(memory.root)
    if source is not None:
        return _planned(disk, about, parts_of, _held(source, disk.names, about), [source])
    gone, places = _gone(memory, disk, about), [*memory.near(), memory.of(memory.deletions)]
    first = _planned(disk, about, parts_of, gone, places)
    if not first.nowhere:
        return first
    return _planned(disk, about, parts_of, gone, [*places, memory.of(memory.changes)])


def _planned(
    disk: Tree, about: About, parts_of: RecordParts, gone: Gone, places: Sequence[Tree]
) -> Plan:
    everything = about == About()
    here = Entries() if everything else entries(disk, about)
    naming = Naming([disk, *places], parts_of)

    def named(some: Entries) -> set[str]:
        return naming.files(some.calls(), must_be_there=False)

    wanted = named(joined(here, gone.entries))
    if everything:
        wanted |= {name for tree in places for name in tree.names if layout.is_blob(name)}
    backs = _found(wanted - disk.names, places)
    nowhere = wanted - disk.names - backs.keys()
    whole, left_out = _whole(gone.entries, nowhere, named)
    if left_out and not everything:
        needed = named(joined(here, whole))
        backs = {name: back for name, back in backs.items() if name in needed}
    return Plan(
        gone,
        files=(*_sorted(backs.values()), *_sorted(_marks(whole, gone.place))),
        entries=whole,
        here=here != Entries(),
        nowhere=tuple(sorted(nowhere)),
        left_out=tuple(sorted(left_out)),
        damaged=() if everything else tuple(sorted(_damaged(disk, wanted & disk.names))),
    )


def bring_back(
    memory: Memory,
    plan: Plan,
    source: Tree | None = None,
    seen: Callable[[int], None] = lambda _: None,
) -> tuple[str, ...]:
    """Write what *plan* lists; gives the paths that were written.

    *seen* is told of each file. An entry is written when all that comes before it is on the disk.

    Raises:
        StoreError: a file could not be written; what was written stays, and names nothing that is
            missing.

    """
    root = memory.root
    writer = Writer(root / layout.LOCAL / "tmp", durable=True)
    written: list[str] = []
    path = root
    try:
        for wave in (layout.is_blob, layout.is_entry):
            names = {one.path for one in plan.files if wave(one.path)}
            for tree in [source] if source else _places(memory):
                for name, data in tree.read(sorted(names & tree.names)):
                    names.discard(name)
                    path = root / name
                    if writer.add(path, data):
                        written.append(name)
                    seen(1)
                if not names:
                    break
    except OSError as error:
        raise cannot_write(path, error) from error
    return tuple(written)


def _places(memory: Memory) -> Iterator[Tree]:
    """Where a file that is gone may be, one place after another; the last ones cost most."""
    yield from memory.near()
    if memory.top is not None:
        yield memory.of(memory.deletions)
        yield memory.of(memory.changes)


def _gone(memory: Memory, disk: Tree, about: About) -> Gone:
    committed = {one.path for one in memory.deletions}
    for tree in memory.near():
        # What a prune took long ago lies in the trash still: since it was committed, the commits
        # say which was the last.
        here = disk.names | committed if tree.place == TRASH else disk.names
        if (found := _held(tree, here, about)).place is not None:
            return found
    for changes, added in ((memory.deletions, False), (memory.changes, True)):
        for lot in _lots(changes, disk.names):
            tree = memory.of(one for _, group in lot for one in group)
            held = entries(tree, about)
            for commit, group in lot:
                mine = _only(held, {one.path for one in group})
                if mine != Entries():
                    was_added = added and all(one.after for one in group if one.path in paths(mine))
                    return Gone(mine, tree, commit, was_added)
    return Gone()


def _lots(
    changes: Iterable[Change], there: Collection[str]
) -> Iterator[list[tuple[Commit, list[Change]]]]:
    """What commits did to entries that are not *there*, in lots that one question is worth."""
    told = (one for one in changes if layout.is_entry(one.path) and one.path not in there)
    lot: list[tuple[Commit, list[Change]]] = []
    for commit, group in by_commit(told):
        lot.append((commit, group))
        if sum(len(group) for _, group in lot) >= _AT_ONCE:
            yield lot
            lot = []
    if lot:
        yield lot


def _held(source: Tree, here: frozenset[str], about: About) -> Gone:
    """What *source* has that is *about* something and is not *here*."""
    found = entries(source, about, source.names - here)
    return Gone(found, source) if found != Entries() else Gone()


def _only(held: Entries, names: set[str]) -> Entries:
    return Entries(
        {name: one for name, one in held.tapes.items() if name in names},
        {name: one for name, one in held.shared.items() if name in names},
    )


def _found(wanted: set[str], places: Iterable[Tree]) -> dict[str, Back]:
    backs: dict[str, Back] = {}
    for tree in places:
        for name, data in tree.read(sorted((wanted - backs.keys()) & tree.names)):
            backs[name] = Back(name, tree.place, len(data))
    return backs


def _whole(
    gone: Entries, nowhere: set[str], named: Callable[[Entries], set[str]]
) -> tuple[Entries, set[str]]:
    """The entries of *gone* of which nothing is *nowhere*, and the paths of the others."""
    if not nowhere:
        return gone, set()
    left_out = {name for name in paths(gone) if named(_only(gone, {name})) & nowhere}
    return _only(gone, paths(gone) - left_out), left_out


def _marks(whole: Entries, place: Tree | None) -> Iterator[Back]:
    for name, tape in whole.tapes.items():
        yield Back(name, place.place if place else "", len(tape.data))
    for name in whole.shared:
        yield Back(name, place.place if place else "", 0)


def _sorted(backs: Iterable[Back]) -> list[Back]:
    return sorted(backs, key=lambda one: one.path)


def _damaged(disk: Tree, names: set[str]) -> set[str]:
    return names - {name for name, data in disk.read(names) if layout.fits(name, data)}
