"""What all sessions on one store share in a process: store, run, log, redactor, the clock's ask."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cas_llm.config import Settings
from cas_llm.redact import Redactor, secret_variables
from cas_llm.session.log import Log
from cas_llm.session.runs import Run
from cas_llm.session.scopes import Scope
from cas_llm.store import Store


class Runtime:
    """One store as this process uses it."""

    def __init__(self, settings: Settings, run: Run | None = None) -> None:
        self.store = Store(settings.store, durable=settings.durable)
        self.run = run or Run.beside(settings.store)
        atexit.register(self.run.close)
        self.log = Log()
        self.matched: set[str] = set()
        self._takes: dict[str, int] = {}
        self._redactor = Redactor()
        self._redactor_for: tuple[int, object] = (0, ())

    def redactor(self, settings: Settings) -> Redactor:
        """The redactor for the secrets the environment holds now and the settings' own rules."""
        secrets = _secrets()
        if self._redactor_for != (id(secrets), settings.redact):
            self._redactor = Redactor(secrets, settings.redact)
            self._redactor_for = (id(secrets), settings.redact)
        return self._redactor

    def shared_take(self, key: str) -> int:
        """The take under which this run records the shared *key*: one above other runs'."""
        if key not in self._takes:
            entries = self.store.manifest.shared_of(key)
            mine = {entry.take for entry in entries if entry.run == self.run.id}
            others = [entry.take for entry in entries if entry.run != self.run.id]
            self._takes[key] = min(mine) if mine else max(others, default=-1) + 1
        return self._takes[key]

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
