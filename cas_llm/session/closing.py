"""When a scope passes: its answers leave pending, and its tape is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cas_llm.errors import StoreError
from cas_llm.keys import canonical, load_record
from cas_llm.keys.paths import DROP, edit, steps_of
from cas_llm.providers import provider_for
from cas_llm.providers.base import Provider
from cas_llm.session import families
from cas_llm.session.keeping import refuse_named_secret
from cas_llm.session.runs import Told
from cas_llm.session.runtime import Runtime
from cas_llm.session.scopes import Kind, Scope, Use
from cas_llm.store import Answer, Tape, pick
from cas_llm.store.files import cannot_read
from cas_llm.store.tape import Turn

_QUOTED_FROM = 4


@dataclass(frozen=True)
class Written:
    """What passing a scope added to the store."""

    recordings: int
    tape: Tape | None = None


def passed(scope: Scope, runtime: Runtime) -> Written:
    """Bring what *scope* used into the store and write its tape, if that says anything new.

    Call it only after a run that may write; calling it again changes nothing.

    Raises:
        StoreError: the file system refused, or something named is not there; what waited for the
            scope waits still.
        SecretFound: the scope's name holds one.

    """
    try:
        return _passed(scope, runtime)
    except OSError as error:
        raise cannot_read(Path(error.filename or runtime.run.folder), error) from error


def _passed(scope: Scope, runtime: Runtime) -> Written:
    runtime.settle(scope)
    if scope.kind is Kind.SHARED:
        return _share(scope, runtime)
    families.adopt(runtime.run, scope)
    uses = scope.in_order()
    if not uses:
        return Written(0)
    refuse_named_secret(scope.name, runtime.last_redactor)
    store = runtime.store
    own = store.manifest.tapes_of(scope.name)
    current = pick.current(own, scope.source)
    if current is not None and scope.kind is not Kind.FIXTURE:
        uses = [_without_noise(use, uses[n + 1 :], current, runtime) for n, use in enumerate(uses)]
    added = 0
    for use in uses:
        for digest in (use.digest, *(digest for _, digest in use.within)):
            if not store.objects.has(digest):
                store.promote(digest)
                added += 1
    tape = Tape(
        scope=scope.name,
        take=max((tape.take for tape in own), default=-1) + 1,
        source=scope.source,
        turns=tuple(Turn(use.key, use.digest, use.ask, use.answer, use.within) for use in uses),
    )
    new = not any(other.source == tape.source and _says(other, tape, scope) for other in own)
    if new:
        store.add_tape(tape)
    _untell(scope, uses, runtime)
    _release(scope, uses, runtime)
    return Written(added, tape if new else None)


def _says(held: Tape, tape: Tape, scope: Scope) -> bool:
    """Whether *held* says all that *tape* would."""
    if scope.kind is Kind.TEST:
        return held.answers == tape.answers
    # Opened several times in a run: a shorter sequence would answer the longer one's asks.
    return all(held.answers.get(k, ())[: len(d)] == d for k, d in tape.answers.items())


def unplayed(scope: Scope, runtime: Runtime) -> list[Turn]:
    """Turns of the scope's current tape that it did not use."""
    current = pick.current(scope.tapes(runtime.store), scope.source)
    if current is None:
        return []
    used: dict[str, int] = {}
    for key, _ in scope.uses:
        used[key] = used.get(key, 0) + 1
    left = []
    for turn in current.turns:
        if used.get(turn.key, 0) > 0:
            used[turn.key] -= 1
        else:
            left.append(turn)
    return left


def borrows(scope: Scope, runtime: Runtime) -> bool:
    """Whether the scope was served, but has no tape of its own."""
    return bool(scope.uses) and scope.kind is not Kind.SHARED and not scope.tapes(runtime.store)


def lenders(scope: Scope, runtime: Runtime) -> list[str]:
    """The scopes whose recordings answered *scope*, one by one; a test's under an old name is own.

    None where the scope asked in a mode that records anew.
    """
    store = runtime.store
    own = {tape.digest for tape in scope.tapes(store)}
    found: list[str] = []
    for use in scope.in_order():
        if use.fresh or not use.tape or use.tape in own:
            continue
        tapes = map(store.manifest.load_tape, store.index.tapes_with(use.key))
        try:
            lent = next((tape for tape in tapes if tape.digest == use.tape), None)
        except StoreError:
            continue  # `verify` tells of it
        if lent is not None and not (scope.source and lent.source == scope.source):
            found.append(lent.scope)
    return found


def _share(scope: Scope, runtime: Runtime) -> Written:
    store, added = runtime.store, 0
    uses = [use for use in scope.in_order() if use.fresh]
    for use in uses:
        added += not store.objects.has(use.digest)
        store.promote(use.digest)
        first = min(other.ordinal for other in uses if other.key == use.key)
        store.add_shared(runtime.shared_entry(use.key, use.ordinal, use.digest, append=first > 1))
    _release(scope, uses, runtime)
    return Written(added)


def _release(scope: Scope, uses: Sequence[Use], runtime: Runtime) -> None:
    named = {(use.key, use.ordinal) for use in uses}
    digests = {use.digest for use in uses}
    pending = runtime.store.pending
    entries = [
        waiting
        for waiting in pending.of_scope(scope.name)
        if waiting.run == runtime.run.id
        or (
            not runtime.store.pending.is_live(waiting.run)
            and (waiting.digest in digests or (waiting.key, waiting.ordinal) in named)
        )
    ]
    if entries:
        pending.release(entries)


def _untell(scope: Scope, uses: Sequence[Use], runtime: Runtime) -> None:
    """Let the run's other scopes have what the tape holds, not what it left out."""
    kept = {(use.key, use.ordinal): use.digest for use in uses}
    for waiting in runtime.store.pending.of_scope(scope.name):
        place = (waiting.key, waiting.ordinal)
        digest = kept.get(place)
        if waiting.run != runtime.run.id or digest == waiting.digest:
            continue
        runtime.run.untell(*place, waiting.digest, scope.name)
        if digest is not None:
            attempt, captured = scope.attempt, waiting.captured
            told = Told(waiting.ordinal, digest, scope.name, attempt, captured)
            runtime.run.tell(waiting.key, told)


def _without_noise(use: Use, later: Sequence[Use], current: Tape, runtime: Runtime) -> Use:
    """The use with the recorded answer it repeats, where the two differ in noise only."""
    held = current.answers.get(use.key, ())
    if not use.fresh or not 1 <= use.ordinal <= len(held) or held[use.ordinal - 1] == use.digest:
        return use
    digest = held[use.ordinal - 1]
    try:
        old, new = runtime.store.load(digest), runtime.store.load(use.digest)
        provider = _provider(use.key, runtime)
    except StoreError:
        # What cannot be read is what the new answer replaces.
        return use
    if old.response.status != new.response.status or old.response.incomplete or new.marks:
        return use
    message, noise_free = _message(new, provider), _stripped(new, provider)
    if noise_free is None or noise_free != _stripped(old, provider):
        return use
    quoted = _strings(message) - _strings(_message(old, provider))
    text = "".join(canonical(follower.body).decode() for follower in later if follower.body)
    if any(string in text for string in quoted if len(string) >= _QUOTED_FROM):
        return use
    return use._replace(digest=digest)


def _provider(key: str, runtime: Runtime) -> Provider:
    record = load_record(runtime.store.objects.get_request(key))
    return provider_for(str(record["api"]).partition("@")[0])


def _message(answer: Answer, provider: Provider) -> Any:
    response = answer.response
    return provider.message(response.body, response.header("content-type"))


def _stripped(answer: Answer, provider: Provider) -> Any:
    message = _message(answer, provider)
    for path in provider.noise:
        message = edit(message, steps_of(path), lambda _value: DROP)
    return message


def _strings(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return set().union(*map(_strings, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(_strings, value)) if value else set()
    return set()
