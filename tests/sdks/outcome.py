"""What came of one row, read from pytest's report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from sdks.adapter import FEATURES
from sdks.rows import Row

OWN = "own"
COLUMNS: Mapping[str, str] = {
    **FEATURES,
    "miss": "one miss",
    "keyless": "keyless",
    OWN: "cas-llm's own",
}
"""The columns of the table: each feature, and what holds for every SDK."""


@dataclass
class Cell:
    """One promise of one adapter: how many tests passed, and why the others failed."""

    passed: int = 0
    failures: list[str] = field(default_factory=list)
    absent: str = ""

    @property
    def state(self) -> str:
        """``yes``, ``no`` or ``-``: it does not apply."""
        if self.failures:
            return "no"
        return "yes" if self.passed else "-" if self.absent else "no"

    @property
    def reason(self) -> str:
        """Why it is not ``yes``."""
        if self.failures:
            return self.failures[0]
        return "" if self.passed else self.absent or "no test of it ran"


@dataclass
class Outcome:
    """What came of a row: a cell for each adapter and column, versions, times, and what broke."""

    row: Row
    cells: dict[str, dict[str, Cell]]
    speaks: dict[str, str] = field(default_factory=dict)
    untold: dict[str, list[str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    passed: int = 0
    failed: int = 0
    set_up: float = 0.0
    ran: float = 0.0
    broke: str = ""

    @classmethod
    def of(cls, row: Row) -> Outcome:
        """The outcome of a row of which nothing is known yet."""
        return cls(row, {name: {column: Cell() for column in COLUMNS} for name in row.adapters})

    @property
    def good(self) -> bool:
        """Whether everything that applies holds."""
        every = (cell for cells in self.cells.values() for cell in cells.values())
        return not self.broke and not self.failed and all(cell.state != "no" for cell in every)

    def read(self, report: Path) -> Outcome:
        """Take in pytest's report."""
        for case in ET.parse(report).iter("testcase"):
            problem = case.find("failure")
            problem = case.find("error") if problem is None else problem
            why = "" if problem is None else _line(problem)
            self.passed += not why
            self.failed += bool(why)
            for name, value in _properties(case):
                self._take(name, value, case.get("name", ""), why)
        return self

    def _take(self, name: str, value: str, test: str, why: str) -> None:
        adapter, _, rest = value.partition(" ")
        if name == "cell":
            owners = list(self.cells) if adapter == OWN else [adapter]
            for cell in (self.cells[owner].setdefault(rest, Cell()) for owner in owners):
                cell.passed += not why
                cell.failures += [f"{test}: {why}"] if why else []
        elif name == "absent":
            feature, _, reason = rest.partition(" ")
            self.cells[adapter][feature].absent = reason
        elif name == "speaks":
            self.speaks[adapter] = rest
        elif name == "told" and rest.endswith(" no"):
            self.untold.setdefault(adapter, []).append(rest.removesuffix(" no"))


def _properties(case: ET.Element) -> Iterator[tuple[str, str]]:
    for one in case.iter("property"):
        yield one.get("name", ""), one.get("value", "")


def _line(problem: ET.Element) -> str:
    said = problem.get("message") or problem.text or "failed"
    return said.strip().splitlines()[0][:200]
