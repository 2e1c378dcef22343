"""Which recording answers a request: the rules, as pure functions on tapes and shared entries.

The order is: the scope's own tapes that agree with all it was served so far, its own others, and
then what others recorded: shared entries, a renamed test's tape, other tapes. Never a file's
time, never the clock: two clones of one commit always pick the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from cas_llm.store.tape import Tape

Served = tuple[str, int, str]
"""Key, ordinal and digest of an answer that a scope was given."""


@dataclass(frozen=True, slots=True, order=True)
class Shared:
    """One shared entry, as its file name says it."""

    key: str
    take: int
    run: str
    ordinal: int
    digest: str


@dataclass(frozen=True)
class Recorded:
    """The answers of one key in one tape or one shared run, by ordinal, and whose they are."""

    digests: tuple[str, ...]
    tape: Tape | None = None
    shared: Shared | None = None
    own: bool = False
    tied: tuple[Tape, ...] = field(default=())

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


def tied(tapes: Iterable[Tape], source: str) -> tuple[Tape, ...]:
    """A scope's tapes among which only the digest decides which is current; none if one leads."""
    order = ranked(tapes, source)
    best = [tape for tape in order if _rank(tape, source) == _rank(order[0], source)]
    return tuple(best) if len(best) > 1 else ()


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
    order = ranked((tape for tape in own if key in tape.answers), source)
    if not order:
        return _within(ranked(own, source), key, own=True)
    chosen = next((tape for tape in order if tape.agrees(served)), order[0])
    tied = tuple(
        tape
        for tape in order
        if tape is not chosen and _rank(tape, source) == _rank(chosen, source)
    )
    return Recorded(chosen.answers[key], tape=chosen, own=True, tied=tied)


def from_shared(entries: Iterable[Shared]) -> Recorded | None:
    """One key's shared answers: the highest take's smallest run, and that run's only."""
    order = sorted(entries, key=lambda entry: (-entry.take, entry.run, entry.ordinal, entry.digest))
    if not order:
        return None
    first = order[0]
    by_ordinal: dict[int, str] = {}
    for entry in order:
        if (entry.take, entry.run) == (first.take, first.run):
            by_ordinal.setdefault(entry.ordinal, entry.digest)
    return Recorded(tuple(by_ordinal[n] for n in sorted(by_ordinal)), shared=first)


def from_others(
    tapes: Sequence[Tape], key: str, served: Collection[Served], source: str
) -> Recorded | None:
    """The key's answers on other scopes' tapes."""
    order = sorted(
        (tape for tape in tapes if key in tape.answers),
        key=lambda tape: (
            not source or tape.source != source,
            not tape.agrees(served),
            -tape.take,
            tape.digest,
        ),
    )
    if order:
        return Recorded(order[0].answers[key], tape=order[0])
    return _within(ranked(tapes, source), key)


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
