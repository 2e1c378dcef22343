"""What all sessions on one store share in a process: store, run, log, redactor, the clock's ask."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cas_llm.config import Settings
from cas_llm.errors import StoreError
from cas_llm.redact import Redactor, credentials_of, secret_variables
from cas_llm.session.log import Log
from cas_llm.session.pruned import Pruned
from cas_llm.session.recorder import Recorder
from cas_llm.session.runs import Run
from cas_llm.session.scopes import Scope
from cas_llm.store import Shared, Store, pick
from cas_llm.wire import Request

RESUMES = "CAS_LLM_RESUMES"
"""The variable that names killed runs: what CAPTURE had paid for in them is not paid again."""

_REDACTORS_KEPT = 64


class _Redactors:
    """The redactors for one environment and one set of rules, by the credentials they know."""

    def __init__(self, secrets: Mapping[str, str], rules: tuple[tuple[str, str], ...]) -> None:
        self.secrets = secrets
        self.rules = rules
        self._known: dict[tuple[str, ...], Redactor] = {}

    def given(self, credentials: tuple[str, ...]) -> Redactor:
        """The redactor for requests that carry *credentials*."""
        found = self._known.get(credentials)
        if found is None:
            if len(self._known) >= _REDACTORS_KEPT:  # tokens that expire: a long run has many
                self._known.clear()
            found = self._known[credentials] = Redactor(self.secrets, self.rules, credentials)
        return found


class Runtime:
    """One store as this process uses it."""

    def __init__(self, settings: Settings, run: Run | None = None) -> None:
        self.store = Store(settings.store, durable=settings.durable)
        self.run = run or Run.beside(settings.store)
        atexit.register(self.run.close)
        atexit.register(self.settle)
        self.log = Log()
        self.pruned = Pruned(settings.store, self.run.folder)
        self.matched: set[str] = set()
        self.recorders: dict[str, Recorder] = {}
        self.resumes = frozenset(os.environ.get(RESUMES, "").split())
        self._takes: dict[str, int] = {}
        self._redactors = _Redactors({}, ())

    @property
    def last_redactor(self) -> Redactor:
        """The redactor for the environment and rules of the last request."""
        return self._redactors.given(())

    def redactor(self, settings: Settings, request: Request | None = None) -> Redactor:
        """The redactor for the secrets the environment holds now and the settings' own rules.

        With a *request*, its own credentials are secrets too.
        """
        secrets, held = _secrets(), self._redactors
        if held.secrets is not secrets or held.rules != settings.redact:
            held = self._redactors = _Redactors(secrets, settings.redact)
        return held.given(credentials_of(request) if request else ())

    def flush_at_end(self) -> None:
        """Sync what was written, where nobody is left to catch that the disk refuses: it is told.

        Only the process's end comes after it.
        """
        try:
            self.store.flush()
        except StoreError as error:
            print(f"cas-llm: {error}", file=sys.stderr)  # noqa: T201 - logging may be shut down

    def shared_take(self, key: str) -> int:
        """The take under which this run records the shared *key*: one above other runs'."""
        if key not in self._takes:
            entries = self.store.manifest.shared_of(key)
            mine = {entry.take for entry in entries if entry.run == self.run.id}
            others = [entry.take for entry in entries if entry.run != self.run.id]
            self._takes[key] = min(mine) if mine else max(others, default=-1) + 1
        return self._takes[key]

    def shared_entry(self, key: str, ordinal: int, digest: str, *, append: bool) -> Shared:
        """The shared entry for an answer: one more of the take in use, or of this run's own."""
        entries = self.store.manifest.shared_of(key)
        if append and entries:
            used = pick.leading_run(entries)
            best, mine = used[0], {entry.ordinal: entry for entry in reversed(used)}
            if ordinal in mine and mine[ordinal].digest != digest:
                # Readers count the ordinals present, so after a gap the number is taken already.
                ordinal = max(mine) + 1
            return Shared(key, best.take, best.run, ordinal, digest)
        return Shared(key, self.shared_take(key), self.run.id, ordinal, digest)

    def stalled(self, flight: str) -> bool:
        """Whether the call *flight* of this process is a stream that nobody reads on."""
        self.settle()
        recorder = self.recorders.get(flight)
        return recorder is not None and recorder.stalled

    def settle(self, scope: Scope | None = None) -> None:
        """End the calls whose readers let the response go, as if they had closed it.

        With *scope*, which is over, also those of its calls that nobody is reading.
        """
        # A list: one is made without a pause in which what is collected may land a call.
        for recorder in list(self.recorders.values()):
            if recorder.left or (scope and recorder.owner is scope and recorder.idle):
                recorder.close()

    def land(self, flight: str) -> None:
        """Say that the call *flight* is over, whatever came of it."""
        if flight:
            self.recorders.pop(flight, None)
            self.run.land(flight)

    def begin_take(self, key: str) -> None:
        """Record the shared *key* under a take above all there are from now on."""
        entries = self.store.manifest.shared_of(key)
        self._takes[key] = max((entry.take for entry in entries), default=-1) + 1

    def child_description(self, settings: Settings, scope: Scope) -> Mapping[str, Any]:
        """What a child process needs to join this run (see `cas_llm.child`)."""
        return {
            "mode": str(settings.mode),
            "store": str(settings.store),
            "run": self.run.id,
            "run_dir": str(self.run.folder),
            "scope": dict(scope.describe()),
            "settings": {
                "hosts": dict(settings.hosts),
                "ignore_hosts": list(settings.ignore_hosts),
                "block_network": settings.block_network,
                "normalise": list(settings.normalise),
                "redact": [f"{name}={pattern}" for name, pattern in settings.redact],
                "namespace": settings.namespace,
                "repeat": settings.repeat,
                "exhausted": settings.exhausted,
                "record_errors": settings.record_errors
                if isinstance(settings.record_errors, str)
                else sorted(settings.record_errors),
                "max_cost": settings.max_cost,
                "durable": settings.durable,
                "pace": settings.pace,
                "live_on_ci": settings.live_on_ci,
            },
        }


_environment: tuple[dict[bytes, bytes] | None, dict[str, str]] = (None, {})


def _secrets() -> dict[str, str]:
    # Asked for on every request; the environment hardly ever changes, and comparing its raw
    # form to the last one's is far cheaper than sorting out its secrets again.
    global _environment  # noqa: PLW0603
    raw = getattr(os.environ, "_data", None)
    if raw is None or _environment[0] != raw:
        _environment = (dict(raw) if raw is not None else None, secret_variables(os.environ))
    return _environment[1]


_runtimes: dict[Path, Runtime] = {}


def runtime_for(settings: Settings) -> Runtime:
    """This process's runtime for the settings' store; one store has one."""
    known = _runtimes.get(settings.store)
    if known is None:
        known = _runtimes[settings.store] = Runtime(settings)
    return known


def forget(runtime: Runtime) -> None:
    """Let the next session on the store begin a new run."""
    for root, known in list(_runtimes.items()):
        if known is runtime:
            del _runtimes[root]
