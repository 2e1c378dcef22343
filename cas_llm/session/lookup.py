"""Where the answer to a request is, if there is one: own tapes, the run, the store, what waits.

Reads only. Which recording wins is decided by `cas_llm.store.pick`; this module knows what a
running scope adds to it: what was recorded a moment ago, and what waits for a test to pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from cas_llm.errors import StoreError
from cas_llm.modes import Mode
from cas_llm.session.asked import Asked
from cas_llm.session.runs import short_scope
from cas_llm.session.runtime import Runtime
from cas_llm.session.scopes import Kind
from cas_llm.store import Answer, Store, Tape, pick
from cas_llm.store.pick import Recorded

BY_HAND = frozenset({"edited", "scripted"})
"""The marks of answers that a person wrote, and that CAPTURE keeps unless it is told otherwise."""


class Found(NamedTuple):
    """An answer for this ask: which ordinal of its sequence, and whether it is still pending.

    `tape` is the digest of the tape it was found on, if it was one.
    """

    digest: str
    ordinal: int
    pending: bool = False
    tape: str = ""


@dataclass(frozen=True)
class Absent:
    """No answer for this ask; `sequence` is the recording that was too short, if there is one."""

    sequence: Recorded | None = None
    held: int = 0
    notes: tuple[str, ...] = field(default=())


def recorded(asked: Asked, runtime: Runtime) -> Recorded | None:
    """The recording that answers the request, by the rules of `pick`."""
    scope, store, key = asked.scope, runtime.store, asked.key
    own = pick.from_own(scope.tapes(store), key, scope.served, scope.source)
    if own is not None:
        return own
    if scope.source and store.exists and not scope.tapes(store):
        # It may have had another name; then these are its own, and come before anybody's.
        renamed = [tape for tape in _tapes_with(key, store) if tape.source == scope.source]
        if renamed:
            return pick.from_others(renamed, key, scope.served, scope.source, scope.name)
    shared = pick.from_shared(store.manifest.shared_of(key))
    if shared is not None or not store.exists:
        return shared
    return pick.from_others(_tapes_with(key, store), key, scope.served, scope.source, scope.name)


def _tapes_with(key: str, store: Store) -> list[Tape]:
    return [store.manifest.load_tape(path) for path in store.index.tapes_with(key)]


def find(asked: Asked, runtime: Runtime, exhausted: str) -> Found | Absent:
    """The answer that REPLAY and FALLBACK serve for this ask."""
    if not asked.mode.records:
        sequence = recorded(asked, runtime)
        if sequence is None:
            return Absent()
        number = asked.number
        if len(sequence.digests) > 1:
            # Only here does it matter which process of the scope asks for the k-th time.
            number = asked.scope.claim(runtime.run, asked.key, number)
        ordinal = pick.at(sequence.digests, number, exhausted)
        if ordinal is None:
            asked.scope.give_back(runtime.run, asked.key, number)
            return Absent(sequence, held=len(sequence.digests))
        return Found(sequence.digests[ordinal - 1], ordinal, tape=_tape_of(sequence))
    waiting = _captured_before(asked, runtime)
    sequence = None if waiting else recorded(asked, runtime)
    known = waiting or (dict(enumerate(sequence.digests, 1)) if sequence else {})
    known |= asked.scope.recorded.get(asked.key, {})
    found = _among(known, asked, exhausted)
    if found is not None:
        pending = bool(waiting) and not runtime.store.objects.has(found[1])
        tape = _tape_of(sequence) if sequence and found[1] in sequence.digests else ""
        return Found(found[1], found[0], pending, tape)
    return (
        _waiting_for(asked, runtime, known)
        or _told(asked, runtime, exhausted)
        or Absent(sequence, held=len(known))
    )


def _tape_of(sequence: Recorded) -> str:
    return sequence.tape.digest if sequence.tape else ""


def find_captured(asked: Asked, runtime: Runtime) -> Found | None:
    """The run's own answer that CAPTURE serves for this ask, if any.

    A repetition counts only where it is not recorded anew. Another scope's answer to the same ask
    is shared; a failed attempt's is not, as it may be why the attempt failed.
    """
    mine = asked.scope.recorded.get(asked.key, {})
    if asked.repeat == "once" and mine:
        ordinal = min(mine)
        return Found(mine[ordinal], ordinal)
    name = short_scope(asked.scope.name)
    for told in runtime.run.told(asked.key):
        other = told.scope != name or told.attempt == asked.scope.attempt
        # What FALLBACK recorded earlier in the run is not asked anew yet.
        if other and told.captured and told.ordinal == asked.number:
            return Found(told.digest, told.ordinal)
    return _left_behind(asked, runtime)


def _left_behind(asked: Asked, runtime: Runtime) -> Found | None:
    """What the scope had been given for this ask in a run that this one goes on with."""
    if not (runtime.resumes and asked.scope.staged):
        return None
    for waiting in asked.scope.waiting(runtime.store):
        asks = (waiting.key, waiting.ordinal) == (asked.key, asked.number)
        if asks and waiting.captured and waiting.run in runtime.resumes:
            return Found(waiting.digest, waiting.ordinal, pending=True)
    return None


def is_repeated_error(answer: Answer, found: Found, asked: Asked) -> bool:
    """Whether what would serve a repetition while recording never does: an error, half a stream."""
    broken = answer.response.status >= 400 or answer.response.incomplete
    return asked.mode.records and broken and asked.number > found.ordinal


def edited(asked: Asked, runtime: Runtime) -> Found | None:
    """The hand-edited answer that CAPTURE keeps for this ask, if there is one."""
    sequence = recorded(asked, runtime)
    if sequence is None:
        return None
    ordinal = pick.at(sequence.digests, asked.number, "miss")
    if ordinal is None:
        return None
    digest = sequence.digests[ordinal - 1]
    try:
        marks = runtime.store.load(digest).marks
    except StoreError:
        # What cannot be read is what CAPTURE is run to replace.
        return None
    return None if BY_HAND.isdisjoint(marks) else Found(digest, ordinal)


def _among(known: dict[int, str], asked: Asked, exhausted: str) -> tuple[int, str] | None:
    digests = [known[ordinal] for ordinal in sorted(known)]
    if asked.repeat == "each":
        ordinal = asked.number if asked.number <= len(digests) else None
    else:
        ordinal = pick.at(digests, asked.number, exhausted)
    return None if ordinal is None else (sorted(known)[ordinal - 1], digests[ordinal - 1])


def _captured_before(asked: Asked, runtime: Runtime) -> dict[int, str]:
    """A failed CAPTURE's answers for the scope, as if they were its highest take."""
    if asked.scope.kind is Kind.SHARED:
        return {}
    waiting = [w for w in asked.scope.waiting(runtime.store) if w.captured and w.key == asked.key]
    newest = waiting[0].run if waiting else ""
    known = {w.ordinal: w.digest for w in reversed(waiting) if w.run == newest}
    sequence = recorded(asked, runtime) if known else None
    for ordinal, digest in enumerate(sequence.digests if sequence else (), 1):
        # CAPTURE kept what was edited by hand, so nothing waits for that ask.
        if ordinal not in known and not BY_HAND.isdisjoint(runtime.store.load(digest).marks):
            known[ordinal] = digest
    return known


def _waiting_for(asked: Asked, runtime: Runtime, known: dict[int, str]) -> Found | None:
    if not asked.scope.staged:
        return None
    wanted = asked.number if known or asked.repeat == "each" else 0
    for waiting in asked.scope.waiting(runtime.store):
        if waiting.key == asked.key and waiting.ordinal in {wanted, wanted or waiting.ordinal}:
            return Found(waiting.digest, waiting.ordinal, pending=True)
    return None


def _told(asked: Asked, runtime: Runtime, exhausted: str) -> Found | None:
    told = {t.ordinal: t.digest for t in reversed(runtime.run.told(asked.key))}
    found = _among(told, asked, exhausted)
    return Found(found[1], found[0]) if found else None


def waits(asked: Asked, runtime: Runtime) -> bool:
    """Whether a pending answer of an earlier run would serve this ask outside REPLAY."""
    return asked.mode is Mode.REPLAY and any(
        waiting.key == asked.key for waiting in asked.scope.waiting(runtime.store)
    )
