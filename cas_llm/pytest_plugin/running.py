"""A pytest session with cas-llm on: scopes around tests and fixtures, verdicts, the end.

Registered once something asks for cas-llm, so that its hooks cost nothing before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest

from cas_llm.errors import CasLLMError, ConfigError
from cas_llm.modes import Mode
from cas_llm.pytest_plugin import verdicts
from cas_llm.pytest_plugin.choosing import (
    RUN_VARIABLE,
    announce_run,
    is_partial,
    is_worker,
    overrides_config,
    run_of_environment,
    run_settings,
    settings_for,
)
from cas_llm.pytest_plugin.ending import Ending
from cas_llm.pytest_plugin.extent import Watched
from cas_llm.pytest_plugin.fixtures import WideFixtures
from cas_llm.pytest_plugin.noting import Notes, relative
from cas_llm.pytest_plugin.origins import origin_of
from cas_llm.pytest_plugin.reporting import Reporting
from cas_llm.pytest_plugin.vcr_marker import take_over
from cas_llm.pytest_plugin.verdicts import RunningTest
from cas_llm.pytest_plugin.wanted import Wanted
from cas_llm.pytest_plugin.watching import Watching
from cas_llm.session import Kind, Scope, Session, families
from cas_llm.session.bindings import Binding, current, pop, push
from cas_llm.session.closing import borrows, unplayed
from cas_llm.session.placeholders import Placeholders
from cas_llm.session.runtime import Runtime
from cas_llm.transports import install as transports

_TEST = pytest.StashKey[RunningTest]()
_NAME = pytest.StashKey[str]()


class Running:
    """The plugin at work; `session` is what holds for the running test."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings = run_settings(config)
        self.base = self._session()
        self.session = self.base
        self.partial = is_partial(config)
        self.runtime: Runtime = self.base.runtime
        self.fixtures = WideFixtures(config.rootpath)
        self.notes = Notes(self.runtime)
        self.extent = Watched(config)
        self.wanted = Wanted(config)
        self.reporting = Reporting(config, self.runtime, self.settings.store)
        self.reporting.begin(self.wanted.files)
        self.watching = Watching(config, self.runtime, self.settings)
        self.workers: list[dict[str, Any]] = []
        self._overridden: Mapping[str, Any] = {}
        self._names: dict[str, int] = {}
        self._placeholders = Placeholders(self.settings)
        self.shared = Binding(self.base, Scope(staged=True))
        self.ending = Ending(self)
        config.pluginmanager.register(self.ending, "cas_llm_ending")
        self._stopped = False
        transports.install()
        take_over(config, self.settings)
        push(self.shared)
        self._placeholders.put()
        if not is_worker():
            announce_run(self.runtime.run, partial=self.partial)
        _announce()

    def header(self) -> str:
        """The line for pytest's header."""
        said = self.settings.mode_said
        only = self.wanted.header(records=said.mode.records)
        return f"cas-llm: {said.mode} ({said.source}), store {relative(self.settings.store)}{only}"

    def collected(self, items: list[pytest.Item]) -> None:
        """Give each item its scope's name, and let overridden settings be set up first."""
        for item in items:
            count = self._names[item.nodeid] = self._names.get(item.nodeid, 0) + 1
            item.stash[_NAME] = item.nodeid if count == 1 else f"{item.nodeid}#{count}"
            self.extent.collect(item.stash[_NAME], item)
            names = getattr(item, "fixturenames", None)
            if names is not None and overrides_config(item):
                names.insert(0, "_cas_llm_settings")
        self.wanted.choose(items, lambda item: item.stash[_NAME])

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        for item in items:
            self.extent.collect(item.stash.get(_NAME, item.nodeid), item)
        self.extent.leave_out(len(items))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        before = len(self.runtime.log.problems)
        report = yield
        # A module that skips itself has tests all the same.
        self.extent.leave_out(int(not report.passed))
        if problems := self.runtime.log.problems[before:]:
            self.reporting.found(problems, report.nodeid, None)
            verdicts.tell_collection(problems, report)
        self.reporting.not_collected(report)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        before = len(self.runtime.log.problems)
        self._overridden = {}
        binding, wrong = None, ""
        try:
            binding = self._open(item)
        except ConfigError as error:
            wrong = str(error)
        push(binding)
        _announce()
        self.watching.begins()
        item.stash[_TEST] = RunningTest(binding, before, wrong)
        return (yield)

    def refuse(self, item: pytest.Item) -> None:
        """Fail the set-up of *item* if what its marker says cannot be read."""
        # Not in the wrapper above: the other plugins' wrappers must have begun, as they will end.
        if wrong := item.stash[_TEST].wrong:
            pytest.fail(f"cas-llm: {wrong}", pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        settings, locked = settings_for(request.node, self.settings, self._overridden)
        # Tests left out of this run quote the fixture's recorded answer, and would miss with a
        # new one: only a run of all tests asks a wider fixture's requests anew.
        scope = self.fixtures.scope_for(fixturedef, request, locked=locked or self.partial)
        binding = Binding(self.base.derived(settings), scope)
        fixturedef.addfinalizer(_then(self._leave, binding))
        push(binding)
        _announce()
        try:
            with self.watching.widely():
                return (yield)
        finally:
            pop(binding)
            binding.closed = False
            _announce()
            fixturedef.addfinalizer(_then(self._enter_again, binding))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        test = item.stash.get(_TEST, None)
        if test is None:
            return report
        if test.binding is not None:
            families.adopt_problems(self.runtime.run, test.binding.scope, self.runtime.log)
        if call.when == "teardown" and test.passing and report.passed:
            self._check_strict(test, report)
        name = item.stash.get(_NAME, item.nodeid)
        problems = self.runtime.log.problems[test.problems_before + test.told :]
        self.reporting.found(problems, name, item)
        if problems and verdicts.tell(problems, report, call, self.config.rootpath):
            test.told += len(problems)
        elif report.failed and call.when == "call" and test.binding is not None:
            verdicts.tell_failure(test.binding.scope, self.runtime, name, report)
        self.extent.report(name, report)
        test.passing = test.passing and verdicts.is_fine(report)
        if call.when == "teardown":
            self._close(item, test, report)
            outcome = "passed" if test.passing else self.extent.outcomes.get(name, "failed")
            own = [test.binding.scope] if test.binding else []
            self.watching.ends(item, name, outcome, [*own, *self.fixtures.of(item)])
        return report

    def stop(self) -> None:
        """Take everything off again."""
        if self._stopped:
            return
        self._stopped = True
        pop(self.shared)
        if self.settings.mode is Mode.REPLAY:
            transports.hold_at_exit(self.shared.session)
        transports.silence()
        transports.uninstall()
        self._placeholders.take_back()
        with self.notes.telling():
            self.runtime.store.close()
        if not is_worker():
            os.environ.pop(RUN_VARIABLE, None)
            self.runtime.run.close()

    def override(self, item: pytest.Item, values: Mapping[str, Any]) -> None:
        """Let the fixture `cas_llm_config`'s *values* hold for *item* and what it sets up."""
        test = item.stash.get(_TEST, None)
        if test is None or test.binding is None or not values:
            return
        self._overridden, wrong = values, ""
        try:
            settings, locked = settings_for(item, self.settings, values)
        except ConfigError as error:
            wrong = str(error)
        if wrong:
            pytest.fail(f"cas-llm: {wrong}", pytrace=False)
        test.binding.scope.locked = locked
        self.session = test.binding.session = self.base.derived(settings)
        _announce()

    def _session(self) -> Session:
        runtime = Runtime(self.settings, run_of_environment())
        # The options proper are not parsed before the first conftest.
        options = self.config.known_args_namespace
        replace_edited = bool(getattr(options, "cas_llm_replace_edited", False))
        return Session(self.settings, runtime, replace_edited=replace_edited)

    def _open(self, item: pytest.Item) -> Binding | None:
        self.session = self.base
        if item.get_closest_marker("vcr") is not None and self.settings.vcr == "keep":
            return None
        settings, locked = settings_for(item, self.settings, {})
        self.session = self.base.derived(settings)
        scope = Scope(
            item.stash.get(_NAME, item.nodeid),
            Kind.TEST,
            origin=origin_of(item),
            locked=locked,
            attempt=int(getattr(item, "execution_count", 1) or 1),
            staged=True,
        )
        return Binding(self.session, scope)

    def _enter_again(self, binding: Binding) -> None:
        push(binding)
        _announce()

    def _leave(self, binding: Binding) -> None:
        pop(binding)
        binding.scope.closed = True
        _announce()

    def _check_strict(self, test: RunningTest, report: pytest.TestReport) -> None:
        if test.binding is None or not self.config.getoption("cas_llm_strict", default=False):
            return
        scope = test.binding.scope
        families.adopt(self.runtime.run, scope)
        if left := unplayed(scope, self.runtime):
            verdicts.tell_unplayed(left, scope.name, report)

    def _close(self, item: pytest.Item, test: RunningTest, report: pytest.TestReport) -> None:
        del item.stash[_TEST]
        pop(test.binding)
        _announce()
        self.session = self.base
        if test.binding is None:
            return
        scope = test.binding.scope
        scope.closed = True
        self.runtime.settle(scope)
        families.adopt(self.runtime.run, scope)
        try:
            if test.passing:
                self.fixtures.used_by(item)
                if test.binding.session.settings.mode.records or scope.recorded:
                    self.notes.keep(scope)
                else:
                    self.reporting.passed(scope)
                    if borrows(scope, self.runtime):
                        self.notes.borrowers.append(scope.name)
            self.notes.test(scope, passed=test.passing)
        except CasLLMError as error:
            # A damaged tape, a full disk: this test's trouble, not the run's end. Where the test
            # failed, it has been told already.
            if test.passing:
                report.outcome, report.longrepr = "failed", f"cas-llm: {error}"


def _announce() -> None:
    """Let children join what holds now; where another tool's marker holds, nothing."""
    binding = current()
    if binding is None:
        transports.silence()
    else:
        transports.announce(binding)


def _then(call: Callable[[Binding], None], binding: Binding) -> Callable[[], None]:
    return lambda: call(binding)
