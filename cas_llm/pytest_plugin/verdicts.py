"""What a test's report says of its requests: a miss fails the test, and is told first.

Works on reports, and on what a test's scope has noted; opens no scope and writes no store.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cas_llm.pytest_plugin.origins import FOREIGN
from cas_llm.session import Problem, Scope, misses
from cas_llm.session.bindings import Binding
from cas_llm.session.closing import lenders
from cas_llm.session.report import problem_document
from cas_llm.session.runtime import Runtime
from cas_llm.store.tape import Turn


class RunningTest:
    """One attempt at a test: its scope, where its problems begin, and how it went.

    `wrong` says what of its marker cannot be read; then it has no scope and must not run.
    """

    def __init__(self, binding: Binding | None, problems_before: int, wrong: str = "") -> None:
        self.binding = binding
        self.wrong = wrong
        self.problems_before = problems_before
        self.passing = True
        self.told = 0


def tell(
    problems: Sequence[Problem],
    report: pytest.TestReport,
    call: pytest.CallInfo[Any],
    root: Path,
) -> bool:
    """Make *report* fail with the first of *problems*; false where it is not the time yet."""
    if report.skipped and hasattr(report, "wasxfail"):
        # Expected to fail, and did; the summary counts the miss.
        return True
    if report.when == "setup" and report.passed:
        # Told by the test's own phase: a failed set-up would keep the test from running at all.
        return False
    # Crosses processes with the report, so that others may know why it failed.
    vars(report)["cas_llm_problems"] = [problem_document(problem) for problem in problems]
    text = misses.explain(problems[0], test=report.nodeid)
    if len(problems) > 1:
        rest = len(problems) - 1
        text += f"\n  and {rest} more request{'s' * (rest > 1)} in this test"
    if report.failed and _came_from(call, problems):
        # Through an SDK the way to the refusal is a hundred lines; the user's own are few.
        report.longrepr = "\n".join([text, *_own_lines(call, root)])
    elif report.failed:
        report.longrepr = f"{text}\n\n{report.longreprtext}"
    else:
        report.outcome = "failed"
        report.longrepr = text
    return True


def tell_collection(problems: Sequence[Problem], report: pytest.CollectReport) -> None:
    """Make a module's collection fail with the request it made while it was imported."""
    text = misses.explain(problems[0], test=report.nodeid)
    if report.outcome == "failed" and misses.headline(problems[0]) not in report.longreprtext:
        text = f"{text}\n\n{report.longreprtext}"
    report.outcome = "failed"
    report.longrepr = text
    report.result = []


def tell_failure(scope: Scope, runtime: Runtime, name: str, report: pytest.TestReport) -> None:
    """Say below the failure of test *name* what of its answers its own error doesn't tell.

    Where they were recorded for another test the next run would serve the same, and the test could
    only fail again.
    """
    lines = [f"no answer from {host}   {error}" for host, error in scope.unanswered.items()]
    if lines:
        lines.append("Is it running, and is it where OPENAI_BASE_URL or its kin should point to?")
    if lent := lenders(scope, runtime):
        lines += [
            "served from another's recording, as this test has none of the request:",
            *(f"  {one}" for one in dict.fromkeys(lent)),
            f"Ask for its own:  pytest {shlex.quote(name)} --cas-llm=capture",
        ]
    if lines:
        report.sections.append(("cas-llm", "\n".join(lines)))


def is_fine(report: pytest.TestReport) -> bool:
    """Whether a phase of a test went as it should: it passed, or failed as expected."""
    return report.passed or (hasattr(report, "wasxfail") and report.skipped)


def tell_unplayed(turns: Sequence[Turn], name: str, report: pytest.TestReport) -> None:
    """Make *report* fail for recordings its test did not play."""
    lines = [f"    {turn.key[:12]}   {' '.join(turn.ask)[:80]}" for turn in turns]
    count = "1 recording" if len(turns) == 1 else f"{len(turns)} recordings"
    report.outcome = "failed"
    report.longrepr = "\n".join(
        [
            f"cas-llm: {count} of this test not played (--cas-llm-strict)",
            *lines,
            f"  Write its tape anew:  pytest {shlex.quote(name)} --cas-llm=fallback",
        ]
    )


def tell_once(stats: Mapping[str, Sequence[Any]]) -> None:
    """Leave the first line of what cas-llm said of a test for pytest's closing list.

    All of it was printed above; where ``CI`` is set, pytest would print all of it once more.
    """
    for report in (*stats.get("failed", ()), *stats.get("error", ())):
        said = getattr(report, "longrepr", None)
        if isinstance(said, str) and said.startswith("cas-llm: "):
            report.longrepr = said.partition("\n")[0]


def _came_from(call: pytest.CallInfo[Any], problems: Sequence[Problem]) -> bool:
    """Whether the test's exception is the refusal of one of *problems*."""
    if call.excinfo is None:
        return False
    text = str(call.excinfo.value)
    return any(misses.headline(problem) in text for problem in problems)


def _own_lines(call: pytest.CallInfo[Any], root: Path) -> list[str]:
    """Where in the project's own files the refused request was made."""
    assert call.excinfo is not None
    found = []
    for entry in call.excinfo.traceback:
        path = Path(entry.path)
        if path.is_relative_to(root) and not FOREIGN.intersection(path.parts):
            line = str(entry.statement).strip()
            found.append(f"  in {path.relative_to(root)}:{entry.lineno + 1}   {line}")
    return found
