"""From answers that wait to new takes: each test gets its own once all of its answers are there.

Whatever stops it, a test is as it was or as it will be, and what was paid for waits or is in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cas_llm.rerecord.sending import Job, Sent
from cas_llm.session.scopes import SHARED
from cas_llm.store import Store
from cas_llm.store.retaking import (
    Place,
    Retakes,
    Substitute,
    calls_of,
    current_tapes,
    retakes,
    write,
)


class Landing:
    """Where the answers of *jobs* belong in *store*: tests, blocks, and shared requests.

    `tapes` are the scopes and takes that were written, `shared` the keys.
    """

    def __init__(self, store: Store, jobs: Iterable[Job]) -> None:
        self._store = store
        self._jobs = {place_of(job): job for job in jobs}
        self._waits: dict[str, list[Job]] = {}
        self._scopes: dict[Place, list[str]] = {place: [] for place in self._jobs}
        self._find_tapes()
        self._find_shared()
        self.tapes: list[tuple[str, int]] = []
        self.shared: list[str] = []

    def land(self, stored: Mapping[str, Sent], after: Job | None = None) -> None:
        """Write the new take of each scope whose answers are all *stored*, or of *after*'s only.

        Raises:
            StoreError: the file system refused.

        """
        for scope in tuple(self._waits) if after is None else self._scopes[place_of(after)]:
            jobs = self._waits.get(scope, [])
            if jobs and all(job.name in stored for job in jobs):
                self._write(scope, jobs, stored)
                del self._waits[scope]
                self._release(jobs, stored)

    def _find_tapes(self) -> None:
        tapes = [self._store.manifest.load_tape(p) for p in self._store.manifest.tape_paths()]
        in_use = current_tapes(tapes)
        for tape in tapes:
            for place in dict.fromkeys(calls_of(tape)) if tape.digest in in_use else ():
                if place in self._jobs:
                    self._note(tape.scope, place)

    def _find_shared(self) -> None:
        for place in self._jobs:
            entries = self._store.manifest.shared_of(place[0])
            if any(entry.digest == place[1] for entry in entries):
                self._note(f"{SHARED} {place[0]}", place)

    def _note(self, scope: str, place: Place) -> None:
        job = self._jobs[place]
        waits = self._waits.setdefault(scope, [])
        if job not in waits:
            waits.append(job)
            self._scopes[place].append(scope)

    def _write(self, scope: str, jobs: Sequence[Job], stored: Mapping[str, Sent]) -> None:
        changes: dict[Place, Substitute] = {}
        for job in jobs:
            digest = stored[job.name].digest
            answer = self._store.load(digest)
            self._store.promote(digest)
            changes[place_of(job)] = Substitute(digest, answer.answer)
        kind, _, key = scope.partition(" ")
        manifest = self._store.manifest
        if kind == SHARED and key:
            new = retakes((), manifest.shared_of(key), changes)
            self.shared += [key] if new.shared else []
        else:
            new = Retakes(retakes(manifest.tapes_of(scope), (), changes).tapes)
            self.tapes += [(tape.scope, tape.take) for tape in new.tapes]
        write(self._store, new)

    def _release(self, jobs: Sequence[Job], stored: Mapping[str, Sent]) -> None:
        """Let what no scope waits for any more leave the pending folder."""
        pending = self._store.pending
        for job in jobs:
            if not any(scope in self._waits for scope in self._scopes[place_of(job)]):
                digest = stored[job.name].digest
                waiting = pending.of_scope(job.scope)
                pending.release([one for one in waiting if one.digest == digest])


def place_of(job: Job) -> Place:
    """The request of *job* and the answer it had."""
    return job.key, job.digest
