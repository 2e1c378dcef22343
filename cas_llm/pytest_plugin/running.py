"""A pytest session with cas-llm on: scopes around tests and fixtures, verdicts, the end.

Registered once something asks for cas-llm, so that its hooks cost nothing before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from cas_llm import config as settings_table
from cas_llm.config import Rank, Settings
from cas_llm.errors import CasLLMError, ConfigError
from cas_llm.pytest_plugin import MARKER, ini_values, summary
from cas_llm.pytest_plugin.fixtures import WideFixtures
from cas_llm.pytest_plugin.keys import Placeholders
from cas_llm.pytest_plugin.origins import origin_of
from cas_llm.session import Kind, Scope, Session, misses
from cas_llm.session.bindings import Binding, pop, push
from cas_llm.session.closing import borrows, passed, unplayed
from cas_llm.session.report import log_document, merged
from cas_llm.session.runs import Run
from cas_llm.session.runtime import Runtime
from cas_llm.store import pick
from cas_llm.transports import install as transports

_FOREIGN = frozenset({"site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox"})
RUN_VARIABLE = "CAS_LLM_RUN"
_TEST = pytest.StashKey["RunningTest"]()
_NAME = pytest.StashKey[str]()


class RunningTest:
    """One attempt at a test: its scope, where its problems begin, and how it went."""

    def __init__(self, binding: Binding | None, problems_before: int) -> None:
        self.binding = binding
        self.problems_before = problems_before
        self.passing = True
        self.told = False


class Running:
    """The plugin at work; `session` is what holds for the running test."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings = _settings(config)
        self.base = self._session()
        self.session = self.base
        self.runtime: Runtime = self.base.runtime
        self.fixtures = WideFixtures(self.runtime, config.rootpath)
        self.tests: dict[str, dict[str, Any]] = {}
        self.totals = {"new_recordings": 0, "new_tapes": 0}
        self.borrowers: list[str] = []
        self.ties: dict[str, list[str]] = {}
        self.workers: list[dict[str, Any]] = []
        self._names: dict[str, int] = {}
        self._placeholders = Placeholders(self.settings)
        self._shared = Binding(self.base, Scope(staged=True))
        self._stopped = False
        transports.install()
        push(self._shared)
        self._placeholders.put()
        if not _is_worker():
            os.environ[RUN_VARIABLE] = f"{self.runtime.run.id} {self.runtime.run.folder}"
        transports.announce(self._shared)

    def header(self) -> str:
        """The line for pytest's header."""
        said = self.settings.mode_said
        return f"cas-llm: {said.mode} ({said.source}), store {_relative(self.settings.store)}"

    def collected(self, items: list[pytest.Item]) -> None:
        """Give each item its scope's name, and let overridden settings be set up first."""
        for item in items:
            count = self._names[item.nodeid] = self._names.get(item.nodeid, 0) + 1
            item.stash[_NAME] = item.nodeid if count == 1 else f"{item.nodeid}#{count}"
            names = getattr(item, "fixturenames", None)
            if names is not None and _overrides_config(item) and "cas_llm_config" not in names:
                names.insert(0, "cas_llm_config")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        before = len(self.runtime.log.problems)
        try:
            binding = self._open(item)
        except ConfigError as error:
            item.stash[_TEST] = RunningTest(None, before)
            pytest.fail(f"cas-llm: {error}", pytrace=False)
        push(binding)
        if binding is not None:
            transports.announce(binding)
        item.stash[_TEST] = RunningTest(binding, before)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            result = yield
            if fixturedef.argname == "cas_llm_config" and result:
                self._reconfigure(request.node, result)
            return result
        scope = self.fixtures.scope_for(fixturedef, request)
        binding = Binding(self.session, scope)
        fixturedef.addfinalizer(lambda: self._leave(binding))
        push(binding)
        transports.announce(binding)
        try:
            return (yield)
        finally:
            pop(binding)
            binding.closed = False
            fixturedef.addfinalizer(lambda: push(binding))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        test = item.stash.get(_TEST, None)
        if test is None:
            return report
        if call.when == "teardown" and test.passing and report.passed:
            self._check_strict(test, report)
        self._tell_problems(test, report, call)
        expected = hasattr(report, "wasxfail") and report.skipped
        test.passing = test.passing and (report.passed or expected)
        if call.when == "teardown":
            self._close(item, test, report)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Write what wider fixtures and imports recorded, before anyone reports."""
        if self.settings.mode.records or self.runtime.log.sums.live:
            for scope in self.fixtures.passed():
                self._keep(scope)
            self._keep(self._shared.scope)
        self.runtime.store.flush()

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        document = merged([self.document(), *self.workers])
        # Words, and what only the end shows: the distributing process's own.
        own = self.document()
        document |= {name: own[name] for name in ("mode", "mode_source", "store", "waiting")}
        summary.show(terminalreporter, document, self.config)

    def document(self) -> dict[str, Any]:
        """What this process has to report."""
        said = self.settings.mode_said
        waiting = [w for w in self.runtime.store.pending.all() if w.run == self.runtime.run.id]
        return {
            "mode": str(said.mode),
            "mode_source": said.source,
            "store": _relative(self.settings.store),
            **log_document(self.runtime.log),
            **self.totals,
            "waiting": sorted({w.digest for w in waiting}),
            "borrowers": list(self.borrowers),
            "ties": dict(self.ties),
            "tests": dict(self.tests),
        }

    def stop(self) -> None:
        """Take everything off again."""
        if self._stopped:
            return
        self._stopped = True
        pop(self._shared)
        transports.silence()
        transports.uninstall()
        self._placeholders.take_back()
        self.runtime.store.close()
        if not _is_worker():
            os.environ.pop(RUN_VARIABLE, None)
            self.runtime.run.close()

    def _session(self) -> Session:
        runtime = Runtime(self.settings, _run_of_environment())
        replace_edited = bool(self.config.getoption("cas_llm_replace_edited", default=False))
        return Session(self.settings, runtime, replace_edited=replace_edited)

    def _open(self, item: pytest.Item) -> Binding | None:
        self.session = self.base
        if item.get_closest_marker("vcr") is not None and self.settings.vcr == "keep":
            return None
        locked = False
        for marker in reversed(list(item.iter_markers(MARKER))):
            values = dict(marker.kwargs)
            locked = bool(values.pop("locked", locked))
            mode = values.pop("mode", marker.args[0] if marker.args else None)
            source = f"@pytest.mark.cas_llm of {item.nodeid}"
            settings = self.session.settings.says(mode, Rank.MARKER, source)
            self.session = self.base.derived(settings.but(source, **values))
        scope = Scope(
            item.stash.get(_NAME, item.nodeid),
            Kind.TEST,
            origin=origin_of(item),
            locked=locked,
            attempt=int(getattr(item, "execution_count", 1) or 1),
            staged=True,
        )
        return Binding(self.session, scope)

    def _reconfigure(self, item: Any, values: dict[str, Any]) -> None:
        test = item.stash.get(_TEST, None) if hasattr(item, "stash") else None
        if test is None or test.binding is None:
            return
        settings = test.binding.session.settings
        given = dict(values)
        source = "fixture cas_llm_config"
        settings = settings.says(given.pop("mode", None), Rank.TABLE, source).but(source, **given)
        self.session = test.binding.session = self.base.derived(settings)

    def _leave(self, binding: Binding) -> None:
        pop(binding)
        binding.scope.closed = True

    def _tell_problems(
        self, test: RunningTest, report: pytest.TestReport, call: pytest.CallInfo[Any]
    ) -> None:
        problems = self.runtime.log.problems[test.problems_before :]
        if not problems or test.told:
            return
        if report.skipped and hasattr(report, "wasxfail"):
            return
        text = misses.explain(problems[0])
        if len(problems) > 1:
            text += f"\n  and {len(problems) - 1} more requests in this test"
        if report.failed and _came_from(call, problems):
            # Through an SDK the way to the refusal is a hundred lines; the user's own are few.
            report.longrepr = "\n".join([text, *self._own_lines(call)])
        elif report.failed:
            report.sections.append(("cas-llm", text))
        elif report.when == "setup" and report.passed:
            return
        else:
            report.outcome = "failed"
            report.longrepr = text
        test.told = True

    def _own_lines(self, call: pytest.CallInfo[Any]) -> list[str]:
        """Where in the project's own files the refused request was made."""
        assert call.excinfo is not None
        root = self.config.rootpath
        found = []
        for entry in call.excinfo.traceback:
            path = Path(entry.path)
            if path.is_relative_to(root) and not _FOREIGN.intersection(path.parts):
                line = str(entry.statement).strip()
                found.append(f"  in {path.relative_to(root)}:{entry.lineno + 1}   {line}")
        return found

    def _check_strict(self, test: RunningTest, report: pytest.TestReport) -> None:
        if test.binding is None or not self.config.getoption("cas_llm_strict", default=False):
            return
        left = unplayed(test.binding.scope, self.runtime)
        if left:
            lines = [f"    {turn.key[:12]}   {' '.join(turn.ask)[:80]}" for turn in left]
            name = test.binding.scope.name
            report.outcome = "failed"
            report.longrepr = "\n".join(
                [
                    f"cas-llm: {len(left)} recordings of this test were not played (strict)",
                    *lines,
                    f"  Record its tape anew:  pytest '{name}' --cas-llm=fallback",
                ]
            )

    def _close(self, item: pytest.Item, test: RunningTest, report: pytest.TestReport) -> None:
        del item.stash[_TEST]
        pop(test.binding)
        transports.announce(self._shared)
        self.session = self.base
        if test.binding is None:
            return
        scope = test.binding.scope
        scope.closed = True
        if test.passing:
            self.fixtures.used_by(item)
            if test.binding.session.settings.mode.records or scope.recorded:
                try:
                    self._keep(scope)
                except CasLLMError as error:
                    report.outcome, report.longrepr = "failed", f"cas-llm: {error}"
            elif borrows(scope, self.runtime):
                self.borrowers.append(scope.name)
        self._note(scope, passed=test.passing)

    def _keep(self, scope: Scope) -> None:
        written = passed(scope, self.runtime)
        self.totals["new_recordings"] += written.recordings
        self.totals["new_tapes"] += written.tape is not None

    def _note(self, scope: Scope, *, passed: bool) -> None:
        if not scope.uses and not scope.problems:
            return
        self.tests[scope.name] = {
            "passed": passed,
            "used": [{"key": use.key, "digest": use.digest} for use in scope.in_order()],
        }
        for tied in pick.ties(scope.tapes(self.runtime.store)):
            self.ties[scope.name] = [str(tape.path(self.runtime.store.root)) for tape in tied]


def _came_from(call: pytest.CallInfo[Any], problems: list[misses.Problem]) -> bool:
    """Whether the test's exception is the refusal of one of *problems*."""
    if call.excinfo is None:
        return False
    text = str(call.excinfo.value)
    return any(misses.headline(problem) in text for problem in problems)


def _settings(config: pytest.Config) -> Settings:
    options = config.known_args_namespace
    given = {
        name: value
        for name in ("mode", "store", "max_cost", "live_on_ci")
        if (value := getattr(options, f"cas_llm_{name}", None))
    }
    settings = settings_table.load(
        config.rootpath, command_line=given, ini=ini_values(config), under_pytest=True
    )
    if "store" in given:
        # A path on the command line is relative to where the command was typed.
        place = (config.invocation_params.dir / Path(given["store"]).expanduser()).absolute()
        settings = settings.but("the command line", store=str(place))
    return settings


def _run_of_environment() -> Run | None:
    """The run of the process that distributes the tests, if this is one of its workers."""
    about = os.environ.get(RUN_VARIABLE, "")
    if not (_is_worker() and about):
        return None
    run_id, _, folder = about.partition(" ")
    return Run(Path(folder), run_id)


def _is_worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ and "xdist" in sys.modules


def _overrides_config(item: pytest.Item) -> bool:
    manager = item.session._fixturemanager  # noqa: SLF001 - there is no public way to ask
    found = manager.getfixturedefs("cas_llm_config", item)
    return found is not None and len(found) > 1


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
