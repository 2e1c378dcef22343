"""Which recordings are still needed, as pure functions on manifests: the rule `prune` deletes by.

Live are: of each scope its current tape and those that tie with it; each tape that the last
complete run used; of each shared request the sequence that is picked; and all that these name.
A scope may open more than once in a run (a fixture, a named block) and then has several tapes in
use, so that without a complete run's word a tape is superseded only by one that contradicts it.

What was moved to other key rules is there twice, and the later take stands for both.

Nothing here reads a file or knows which places there are: see `trees` and `sweep`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cas_llm.store import layout, pick
from cas_llm.store.pick import Shared
from cas_llm.store.tape import Tape

SUPERSEDED = "superseded: a later take is used"
GONE = "its test is gone"
UNPICKED = "another answer to the shared request is used"

Call = tuple[str, str]
"""A key and the digest of an answer to it."""

PartsOf = Callable[[str], Mapping[str, str]]
"""The parts, as digest to extension, that the file at a store path names."""


@dataclass(frozen=True)
class Entries:
    """The manifest of one place: tapes and shared entries by their paths in the store."""

    tapes: Mapping[str, Tape] = field(default_factory=dict)
    shared: Mapping[str, Shared] = field(default_factory=dict)

    def calls(self, without: Collection[str] = ()) -> set[Call]:
        """What the entries name, but for those at the paths *without*."""
        found = {(e.key, e.digest) for name, e in self.shared.items() if name not in without}
        for name, tape in self.tapes.items():
            if name not in without:
                for turn in tape.turns:
                    found.update(((turn.key, turn.digest), *turn.within))
        return found


@dataclass(frozen=True)
class CompleteRun:
    """What runs tell of the scopes that passed in them.

    `tapes` are the digests of all tapes that served them, `scopes` the names of the scopes that
    were served, and `gone` those of tests that are no longer there. `had` are the tapes that a
    scope had then: of one that got another one since, the runs tell nothing.
    """

    scopes: frozenset[str] = frozenset()
    tapes: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    had: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def tells_of(self, scope: str, tapes: Iterable[Tape]) -> bool:
        """Whether what the runs saw of *scope* still holds, now that it has *tapes*."""
        had = self.had.get(scope)
        return had is None or all(tape.digest in had for tape in tapes)


UNKNOWN = CompleteRun()


def dead(entries: Entries, run: CompleteRun = UNKNOWN) -> dict[str, str]:
    """The paths of the entries that are not live, and why; all others are."""
    found: dict[str, str] = {}
    scopes: dict[str, dict[str, Tape]] = {}
    for name, tape in entries.tapes.items():
        scopes.setdefault(tape.scope, {})[name] = tape
    for scope, own in scopes.items():
        used = {name for name, tape in own.items() if tape.digest in run.tapes}
        told = run.tells_of(scope, own.values())
        if scope in run.gone and told:
            found |= dict.fromkeys(own.keys() - used, GONE)
            continue
        is_known = scope in run.scopes and used and told
        kept = _used(own, used) if is_known else used | _unopposed(own)
        found |= dict.fromkeys(own.keys() - kept, SUPERSEDED)
    keys: dict[str, dict[str, Shared]] = {}
    for name, entry in entries.shared.items():
        keys.setdefault(entry.key, {})[name] = entry
    for rivals in keys.values():
        picked = pick.from_shared(rivals.values())
        first = picked.shared if picked else None
        for name, entry in rivals.items():
            if first and (entry.take, entry.run) != (first.take, first.run):
                found[name] = UNPICKED
    found |= dict.fromkeys(_moved_on(entries.shared, found), SUPERSEDED)
    return found


def dead_everywhere(
    near: Sequence[Entries], others: Iterable[Entries] = (), run: CompleteRun = UNKNOWN
) -> dict[str, str]:
    """The entries of the first of *near* that are live in none of *near* nor *others*, and why.

    *run* was a run of what is near; of the others nothing is known but their manifests.
    """
    found = dead(near[0], run)
    verdicts = [(place, dead(place, run)) for place in near[1:]]
    for place, there in (*verdicts, *((place, dead(place)) for place in others)):
        for name in (place.tapes.keys() | place.shared.keys()) & found.keys():
            if name not in there:
                del found[name]
    return found


def files(calls: Iterable[Call], parts_of: PartsOf) -> set[str]:
    """The paths of all key records, answers and parts that *calls* stand for."""
    found: set[str] = set()
    for key, digest in calls:
        found.add(layout.sharded(layout.REQUESTS, key))
        found.add(layout.sharded(layout.OBJECTS, digest))
    parts = {part for name in found for part in parts_of(name).items()}
    return found | {layout.sharded(layout.OBJECTS, digest, ext) for digest, ext in parts}


def _used(own: Mapping[str, Tape], used: set[str]) -> set[str]:
    """The tapes in use of a scope whose complete run used *used*: these, and what leads or ties."""
    tapes = list(own.values())
    kept = {own[name].digest for name in used}
    for source in {own[name].source for name in used}:
        kept |= {tape.digest for tape in pick.leading(tapes, source)}
    ranks = {(own[name].source, own[name].take) for name in used}
    return {
        name
        for name, tape in own.items()
        if tape.digest in kept or (tape.source, tape.take) in ranks
    }


def _unopposed(own: Mapping[str, Tape]) -> set[str]:
    """Of each source text the current tapes, and the lower takes that none of them contradicts."""
    sources: dict[str, list[str]] = {}
    for name in sorted(own, key=lambda name: -own[name].take):
        sources.setdefault(own[name].source, []).append(name)
    kept: set[str] = set()
    for names in sources.values():
        chosen: list[Tape] = []
        for name in names:
            higher = [tape for tape in chosen if tape.take > own[name].take]
            if not _contradicted(own[name], higher):
                chosen.append(own[name])
                kept.add(name)
    return kept


def _moved_on(shared: Mapping[str, Shared], dead: Collection[str]) -> Iterator[str]:
    """The paths of sequences in use that are another key's as well, under a higher take."""
    runs: dict[tuple[str, int, str], dict[int, str]] = {}
    for entry in sorted(shared.values(), reverse=True):
        # Of several answers to one ask the smallest digest is used, and sorted last here.
        runs.setdefault(entry[:3], {})[entry.ordinal] = entry.digest
    begun: dict[str, list[tuple[tuple[str, int, str], list[str]]]] = {}
    for run, asks in runs.items():
        if 1 in asks:
            begun.setdefault(asks[1], []).append((run, [asks[n] for n in sorted(asks)]))
    for name, entry in shared.items():
        asks = runs[entry[:3]]
        mine = [asks[n] for n in sorted(asks)]
        if name not in dead and any(
            key != entry.key and take > entry.take and theirs[: len(mine)] == mine
            for (key, take, _), theirs in begun.get(asks.get(1, ""), ())
        ):
            yield name


def _contradicted(tape: Tape, higher: Sequence[Tape]) -> bool:
    """Whether one of *higher* gives another answer to the same ask of a request.

    One that says the same answers again, be it under other keys, leaves nothing to *tape*.
    """
    said = _answers(tape)
    return any(_answers(other) == said for other in higher) or any(
        mine != theirs
        for other in higher
        for key in tape.answers.keys() & other.answers.keys()
        for mine, theirs in zip(tape.answers[key], other.answers[key], strict=False)
    )


def _answers(tape: Tape) -> list[str]:
    return [d for turn in tape.turns for d in (turn.digest, *(digest for _, digest in turn.within))]
