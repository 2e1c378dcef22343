"""One re-record of tests: pytests at work, a ledger that is kept, and what came of each test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cas_llm.rerecord.ledger import Ledger
from cas_llm.rerecord.planning import Rerun
from cas_llm.rerecord.testing import (
    FAILED,
    PASSED,
    Batch,
    Bench,
    Ended,
    Running,
    bare,
    batches,
    left_in,
)
from cas_llm.store import Store, pick
from cas_llm.store.retaking import calls_of
from cas_llm.store.tape import Tape


@dataclass(frozen=True)
class Done:
    """What came of a test: how many answers its tape has now, and how many of them are new."""

    ended: Ended
    take: int = 0
    answers: int = 0
    new: int = 0


@dataclass
class Account:
    """What all pytests did: tests, live calls, money; `earlier` tests were done by a killed one."""

    done: list[Done] = field(default_factory=list)
    calls: int = 0
    spent: float = 0.0
    unknown: int = 0
    earlier: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


Tell = Callable[[int, float], None]
"""Told how many tests have ended, and what was spent so far."""


class Rerecord:
    """The tests *reruns*, run as *batch* says, with what is to be known beside them."""

    def __init__(
        self, reruns: Sequence[Rerun], batch: Batch, bench: Bench, ledger: Ledger, store: Store
    ) -> None:
        self._reruns = reruns
        self._batch = batch
        self._bench = bench
        self._ledger = ledger
        self._store = store
        self._names = {bare(rerun.test): rerun.test for rerun in reruns}
        self.account = Account()

    def run(self, jobs: int, tell: Tell) -> Account:
        """Run what is left of them, *jobs* pytests at a time; *tell* is called at each step."""
        left = self._left()
        before = {rerun.test: _current(self._store, rerun.test) for rerun in left}
        self._ledger.bench(self._bench.folder)
        account = self.account
        try:
            for mode in dict.fromkeys(rerun.mode for rerun in left):
                self._in_mode(mode, [one.test for one in left if one.mode == mode], jobs, tell)
        finally:
            done = [_done(one.ended, before, self._store) for one in account.done]
            account.done = sorted(done, key=lambda one: one.ended.test)
        return account

    def _left(self) -> list[Rerun]:
        """The tests to be run, after what a killed process has left is taken over."""
        ledger = self._ledger
        self._take_over()
        tests = [rerun.test for rerun in self._reruns]
        if not ledger.goes_on([*map(unit_of, tests)]):
            # Done before, and wanted once more.
            ledger.forget(map(unit_of, tests))
        done = ledger.done
        self.account.earlier = tuple(test for test in tests if unit_of(test) in done)
        lost = {*ledger.lost} - {*done}
        self.account.lost = tuple(test for test in tests if unit_of(test) in lost)
        left = [rerun for rerun in self._reruns if unit_of(rerun.test) not in done]
        ledger.plan(unit_of(rerun.test) for rerun in left)
        return left

    def _take_over(self) -> None:
        """Note what pytests have done whose owner was killed before it read of it."""
        ledger = self._ledger
        names = {bare(name): name for name in ledger.units}
        for folder in ledger.benches:
            runs, passed = left_in(folder)
            for one in runs:
                ledger.run(one)
            for name in {unit_of(test) for test in passed} & names.keys():
                ledger.store(names[name])

    def _in_mode(self, mode: str, tests: Sequence[str], jobs: int, tell: Tell) -> None:
        account, bench = self.account, self._bench
        already, spent, first = len(account.done), account.spent, len(bench.running)
        batch = replace(
            self._batch,
            tests=tuple(tests),
            mode=mode,
            max_cost=max(0.0, self._batch.max_cost - spent),
            resumes=self._ledger.runs,
        )
        for part in batches(batch, jobs):
            bench.start(part)
        mine = bench.running[first:]

        def told(line: Mapping[str, Any]) -> None:
            self._note(line)
            ended = already + sum(len(one.ended) for one in mine)
            tell(ended, spent + sum(one.spent for one in mine))

        try:
            bench.follow(told)
        except KeyboardInterrupt:
            bench.end()
            for one in mine:
                for line in one.news():
                    self._note(line)
            raise
        finally:
            for one in mine:
                self._settle(one)

    def _note(self, line: Mapping[str, Any]) -> None:
        ledger = self._ledger
        if "run" in line:
            ledger.run(line["run"])
        elif "began" in line:
            ledger.begin(self._unit_of(line["began"]))
        elif "test" in line and line["outcome"] == PASSED:
            ledger.store(self._unit_of(line["test"]))
        elif "test" in line:
            # Without its text, which nobody reads there, and which may quote a key.
            ledger.fail(self._unit_of(line["test"]), line["outcome"])

    def _settle(self, one: Running) -> None:
        """Note what a pytest that is over has done, and what it has not come to."""
        account, sums = self.account, one.report().get("sums", {})
        account.calls += int(sums.get("live_calls", 0))
        account.unknown += int(sums.get("unknown_prices", 0))
        account.spent += float(sums.get("spent_usd", one.spent))
        account.done += [Done(ended) for ended in one.outcomes()]

    def _unit_of(self, name: str) -> str:
        return unit_of(self._names.get(name, name))


def _done(ended: Ended, before: Mapping[str, Tape | None], store: Store) -> Done:
    old, new = before.get(ended.test), _current(store, ended.test)
    if ended.outcome not in {PASSED, FAILED} or new is None:
        return Done(ended)
    had = set(calls_of(old)) if old else set()
    calls = calls_of(new)
    return Done(ended, new.take, len(calls), sum(call not in had for call in calls))


def _current(store: Store, scope: str) -> Tape | None:
    """The tape of the highest take, as it is on disk now."""
    tapes = store.manifest.tapes_of(scope)
    newest = max((tape.take for tape in tapes), default=0)
    return pick.current(tape for tape in tapes if tape.take == newest)


def unit_of(test: str) -> str:
    """What a ledger calls the test."""
    return f"test:{test}"
