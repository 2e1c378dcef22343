"""How an entry that comes back stands among those that are there: served, tied or superseded.

The rule is `cas_llm.store.pick`'s; here is only whom it is asked about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cas_llm.store import layout, pick
from cas_llm.store.past.entries import About, entries, joined
from cas_llm.store.pruning.live import Entries
from cas_llm.store.pruning.trees import Tree

SERVED = "served"
TIED = "tied"
SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Standing:
    """What becomes of the entry at `path`: its `state`, and the path of the one that is served.

    `scope` is empty for a shared entry of `key`; `take` is its own, `by_take` that of the other.
    """

    path: str
    state: str
    take: int
    scope: str = ""
    key: str = ""
    by: str = ""
    by_take: int = 0


def standings(disk: Tree, back: Entries) -> list[Standing]:
    """How the entries of *back* stand once they are back beside those on the *disk*."""
    found: list[Standing] = []
    for scope in sorted({tape.scope for tape in back.tapes.values()}):
        found += _tapes(joined(back, entries(disk, About(scope=scope))), back, scope)
    for key in sorted({entry.key for entry in back.shared.values()}):
        found += _shared(joined(back, entries(disk, About(key=key), _of_key(disk, key))), back, key)
    return found


def _tapes(every: Entries, back: Entries, scope: str) -> Iterator[Standing]:
    mine = {name: tape for name, tape in every.tapes.items() if tape.scope == scope}
    places = {tape.digest: name for name, tape in mine.items()}
    for name in sorted(mine.keys() & back.tapes.keys()):
        tape = mine[name]
        leading = pick.leading(mine.values(), tape.source)
        first = leading[0]
        state = SERVED if first is tape else TIED if tape in leading else SUPERSEDED
        if state == SERVED and len(leading) > 1:
            state, first = TIED, tape
        yield Standing(
            name, state, tape.take, scope=scope, by=places[first.digest], by_take=first.take
        )


def _shared(every: Entries, back: Entries, key: str) -> Iterator[Standing]:
    mine = {name: entry for name, entry in every.shared.items() if entry.key == key}
    places = {entry: name for name, entry in mine.items()}
    used = pick.leading_run(mine.values())
    for name in sorted(mine.keys() & back.shared.keys()):
        entry = mine[name]
        state = SERVED if entry in used else SUPERSEDED
        by = entry if state == SERVED else used[0]
        yield Standing(name, state, entry.take, key=key, by=places[by], by_take=by.take)


def _of_key(disk: Tree, key: str) -> set[str]:
    start = f"{layout.SHARED}/{key[:2]}/{key[2:]}."
    return {name for name in disk.names if name.startswith(start)}
