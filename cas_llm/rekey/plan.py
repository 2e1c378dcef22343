"""What moving a store to other rules comes to: new tapes and entries, clashes, what can't be moved.

Reads the manifest, key records and, where one went through normalisers or two become one, answers;
writes nothing. What is superseded is not moved.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cas_llm.errors import StoreError
from cas_llm.keys import KeyRecord
from cas_llm.keys.moved import NotMovable
from cas_llm.rekey.clashes import Clash, Clashes
from cas_llm.rekey.requests import Call, Requests
from cas_llm.rekey.sequences import Sequences
from cas_llm.rekey.target import Target
from cas_llm.store import Shared, Store, Tape, pick
from cas_llm.store.pending import Waiting
from cas_llm.store.pruning import live
from cas_llm.store.pruning.trees import on_disk
from cas_llm.store.retaking import calls_of
from cas_llm.store.tape import Turn


@dataclass(frozen=True)
class Stuck:
    """A recording that cannot be moved: why, and the scopes whose tapes name it."""

    key: str
    digest: str
    why: str
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be written, in this order: `records`, `tapes`, `shared`, `waiting`.

    `keys` gives each recording's new key, its old one where it has it already or cannot be moved.
    `joined` counts keys that take in several requests without a clash; `allowed` are clashes that
    somebody chose; `tied` are scopes with tapes that tied, of which the one in use then leads;
    `apis` and `namespaces` are what these were called.
    """

    keys: Mapping[Call, str] = field(default_factory=dict)
    records: Mapping[str, KeyRecord] = field(default_factory=dict)
    tapes: tuple[Tape, ...] = ()
    shared: tuple[Shared, ...] = ()
    waiting: tuple[tuple[Waiting, KeyRecord], ...] = ()
    stuck: tuple[Stuck, ...] = ()
    clashes: tuple[Clash, ...] = ()
    allowed: tuple[Clash, ...] = ()
    joined: int = 0
    tied: tuple[str, ...] = ()
    apis: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()

    @property
    def kept(self) -> int:
        """How many recordings keep their answer."""
        return len(self.keys) - len(self.stuck)

    @property
    def moved(self) -> int:
        """How many recordings get another key."""
        return sum(key != call[0] for call, key in self.keys.items())

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.tapes or self.shared or self.waiting)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that get a new take."""
        return tuple(sorted({tape.scope for tape in self.tapes}))


def plan(
    store: Store,
    target: Target,
    *,
    allow: Collection[str] = (),
    seen: Callable[[int], None] = lambda _: None,
) -> Plan:
    """What moving *store* to *target* comes to; *seen* is told how many recordings were dealt with.

    Clashes of which *allow* holds a key are taken as meant: on a tape the order of its turns
    decides, of two shared answers the one whose key is in *allow*.

    Raises:
        StoreError: something in use cannot be read; says how to mend it.
        ConfigError: a normaliser is not known or malformed.

    """
    entries = on_disk(store.root).entries({})
    dead = live.dead(entries)
    tapes = [tape for name, tape in entries.tapes.items() if name not in dead]
    shared = [entry for name, entry in entries.shared.items() if name not in dead]
    requests = Requests(store, target, _known(entries))
    calls = [call for tape in tapes for call in calls_of(tape)]
    calls += [(entry.key, entry.digest) for entry in shared]
    keys, records, why = _moves(requests, dict.fromkeys(calls), seen)
    clashes = Clashes(store, requests, keys)
    found = list(_clashes(tapes, clashes))
    sequences = Sequences(entries.shared.values(), shared, keys, clashes, frozenset(allow))
    found += sequences.clashes
    new = tuple(_tapes(tapes, entries.tapes.values(), keys))
    written = {key for tape in new for key, _ in calls_of(tape)}
    written |= {entry.key for entry in sequences.new}
    return Plan(
        keys=keys,
        records={key: record for key, record in records.items() if key in written},
        tapes=new,
        shared=sequences.new,
        waiting=tuple(_waiting(store, target)),
        stuck=tuple(_stuck(why, tapes)),
        clashes=tuple(one for one in found if one.keys.isdisjoint(allow)),
        allowed=tuple(one for one in found if not one.keys.isdisjoint(allow)),
        joined=_joined(keys, found),
        tied=tuple(sorted(_tied(tapes) & {tape.scope for tape in new})),
        apis=requests.named("api"),
        namespaces=requests.named("namespace"),
    )


def foreseen(store: Store, target: Target, tape: Tape) -> Plan:
    """What moving to *target* comes to for one *tape* of *store*; raises what `plan` does.

    It is there to be told and has nothing to write.
    """
    calls = dict.fromkeys(calls_of(tape))
    requests = Requests(store, target, {})
    keys, _, why = _moves(requests, calls, lambda _: None)
    clashes = tuple(Clashes(store, requests, keys).on_tape(tape))
    return Plan(keys, stuck=tuple(_stuck(why, [tape])), clashes=clashes)


def _known(entries: live.Entries) -> dict[str, set[str]]:
    """The keys under which each answer is named anywhere, be it superseded."""
    found: dict[str, set[str]] = {}
    for key, digest in entries.calls():
        found.setdefault(digest, set()).add(key)
    return found


def _moves(
    requests: Requests, calls: Iterable[Call], seen: Callable[[int], None]
) -> tuple[dict[Call, str], dict[str, KeyRecord], dict[Call, str]]:
    keys: dict[Call, str] = {}
    records: dict[str, KeyRecord] = {}
    why: dict[Call, str] = {}
    for call in calls:
        keys[call] = call[0]
        try:
            record = requests.moved(call)
        except NotMovable as error:
            why[call] = str(error)
        else:
            keys[call] = record.key
            if record.key != call[0]:
                records[record.key] = record
        seen(1)
    return keys, records, why


def _waiting(store: Store, target: Target) -> Iterator[tuple[Waiting, KeyRecord]]:
    """The pending answers of runs that are over which get another key, and their records."""
    pending = store.pending
    for waiting in pending.all():
        if pending.is_live(waiting.run):
            continue
        requests = Requests(store, target, {}, pending.objects(waiting.run))
        # One that stays under its key is no loss: it is listed, and asked anew.
        with contextlib.suppress(NotMovable, StoreError):
            record = requests.moved((waiting.key, waiting.digest))
            if record.key != waiting.key:
                yield waiting, record


def _clashes(tapes: Iterable[Tape], clashes: Clashes) -> Iterator[Clash]:
    beside: dict[tuple[str, str], list[Tape]] = {}
    for tape in sorted(tapes, key=lambda tape: (tape.scope, tape.take, tape.digest)):
        yield from clashes.on_tape(tape)
        beside.setdefault((tape.scope, tape.source), []).append(tape)
    for group in beside.values():
        if len(group) > 1:
            yield from clashes.among_tapes(pick.ranked(group, group[0].source))


def _tapes(used: Iterable[Tape], every: Iterable[Tape], keys: Mapping[Call, str]) -> Iterator[Tape]:
    """The new takes, of each scope the highest first: it leads as soon as it is there."""
    highest: dict[str, int] = {}
    for tape in every:
        highest[tape.scope] = max(tape.take, highest.get(tape.scope, 0))
    scopes: dict[str, list[Tape]] = {}
    for tape in used:
        scopes.setdefault(tape.scope, []).append(tape)
    for scope in sorted(scopes):
        # Of those that tied the smallest digest is used, and stays so: now by its take.
        again = sorted(_again(scopes[scope], keys), key=lambda tape: tape.digest)
        again.sort(key=lambda tape: -tape.take)
        for number, tape in enumerate(again):
            turns = tuple(_turn(turn, keys) for turn in tape.turns)
            yield Tape(scope, highest[scope] + len(again) - number, tape.source, turns)


def _again(tapes: Sequence[Tape], keys: Mapping[Call, str]) -> Iterator[Tape]:
    """Those that change, and those that stood above one that does: they stay above it."""
    changed = [t for t in tapes if any(keys[call] != call[0] for call in calls_of(t))]
    for tape in tapes:
        if any(one.source == tape.source and one.take <= tape.take for one in changed):
            yield tape


def _tied(tapes: Iterable[Tape]) -> set[str]:
    counts = Counter((tape.scope, tape.source, tape.take) for tape in tapes)
    return {scope for (scope, _, _), count in counts.items() if count > 1}


def _turn(turn: Turn, keys: Mapping[Call, str]) -> Turn:
    within = tuple((keys[call], call[1]) for call in turn.within)
    return replace(turn, key=keys[turn.key, turn.digest], within=within)


def _stuck(why: Mapping[Call, str], tapes: Iterable[Tape]) -> Iterator[Stuck]:
    scopes: dict[Call, dict[str, None]] = {}
    for tape in tapes if why else ():
        for call in calls_of(tape):
            scopes.setdefault(call, {})[tape.scope] = None
    for (key, digest), reason in why.items():
        yield Stuck(key, digest, reason, tuple(scopes.get((key, digest), ())))


def _joined(keys: Mapping[Call, str], clashes: Iterable[Clash]) -> int:
    old: dict[str, set[str]] = {}
    for (key, _), new in keys.items():
        old.setdefault(new, set()).add(key)
    return len({new for new, all_ in old.items() if len(all_) > 1} - {one.key for one in clashes})
