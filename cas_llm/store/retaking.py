"""An answer in another's place: a new take of every tape and shared sequence in use that names it.

What was there stays as it is until `prune`. Knows neither where the new answer comes from nor
whether it is a good one: an edit by hand and a request that was sent again end here alike.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from cas_llm.store import pick
from cas_llm.store.pick import Shared
from cas_llm.store.tape import Tape, Turn

if TYPE_CHECKING:
    from cas_llm.store import Store

Place = tuple[str, str]
"""A key and the digest of the answer that it has."""


class Substitute(NamedTuple):
    """What takes an answer's place: its digest, and what a tape says of it."""

    digest: str
    answer: tuple[str, ...]


@dataclass(frozen=True)
class Retakes:
    """New tapes and shared entries that are to be written, or were."""

    tapes: tuple[Tape, ...] = ()
    shared: tuple[Shared, ...] = ()


def current_tapes(tapes: Iterable[Tape]) -> set[str]:
    """The digests of the tapes in use: of each scope and each source text the best one."""
    groups: dict[tuple[str, str], list[Tape]] = {}
    for tape in tapes:
        groups.setdefault((tape.scope, tape.source), []).append(tape)
    best = (pick.current(group, source) for (_, source), group in groups.items())
    return {tape.digest for tape in best if tape is not None}


def calls_of(tape: Tape) -> list[Place]:
    """Every call that *tape* names, those within a function's body after its own."""
    return [call for turn in tape.turns for call in ((turn.key, turn.digest), *turn.within)]


def retakes(
    tapes: Iterable[Tape], shared: Iterable[Shared], changes: Mapping[Place, Substitute]
) -> Retakes:
    """The new takes that put *changes* in the place of the answers they name, wherever in use."""
    entries = tuple(shared)
    keys = dict.fromkeys(key for key, _ in changes)
    sequences = [_sequence(entries, key, changes) for key in keys]
    return Retakes(
        _tapes(tuple(tapes), changes), tuple(entry for one in sequences for entry in one)
    )


def write(store: Store, new: Retakes) -> None:
    """Write *new*, whose answers are in the store.

    A shared sequence counts once it is whole, so that whatever stops the writer leaves each test,
    and what is shared, as it was or as it will be.

    Raises:
        StoreError: the file system refused.

    """
    for tape in new.tapes:
        store.add_tape(tape)
    # A sequence's first answer last: without it the sequence is not used yet.
    for entry in new.shared:
        if entry.ordinal > 1:
            store.add_shared(entry)
    store.flush()
    for entry in new.shared:
        if entry.ordinal == 1:
            store.add_shared(entry)
    store.flush()


def _tapes(tapes: tuple[Tape, ...], changes: Mapping[Place, Substitute]) -> tuple[Tape, ...]:
    in_use = current_tapes(tapes)
    highest: dict[str, int] = {}
    for tape in tapes:
        highest[tape.scope] = max(tape.take, highest.get(tape.scope, 0))
    made = []
    # The lowest take first: tapes for several texts of one test keep their order.
    for tape in sorted(tapes, key=lambda tape: (tape.scope, tape.take, tape.digest)):
        if tape.digest not in in_use or changes.keys().isdisjoint(calls_of(tape)):
            continue
        highest[tape.scope] += 1
        turns = tuple(_turn(turn, changes) for turn in tape.turns)
        made.append(Tape(tape.scope, highest[tape.scope], tape.source, turns))
    return tuple(made)


def _turn(turn: Turn, changes: Mapping[Place, Substitute]) -> Turn:
    within = tuple((k, changes[k, d].digest if (k, d) in changes else d) for k, d in turn.within)
    own = changes.get((turn.key, turn.digest))
    if own is None:
        return replace(turn, within=within)
    return replace(turn, digest=own.digest, answer=own.answer, within=within)


def _sequence(
    entries: Iterable[Shared], key: str, changes: Mapping[Place, Substitute]
) -> tuple[Shared, ...]:
    """A new take of the key's shared sequence, if *changes* are of one of its answers."""
    mine = [entry for entry in entries if entry.key == key]
    sequence = pick.from_shared(mine)
    if sequence is None or not any((key, digest) in changes for digest in sequence.digests):
        return ()
    take, run = max(entry.take for entry in mine) + 1, secrets.token_hex(4)
    return tuple(
        Shared(key, take, run, n, changes[key, d].digest if (key, d) in changes else d)
        for n, d in enumerate(sequence.digests, 1)
    )
