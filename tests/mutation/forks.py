"""A pytest plugin that runs the collected tests against one mutant after the other.

The tests are collected once. A first child runs them all without a mutant and notes which test
enters which function and how long it takes; then a child for each mutant runs the tests that enter
its function, until one fails. A child inherits what was imported and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import hypothesis
import pytest
from mutmut.mutation import trampoline

PATIENCE = 10.0
"""Seconds of processor a test may take beyond ten times what it took without a mutant."""

WAITING = 6
"""How many times as long it may take by the clock: a busy machine is no mutant's fault."""

BUDGET = 4.0
"""Seconds, without a mutant, of the tests that a mutant is shown to."""

MEMORY = 8 << 30
SURVIVED, KILLED, BROKEN = 0, 1, 3

_entered: set[str] = set()
_failed: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    trampoline.record_trampoline_hit = lambda name, caller=None: _entered.add(name)
    trampoline._mutant_under_test = "stats"
    # A failing example is enough: neither made smaller nor kept for the next mutant.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, phases=phases
    )
    hypothesis.settings.load_profile("mutation")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        _failed.append(f"{report.nodeid}: {report.longrepr}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    if session.testsfailed:
        raise session.Interrupted("the tests can't be collected")
    plan = json.loads(Path(os.environ["MUTATION_PLAN"]).read_text("utf-8"))
    at_import = set(_entered)
    trampoline._mutant_under_test = None
    items = session.items
    with Path(os.environ["MUTATION_RESULTS"]).open("w", encoding="utf-8") as out:
        control = _control(items, out.name + ".control")
        for name in plan:
            function = name.rpartition("__mutmut_")[0]
            chosen = _chosen(items, control, function)
            began = time.perf_counter()
            work = partial(_against, name, chosen)
            outcome = _outcome(_in_child(work)) if chosen else "untested"
            line = {
                "name": name,
                "outcome": outcome,
                "tests": len(chosen),
                "seconds": round(time.perf_counter() - began, 2),
                "at_import": function in at_import,
            }
            print(json.dumps(line), file=out, flush=True)
    return True


def _control(items: list[pytest.Item], path: str) -> list[dict[str, object]]:
    status = _in_child(partial(_measure, items, path))
    told = json.loads(Path(path).read_text("utf-8")) if os.path.exists(path) else {}
    if status or told.get("failed"):
        pytest.exit(f"tests fail without a mutant ({status}): {told.get('failed')}", 3)
    return told["tests"]


def _measure(items: list[pytest.Item], path: str) -> int:
    tests = []
    for item, following in zip(items, [*items[1:], None], strict=True):
        _entered.clear()
        trampoline._mutant_under_test = "stats"
        began = time.perf_counter()
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        except BaseException:
            _failed.append(f"{item.nodeid}: {traceback.format_exc()}")
            break
        tests.append({"seconds": time.perf_counter() - began, "functions": sorted(_entered)})
    Path(path).write_text(json.dumps({"tests": tests, "failed": _failed}), "utf-8")
    return SURVIVED


def _chosen(
    items: list[pytest.Item], control: list[dict[str, object]], function: str
) -> list[tuple[pytest.Item, float]]:
    """The tests that enter *function* with their seconds: its module's own, then short others."""
    _, package, *modules, _ = function.split(".")
    own = f"tests/{package}/test_{modules[0] if modules else package}.py"
    entering = [
        (item, told["seconds"])
        for item, told in zip(items, control, strict=True)
        if function in told["functions"]
    ]
    entering.sort(key=lambda pair: (not pair[0].nodeid.startswith(own), pair[1]))
    chosen, left = [], BUDGET
    for item, seconds in entering:
        if seconds <= left:
            left -= seconds
            chosen.append((item, seconds))
    return chosen


def _against(name: str, chosen: list[tuple[pytest.Item, float]]) -> int:
    trampoline.set_mutant_under_test(name)
    tests = [item for item, _ in chosen]
    for (item, seconds), following in zip(chosen, [*tests[1:], None], strict=True):
        signal.setitimer(signal.ITIMER_PROF, PATIENCE + 10 * seconds)
        signal.setitimer(signal.ITIMER_REAL, WAITING * (PATIENCE + 10 * seconds))
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if _failed:
            return KILLED
    return SURVIVED


def _in_child(work: Callable[[], int]) -> int:
    """What *work* returns in a process of its own, negative where a signal ended that."""
    child = os.fork()
    if child == 0:
        status = BROKEN
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            status = work()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what a test left running when it was cut short
    return os.waitstatus_to_exitcode(status)


def _outcome(status: int) -> str:
    if status == SURVIVED:
        return "survived"
    return "timeout" if status in {-signal.SIGALRM, -signal.SIGPROF} else "killed"
