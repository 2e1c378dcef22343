"""Which recording answers a request: the rules, as pure functions on tapes and shared entries.

The order is: the scope's own tapes that agree with all it was served so far, its own others; for a
scope that has none, those it had under another name; and then what others recorded: shared
entries, other tapes. Never a file's time, never the clock: two clones of one commit always pick
the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from cas_llm.store.tape import Tape

Served = tuple[str, int, str]
"""Key, ordinal and digest of an answer that a scope was given."""


class Shared(NamedTuple):
    """One shared entry, as its file name says it."""

    key: str
    take: int
    run: str
    ordinal: int
    digest: str


class Recorded(NamedTuple):
    """The answers of one key in one tape or one shared run, by ordinal, and whose they are."""

    digests: tuple[str, ...]
    tape: Tape | None = None
    shared: Shared | None = None
    own: bool = False
    tied: tuple[Tape, ...] = ()

    @property
    def take(self) -> int:
        """The take of the tape or shared run."""
        return self.tape.take if self.tape else self.shared.take if self.shared else 0


def _rank(tape: Tape, source: str) -> tuple[bool, int]:
    return tape.source != source, -tape.take


def ranked(tapes: Iterable[Tape], source: str) -> list[Tape]:
    """One scope's tapes, best first: this source, then highest take, then smallest digest."""
    return sorted(tapes, key=lambda tape: (*_rank(tape, source), tape.digest))


def current(tapes: Iterable[Tape], source: str = "") -> Tape | None:
    """The tape a scope uses before anything was asked."""
    return next(iter(ranked(tapes, source)), None)


def leading(tapes: Iterable[Tape], source: str) -> tuple[Tape, ...]:
    """A scope's current tape, and after it those that tie with it."""
    order = ranked(tapes, source)
    return tuple(tape for tape in order if _rank(tape, source) == _rank(order[0], source))


def tied(tapes: Iterable[Tape], source: str) -> tuple[Tape, ...]:
    """A scope's tapes among which only the digest decides which is current; none if one leads."""
    best = leading(tapes, source)
    return best if len(best) > 1 else ()


def ties(tapes: Sequence[Tape]) -> list[tuple[Tape, ...]]:
    """Groups of one scope's tapes that are equal in source and take, the highest take only."""
    groups: dict[tuple[str, int], list[Tape]] = {}
    for tape in tapes:
        groups.setdefault((tape.source, tape.take), []).append(tape)
    highest: dict[str, int] = {}
    for source, take in groups:
        highest[source] = max(take, highest.get(source, 0))
    return [
        tuple(sorted(group, key=lambda tape: tape.digest))
        for (source, take), group in sorted(groups.items())
        if len(group) > 1 and highest[source] == take
    ]


def from_own(
    own: Sequence[Tape], key: str, served: Collection[Served], source: str
) -> Recorded | None:
    """The key's answers on the scope's own tapes."""
    if not own:
        return None
    holders = [tape for tape in own if key in tape.answers]
    if not holders:
        return _within(ranked(own, source), key, own=True)
    if len(holders) == 1:
        return Recorded(holders[0].answers[key], tape=holders[0], own=True)
    order = ranked(holders, source)
    chosen = next((tape for tape in order if tape.agrees(served)), order[0])
    tied = tuple(
        tape
        for tape in order
        if tape is not chosen and _rank(tape, source) == _rank(chosen, source)
    )
    return Recorded(chosen.answers[key], tape=chosen, own=True, tied=tied)


def leading_run(entries: Iterable[Shared]) -> list[Shared]:
    """Of one key's shared entries those that are used: the highest take's smallest run.

    Sorted by ordinal; of several for one ordinal the smallest digest is the first. A run without
    a first answer gives way to one that has it: an edit writes that last, so that an edit that was
    killed changes nothing.
    """
    runs: dict[tuple[int, str], list[Shared]] = {}
    for entry in sorted(entries, key=lambda entry: (entry.ordinal, entry.digest)):
        runs.setdefault((-entry.take, entry.run), []).append(entry)
    if not runs:
        return []
    return runs[min(runs, key=lambda run: (runs[run][0].ordinal != 1, run))]


def from_shared(entries: Iterable[Shared]) -> Recorded | None:
    """One key's shared answers: those of the run that is used, never another's."""
    found = list(entries)
    if len(found) == 1:
        return Recorded((found[0].digest,), shared=found[0])
    used = leading_run(found)
    if not used:
        return None
    by_ordinal: dict[int, str] = {}
    for entry in used:
        by_ordinal.setdefault(entry.ordinal, entry.digest)
    return Recorded(tuple(by_ordinal.values()), shared=used[0])


def from_others(
    tapes: Sequence[Tape], key: str, served: Collection[Served], source: str, scope: str = ""
) -> Recorded | None:
    """The key's answers on other scopes' tapes, for *scope*.

    Those with its source come first: it was renamed. All cases of one parametrised test have one
    source, and keep their parameters.
    """
    order = sorted(
        (tape for tape in tapes if key in tape.answers),
        key=lambda tape: (
            not source or tape.source != source,
            not tape.agrees(served),
            tape.source == source and _parameters(tape.scope) != _parameters(scope),
            -tape.take,
            tape.digest,
        ),
    )
    if order:
        return Recorded(order[0].answers[key], tape=order[0])
    return _within(ranked(tapes, source), key)


def _parameters(scope: str) -> str:
    return scope.partition("[")[2]


def _within(tapes: Iterable[Tape], key: str, *, own: bool = False) -> Recorded | None:
    """The key's answers among the calls that a function's body made, when it was recorded."""
    for tape in tapes:
        if key in tape.inner:
            return Recorded(tape.inner[key], tape=tape, own=own)
    return None


def at(digests: Sequence[str], ask: int, exhausted: str) -> int | None:
    """The ordinal that serves the *ask*-th ask, or None if there is none.

    A sequence of one serves every ask. Past a longer one's end *exhausted* decides: ``miss``,
    ``last`` or ``cycle``.
    """
    count = len(digests)
    if count == 0:
        return None
    if count == 1:
        return 1
    if ask <= count:
        return ask
    if exhausted == "last":
        return count
    if exhausted == "cycle":
        return (ask - 1) % count + 1
    return None
