"""The benchmarks run, measure what they say, and compare like with like; no time is asserted."""

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest
from support.extent import THOROUGH
from support.models_turn import models_turn

_DEAR = {"session", "flat", "async", "long", "stream", "cold", "record", "start"}
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROWS = (
    "hit",
    "session",
    "flat",
    "async",
    "long",
    "stream",
    "vectors",
    "cold",
    "record",
    "cassette",
    "verify",
    "start",
    "plugin",
)


@pytest.fixture
def bench(monkeypatch):
    """A module of the benchmarks, by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield import_module
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None) or ""
        if path.startswith(str(BENCHMARKS)):
            del sys.modules[name]


@pytest.fixture
def tiny(bench):
    """The least effort: two rounds, a handful of recordings, no peers."""
    return bench("measuring").Effort(
        rounds=2, seconds=0.001, recordings=1, largest=12, starts=1, proofs=1, peers=False
    )


def run(bench, effort, folder, row):
    """What the one *row* comes to, and the page of it."""
    outcomes = bench("run").measure([row], bench("measuring").Stores(folder), effort)
    return outcomes, bench("report").figures(outcomes, "a command")


def test_the_rows_tested_here_are_all_there_are(bench):
    """A new row is smoke-tested, too."""
    assert tuple(bench("run").ROWS) == ROWS


def test_a_ratio_is_taken_within_a_round(bench):
    """What slows a whole round down slows both sides, and is no difference between them."""
    measured = bench("measuring").Measured
    base = measured(((1.0, 1.0), (10.0, 10.0), (1.0, 1.0)))
    other = measured(((2.0, 2.0), (20.0, 20.0), (3.0, 3.0)))
    spread = other.over(base)
    assert (spread.median, spread.low, spread.high) == (2.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("value", "word"), [(1.06, "stretch met"), (1.07, "met"), (1.12, "met"), (1.13, "**missed**")]
)
def test_a_figure_is_held_to_its_target(bench, value, word):
    """At the limit a target is met, above it missed."""
    outcomes, measuring = bench("outcomes"), bench("measuring")
    outcome = outcomes.Outcome()
    outcome.held("1", measuring.Spread(value, 1.0, 2.0))
    assert outcome.verdicts[0].word == word
    assert f"| **{value:.2f}** | 1.00 - 2.00 | <= 1.12 | <= 1.06 | {word} |" in bench(
        "report"
    ).figures({"hit": outcome}, "a command")


def test_the_page_names_no_host_and_no_place(bench):
    """What is measured on a machine does not say whose it is or where things lie there."""
    text = bench("report").figures({}, "python benchmarks/run.py")
    assert os.uname().nodename not in text
    assert str(BENCHMARKS.parent) not in text
    assert "cas-llm" in text


def test_the_page_says_that_the_machine_was_busy(bench):
    """Figures that others' work has spoilt are not shown as if they were good."""
    figures = bench("report").figures
    assert "The machine was busy" in figures({}, "a command", 3.0)
    assert "The machine was busy" not in figures({}, "a command", 0.1)


def test_the_page_without_a_picture_shows_none(bench, tmp_path):
    """Where matplotlib is not installed the page has no broken image."""
    (page,) = bench("report").written("| a |\n", "", tmp_path)
    text = page.read_text()
    assert "performance.svg" not in text
    assert text.endswith("## Figures\n\n| a |\n")


@pytest.mark.parametrize("kind", ["chat", "stream"])
@pytest.mark.parametrize("fill", ["fill_shared", "fill_tapes"])
def test_a_store_made_fast_is_a_true_one(bench, tmp_path, kind, fill):
    """`verify` finds nothing in a store that was written without recording."""
    from cas_llm.cli.verify import checks
    from cas_llm.store.proof.verify import verify

    root = tmp_path / "store"
    getattr(bench("stores"), fill)(root, bench("payloads").KINDS[kind], 12)
    assert list(verify(root, checks())) == []
    assert len(list((root / "requests").rglob("*.json"))) == 12


@pytest.mark.parametrize("name", ["cas-llm session", "cas-llm session, own tapes"])
def test_each_entry_replays_as_itself(bench, tmp_path, name):
    """An answer carries the number that was asked for, so a wrong one would be seen."""
    held, kind = bench("variants").variant(name), bench("payloads").KINDS["chat"]
    held.build(tmp_path / "store", kind, 12)
    call = held.open(tmp_path / "store", kind)
    try:
        results = [call(number) for number in range(12)]
        assert held.missed() == 0
    finally:
        held.close()
    assert all(held.is_right(result, number) for number, result in enumerate(results))
    assert not held.is_right(results[3], 4)


def test_a_request_that_is_in_no_store_is_a_miss_that_counts(bench, tmp_path):
    """The count of misses is no constant."""
    held, kind = bench("variants").variant("cas-llm session"), bench("payloads").KINDS["chat"]
    held.build(tmp_path / "store", kind, 2)
    call = held.open(tmp_path / "store", kind)
    try:
        call(7)
        assert held.missed() == 1
    finally:
        held.close()


@pytest.mark.slow
def test_variants_take_turns_in_processes_of_their_own(bench, tiny, tmp_path):
    """Two workers are asked round by round, and neither reaches an upstream."""
    measuring = bench("measuring")
    stores = measuring.Stores(tmp_path)
    root = stores.at("cas-llm", "chat", 3)
    with (
        measuring.Worker("floor", root, "chat", 3) as floor,
        measuring.Worker("cas-llm", root, "chat", 3) as own,
    ):
        found = measuring.interleaved([floor, own], "hits", tiny)
    assert {name: (len(m.rounds), m.misses) for name, m in found.items()} == {
        "floor": (2, 0),
        "cas-llm": (2, 0),
    }


@pytest.mark.slow
def test_the_row_of_the_plugin_runs(bench, tiny, tmp_path):
    """The row gives its target and its table."""
    _, text = run(bench, tiny, tmp_path, "plugin")
    assert "pytest -p cas_llm.pytest_plugin" in text
    assert "| 23 |" in text


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS if THOROUGH else sorted(set(ROWS) - _DEAR))
def test_each_row_runs(bench, tiny, tmp_path, row):
    """With tiny numbers each row gives a table, and its replays miss nothing."""
    outcomes, text = run(bench, tiny, tmp_path, row)
    assert outcomes[row].tables
    assert outcomes["all"].misses == 0
    assert text.count("| variant |") == len(outcomes[row].tables)


@pytest.mark.slow
def test_a_model_is_asked_live_recorded_and_replayed(bench, tmp_path, capsys):
    """The page has a table for whole answers and one for streams, and replays are no calls."""
    with models_turn():
        assert bench("live").main(["--rounds=2", "--prompts=2", f"--write={tmp_path}"]) == 0
    text = (tmp_path / "live.md").read_text()
    assert text.count("| live, recorded |") == text.count("| replayed |") == 2
    assert capsys.readouterr().out in text


@pytest.mark.slow
def test_a_peer_that_is_installed_is_measured_and_one_that_is_not_is_named(bench, tiny, tmp_path):
    """A missing peer is skipped with what it lacks, never silently."""
    from dataclasses import replace

    outcomes, text = run(bench, replace(tiny, peers=True), tmp_path, "stream")
    here, skipped = bench("measuring").present(["vcrpy per test"], replace(tiny, peers=True))
    assert ("vcrpy per test" in text) == bool(here)
    assert set(skipped) <= set(outcomes["stream"].skipped)
