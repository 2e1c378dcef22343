"""The table of the SDKs says what the reports said, and its rows and adapters fit together."""

from __future__ import annotations

from pathlib import Path

import pytest
from sdks.adapter import FEATURES, adapter_named
from sdks.conftest import IN_DEVELOPMENT
from sdks.environment import Environment
from sdks.outcome import COLUMNS, Outcome
from sdks.page import page
from sdks.rows import ROWS, Row, chosen

HERE = Path(__file__).resolve().parent
ADAPTERS = sorted(path.stem for path in (HERE / "adapters").glob("*.py"))
ROW = Row("cohere-9", ("cohere>=9",), ("cohere",))


def case(name, *properties, inside=""):
    told = "".join(f'<property name="{name}" value="{value}"/>' for name, value in properties)
    return f'<testcase name="{name}"><properties>{told}</properties>{inside}</testcase>'


def read(tmp_path, *cases):
    report = tmp_path / "report.xml"
    report.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return Outcome.of(ROW).read(report)


def all_well():
    sdk = adapter_named("cohere")
    held = [*sdk.features, "miss", "keyless"]
    return [
        *(case("test", ("cell", f"cohere {column}")) for column in held),
        *(case("test", ("absent", f"cohere {name} {why}")) for name, why in sdk.absent.items()),
        case("test", ("cell", "own own")),
        case("test", ("speaks", "cohere httpx")),
    ]


def test_every_adapter_is_in_a_row_and_every_row_has_its_files():
    """Nothing is written that no row runs."""
    assert sorted({name for row in ROWS for name in row.adapters}) == ADAPTERS
    assert all((HERE / file).is_file() for row in ROWS for file in row.files)
    assert {*IN_DEVELOPMENT} <= {*ADAPTERS}


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_says_why_it_lacks_what_it_lacks(name):
    """Every feature is a method or has a reason, in an environment without the SDK too."""
    sdk = adapter_named(name)
    assert {*sdk.features, *sdk.absent} == {*FEATURES}
    assert {*sdk.asks} <= {*sdk.features}


def test_rows_are_chosen_by_name_and_by_haste():
    """An unknown name is told with those there are."""
    assert [row.name for row in chosen(["groq", "cohere"], fast=False)] == ["cohere", "groq"]
    assert 0 < len(chosen([], fast=True)) < len(ROWS) == len(chosen([], fast=False))
    with pytest.raises(ValueError, match=r"no row groc; there are .*groq"):
        chosen(["groc"], fast=False)


def test_an_environment_is_kept_for_its_requirements(tmp_path):
    """Other requirements are another folder; the same ones the same."""
    folder = Environment(ROW, tmp_path).folder
    other = Row(ROW.name, ("cohere>=10",), ROW.adapters)
    assert folder == Environment(ROW, tmp_path).folder != Environment(other, tmp_path).folder
    assert folder.name.startswith("cohere-9-")


def test_a_row_in_which_everything_holds_is_good(tmp_path):
    """What does not apply is no failure."""
    outcome = read(tmp_path, *all_well())
    assert outcome.good
    assert outcome.cells["cohere"]["agent"].state == "-"


def test_a_failure_is_the_rows_and_has_its_reason(tmp_path):
    """One failed test of a column is enough, and the page says why."""
    failure = '<failure message="assert 1 == 0&#10;more">trace</failure>'
    failed = case("test_x[cohere-stream]", ("cell", "cohere stream"), inside=failure)
    outcome = read(tmp_path, *all_well(), failed)
    assert not outcome.good
    assert "**no** (1)" in page([outcome])
    assert "1. test_x[cohere-stream]: assert 1 == 0\n" in page([outcome])


def test_what_did_not_run_does_not_hold(tmp_path):
    """A column that nothing was said of is no, not left out."""
    outcome = read(tmp_path, *all_well()[1:])
    assert not outcome.good
    assert outcome.cells["cohere"]["plain"].reason == "no test of it ran"


def test_a_failure_outside_the_columns_makes_a_row_bad(tmp_path):
    """An error in a test that fills no cell is not lost."""
    error = case("test_y", inside='<error message="boom"/>')
    outcome = read(tmp_path, *all_well(), error)
    assert (outcome.failed, outcome.good) == (1, False)


def test_the_page_names_versions_and_where_a_miss_is_told(tmp_path):
    """Each row has as many cells as there are titles; equal notes are written once."""
    extra = case("test", ("cell", "cohere extra thing"))
    told = case("test", ("told", "cohere stream no"), ("told", "cohere plain yes"))
    outcome = read(tmp_path, *all_well(), told, extra)
    outcome.versions = {"cohere": "9.1", "httpx": "0.28.1", "attrs": "1"}
    lines = page([outcome, outcome]).splitlines()
    rows = [line for line in lines if line.startswith("| cohere-9")]
    assert rows[0] == rows[1]
    assert "| cohere 9.1, httpx 0.28.1 | httpx |" in rows[0]
    assert rows[0].count(" | ") == len(COLUMNS) + 2
    assert lines.count("Beside the columns, in cohere-9: extra thing: yes.") == 2
    notes = [line for line in lines if "told by the test's failure" in line]
    assert notes == ["2. told by the test's failure, not in the SDK's exception: stream"]
