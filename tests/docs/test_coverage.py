"""The page of coverage lists every ability of the replaced systems once, and its tests are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

TREE = Path(__file__).resolve().parents[2]
PAGE = (TREE / "docs/reference/coverage.md").read_text("utf-8")

SYSTEMS = {
    "S0": ("01-08", "10-16", "20-30", "40-52", "60-63"),
    "S1": ("01-10",),
}
"""The abilities of each system, as ranges of their numbers."""

DROPPED = {"S0-16", "S0-45", "S0-46", "S1-10"}
"""What was decided against."""

_ROW = re.compile(r"^\| (S\d-\d\d) \| (.+?) \| (\w+) \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


class Row(NamedTuple):
    """One ability as the page tells it."""

    ident: str
    what: str
    state: str
    where: str

    @property
    def tests(self):
        return _TEST.findall(self.where)


ROWS = [Row(*found) for found in _ROW.findall(PAGE)]
NAMED = sorted({test for row in ROWS for test in row.tests})


def abilities():
    for system, ranges in SYSTEMS.items():
        for first, last in (one.split("-") for one in ranges):
            yield from (f"{system}-{number:02}" for number in range(int(first), int(last) + 1))


@cache
def functions(file):
    """The test functions of a file, and whether something there takes them out."""
    module = ast.parse((TREE / file).read_text("utf-8"))
    whole = any(
        isinstance(node, ast.Assign)
        and any(getattr(target, "id", "") == "pytestmark" for target in node.targets)
        and "skip" in ast.unparse(node.value)
        for node in module.body
    )
    return {
        node.name: whole or any("skip" in ast.unparse(one) for one in node.decorator_list)
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_ability_is_listed_once_and_in_order():
    """Neither forgotten nor told twice."""
    assert [row.ident for row in ROWS] == list(abilities())
    assert len(re.findall(r"^\| S\d", PAGE, re.MULTILINE)) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.ident)
def test_a_row_is_covered_by_tests_or_says_why_not(row):
    """Covered names a test; later and dropped are a sentence, and name none."""
    if row.state == "covered":
        assert row.tests
        assert _TEST.sub("", row.where).replace("<br>", "") == ""
    else:
        assert row.state == ("dropped" if row.ident in DROPPED else "later")
        assert not row.tests
        assert row.where.endswith(".")
        assert len(row.where) > 15


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part)
def test_a_named_test_exists_and_is_run(file, name):
    """It stands in its file, and nothing skips it; slow ones are run by `make test-slow`."""
    assert name.startswith("test_")
    assert functions(file)[name] is False
