"""After the last test: what wider fixtures recorded is kept, notes are written, the run is told.

A part of `Running`, and registered with it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from cas_llm.errors import CasLLMError
from cas_llm.pytest_plugin import summary, verdicts
from cas_llm.pytest_plugin.extent import extent_of, stopped_by
from cas_llm.pytest_plugin.noting import relative
from cas_llm.session import families, usage
from cas_llm.session.report import log_document, merged, write_last_run
from cas_llm.session.scopes import SHARED
from cas_llm.store.pending import Waiting

if TYPE_CHECKING:
    from cas_llm.pytest_plugin.running import Running


class Ending:
    """The end of the session that *running* is."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write what wider fixtures and imports recorded, before anyone reports."""
        running = self._running
        log = running.runtime.log
        before = len(log.problems)
        for scope in running.fixtures.opened():
            # Of a test that failed as well: the tie may be why it did.
            with contextlib.suppress(CasLLMError):
                running.notes.tie(scope)
        for scope in (*running.fixtures.passed(), running.shared.scope):
            families.adopt_problems(running.runtime.run, scope, log)
            if running.settings.mode.records or scope.recorded:
                with running.notes.telling():
                    running.notes.keep(scope)
            with contextlib.suppress(CasLLMError):
                running.notes.usage(scope)
        with running.notes.telling():
            running.runtime.store.flush()
        running.watching.close(running.shared.scope)
        stray = (
            running.notes.unkept
            or len(log.problems) > before
            or any(
                problem["scope"] == SHARED
                for document in (log_document(log), *running.workers)
                for problem in document["problems"]
            )
        )
        if stray and session.exitstatus == pytest.ExitCode.OK:
            # Outside any test, and swallowed: nothing else would turn the run red.
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        running = self._running
        own = self.document()
        document = merged([own, *running.workers, *families.logs(running.runtime.run)])
        # Words, and what only the end shows: the distributing process's own.
        document |= {name: own[name] for name in ("mode", "mode_source", "store", "waiting")}
        # Several workers opened one fixture.
        document["ties"] = {scope: [*dict.fromkeys(t)] for scope, t in document["ties"].items()}
        write_last_run(running.runtime.store, document["problems"])
        extent = extent_of(document["extent"])
        usage.note(running.runtime.store, document.pop("scopes"), extent)
        running.watching.keep(extent)
        document["wanted"] = running.wanted.lines(document["extent"])
        stopped = stopped_by(terminalreporter, exitstatus)
        said = running.reporting.write(document, stopped=stopped)
        summary.show(terminalreporter, document, running.config, said)
        verdicts.tell_once(terminalreporter.stats)

    def document(self) -> dict[str, Any]:
        """What this process has to report."""
        running = self._running
        said, run = running.settings.mode_said, running.runtime.run
        waiting: list[Waiting] = []
        with running.notes.telling():
            waiting = [w for w in running.runtime.store.pending.all() if w.run == run.id]
        return {
            "mode": str(said.mode),
            "mode_source": said.source,
            "store": relative(running.settings.store),
            **running.reporting.log(log_document(running.runtime.log)),
            **running.notes.document(),
            "waiting": sorted({w.digest for w in waiting}),
            "extent": running.extent.document(),
            "report": running.reporting.document(running.fixtures.opened()),
        }
