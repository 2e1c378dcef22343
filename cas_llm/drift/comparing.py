"""Compare two states of a store: by test and request, never by file.

Reads through `Shelf`, decides through `pairing`, `classes` and `causes`; writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from cas_llm.drift.causes import causes, named, own
from cas_llm.drift.changes import Change, Compared, Sides, kinds_of
from cas_llm.drift.pairing import Pair, pair
from cas_llm.drift.said import Said
from cas_llm.drift.shelf import Call, Shelf
from cas_llm.keys import Difference
from cas_llm.session.catalogue import latest_tape
from cas_llm.session.scopes import SHARED
from cas_llm.store import Shared, Tape, pick
from cas_llm.store.pruning import live
from cas_llm.store.pruning.live import CompleteRun, Entries
from cas_llm.store.tape import Turn

_BLOCK = "use::"
_Seen = Callable[[int], None]


class _Tapes(NamedTuple):
    """The turns of one scope, before and after."""

    scope: str
    before: Sequence[Turn]
    after: Sequence[Turn]


def compared(sides: Sides, shelf: Shelf, seen: _Seen = lambda _: None) -> Compared:
    """What differs from the first of *sides* to the second; *seen* is told of each scope."""
    before, after = (by_scope(side.tapes.values()) for side in (sides.before, sides.after))
    every = sorted({*before, *after})
    differ = [s for s in every if latest(before.get(s)) != latest(after.get(s))]
    shared, moved = _shared(sides)
    shelf.fetch(_needed(differ, before, after, shared))
    changes: list[Change] = []
    added: dict[str, tuple[Change, ...]] = {}
    removed: dict[str, tuple[Change, ...]] = {}
    for scope in differ:
        old, new = latest(before.get(scope)), latest(after.get(scope))
        found = turns_of(scope, old.turns if old else (), new.turns if new else (), shelf)
        if old and new:
            moved += sum(change.is_moved for change in found)
            changes += [one for one in found if one.old != one.new and not one.is_moved]
        else:
            (added if new else removed)[scope] = found
        seen(1)
    for one, other in shared:
        changes.append(_changed(_Tapes("", (one,), (other,)), Pair(0, 0), shelf, ([], [])))
    return Compared(
        changes=tuple(sorted(changes, key=lambda c: (c.gravity, c.scope, c.turn))),
        causes=causes(changes),
        added=added,
        removed=removed,
        ties=ties(sides.after.tapes.values()),
        recorded=_recorded([*changes, *(c for some in added.values() for c in some)], sides.before),
        superseded=len(_superseded(sides.after) - _superseded(sides.before)),
        moved=moved,
        damaged=sides.damaged,
    )


def of_pending(
    now: Entries, waiting: Mapping[str, Sequence[Turn]], shelf: Shelf
) -> tuple[Change, ...]:
    """How answers that wait, turns by scope, differ from those their scopes are served *now*."""
    tapes = by_scope(now.tapes.values())
    served = {scope: _turns(latest(tapes.get(scope))) for scope in waiting}
    if SHARED in waiting:
        keys = {turn.key for turn in waiting[SHARED]}
        sequences = _sequences(now)
        served[SHARED] = tuple(Turn(k, d) for k in sorted(keys) for d in sequences.get(k, ()))
    both = [turn for some in (*served.values(), *waiting.values()) for turn in flat(some)]
    shelf.fetch((turn.key, turn.digest) for turn in both)
    found: list[Change] = []
    for scope, turns in waiting.items():
        every = turns_of("" if scope == SHARED else scope, served[scope], turns, shelf)
        found += [change for change in every if change.new[1] and change.old != change.new]
    return tuple(sorted(found, key=lambda c: (c.gravity, c.scope, c.turn)))


def latest(tapes: Iterable[Tape] | None) -> Tape | None:
    """One scope's tape of the highest take: what its test was served when it was last recorded."""
    return latest_tape(tapes or ())


def by_scope(tapes: Iterable[Tape]) -> dict[str, list[Tape]]:
    """Tapes by the scope they are of."""
    groups: dict[str, list[Tape]] = {}
    for tape in tapes:
        groups.setdefault(tape.scope, []).append(tape)
    return groups


def ties(tapes: Iterable[Tape]) -> dict[str, tuple[Tape, ...]]:
    """The scopes of which several tapes lead, the one that is served first."""
    found: dict[str, tuple[Tape, ...]] = {}
    for scope, own_tapes in sorted(by_scope(tapes).items()):
        best = latest(own_tapes)
        for group in pick.ties(own_tapes):
            # Those of a text the test no longer has are nobody's to settle.
            if best in group:
                found[scope] = group
    return found


def turns_of(
    scope: str, old: Sequence[Turn], new: Sequence[Turn], shelf: Shelf
) -> tuple[Change, ...]:
    """Every turn of both tapes, paired, in the order of the new one."""
    before, after = tuple(flat(old)), tuple(flat(new))

    def weigh(one: str, other: str) -> int | None:
        found = shelf.differences(one, other)
        return None if found is None else len(found)

    earlier: tuple[list[Said], list[Said]] = ([], [])
    found = []
    for numbers in pair(before, after, weigh):
        change = _changed(_Tapes(scope, before, after), numbers, shelf, earlier)
        found.append(change)
        for side, said in zip(earlier, (change.before, change.after), strict=True):
            if said is not None:
                side.append(said)
    return tuple(found)


def flat(turns: Iterable[Turn]) -> Iterator[Turn]:
    """*turns*, each followed by the calls that its live body made."""
    for turn in turns:
        yield replace(turn, within=())
        yield from (Turn(key, digest) for key, digest in turn.within)


def _turns(tape: Tape | None) -> tuple[Turn, ...]:
    return tape.turns if tape else ()


def _changed(
    tapes: _Tapes, numbers: Pair, shelf: Shelf, earlier: tuple[Sequence[Said], Sequence[Said]]
) -> Change:
    old = None if numbers.before is None else tapes.before[numbers.before]
    new = None if numbers.after is None else tapes.after[numbers.after]
    was = shelf.said((old.key, old.digest)) if old and old.digest else None
    now = shelf.said((new.key, new.digest)) if new and new.digest else None
    differs: tuple[Difference, ...] = ()
    if old and new and old.key and new.key and old.key != new.key:
        differs = shelf.differences(old.key, new.key) or ()
    mine = own(differs, *earlier)
    asks = (turn.ask for turn in (new, old) if turn is not None)
    told = (said.ask for said in (now, was) if said is not None)
    place = numbers.after if new else numbers.before
    return Change(
        scope=tapes.scope,
        turn=(place or 0) + 1,
        turns=len(tapes.after if new else tapes.before),
        old=(old.key, old.digest) if old else ("", ""),
        new=(new.key, new.digest) if new else ("", ""),
        before=was,
        after=now,
        differences=mine,
        cause=named(mine),
        follows=bool(differs) and not mine,
        ask=next((ask for ask in (*asks, *told) if ask), ()),
        kinds=kinds_of(was, now),
    )


def _shared(sides: Sides) -> tuple[list[tuple[Turn, Turn]], int]:
    """Each ask of a shared request that has another answer now, was taken out or came.

    And how many asks have their answer under another key, which is no change of it.
    """
    before, after = _sequences(sides.before), _sequences(sides.after)
    had, has = set(before.values()), set(after.values())
    found, moved = [], 0
    for key in sorted({*before, *after}):
        old, new = before.get(key, ()), after.get(key, ())
        if (not old and new in had) or (not new and old in has):
            moved += len(new)
            continue
        for n in range(max(len(old), len(new))):
            one, other = (side[n] if n < len(side) else "" for side in (old, new))
            if one != other:
                pair = Turn(key if one else "", one), Turn(key if other else "", other)
                found.append(pair)
    return found, moved


def _sequences(entries: Entries) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[Shared]] = {}
    for entry in entries.shared.values():
        groups.setdefault(entry.key, []).append(entry)
    picked = ((key, pick.from_shared(group)) for key, group in groups.items())
    return {key: found.digests for key, found in picked if found}


def _needed(
    scopes: Iterable[str],
    before: Mapping[str, Sequence[Tape]],
    after: Mapping[str, Sequence[Tape]],
    shared: Iterable[tuple[Turn, Turn]],
) -> Iterator[Call]:
    for scope in scopes:
        for side in (before, after):
            # Turns that stayed as well: what later requests quote of them is no cause.
            yield from ((t.key, t.digest) for t in flat(_turns(latest(side.get(scope)))))
    for pairs in shared:
        yield from ((turn.key, turn.digest) for turn in pairs if turn.digest)


def _recorded(changes: Iterable[Change], before: Entries) -> tuple[Said, ...]:
    had = {digest for _, digest in before.calls()}
    found = {c.new[1]: c.after for c in changes if c.after and c.new[1] not in had}
    return tuple(said for said in found.values() if said)


def _superseded(entries: Entries) -> set[str]:
    """The answers that only entries name which a complete run would let go."""
    scopes = {
        s: tapes
        for s, tapes in by_scope(entries.tapes.values()).items()
        if not s.startswith(_BLOCK)
    }
    used = {scope: latest(tapes) for scope, tapes in scopes.items()}
    run = CompleteRun(
        scopes=frozenset(scopes), tapes=frozenset(tape.digest for tape in used.values() if tape)
    )
    dead = live.dead(entries, run)
    every, kept = ({digest for _, digest in entries.calls(some)} for some in ((), dead))
    return every - kept
