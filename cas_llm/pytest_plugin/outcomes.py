"""What became of each test, put together from the reports of its set-up, its call and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


class Outcomes:
    """The outcomes of tests that are under way; *say* finds in a long text what to tell of it."""

    def __init__(self, say: Callable[[str], str]) -> None:
        self._say = say
        self._found: dict[str, dict[str, Any]] = {}

    def take(self, report: pytest.TestReport) -> dict[str, Any] | None:
        """The test's outcome with its text and problems, once *report* is its last one."""
        found = self._found.setdefault(report.nodeid, {"outcome": "passed", "problems": []})
        if report.failed and found["outcome"] != "failed":
            found |= {"outcome": "failed", "text": self._say(report.longreprtext)}
        elif report.skipped and found["outcome"] == "passed":
            found["outcome"] = "skipped"
        found["problems"] += getattr(report, "cas_llm_problems", [])
        return self._found.pop(report.nodeid) if report.when == "teardown" else None


def last_line(text: str) -> str:
    """The first error line of *text*, else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    return (errors or lines or [""])[0 if errors else -1][:200]
