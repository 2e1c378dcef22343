"""A ledger tells what is begun and done, whatever became of who wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cas_llm.errors import CasLLMError
from cas_llm.rerecord.ledger import Ledger


def test_what_was_begun_and_not_ended_is_lost(tmp_path: Path) -> None:
    """The next one who opens it is told; what is stored stays stored."""
    with Ledger(tmp_path) as ledger:
        ledger.plan(["a", "b", "c"])
        ledger.begin("a")
        ledger.store("a", "d1", 0.5)
        ledger.begin("b")
        ledger.run("0a1b2c3d")
    with Ledger(tmp_path) as again:
        assert again.lost == ("b",)
        assert again.left == ("b", "c")
        assert (again.done["a"].digest, again.done["a"].cost) == ("d1", 0.5)
        assert again.runs == ("0a1b2c3d",)


def test_a_line_that_was_cut_off_is_as_good_as_none(tmp_path: Path) -> None:
    """Whoever is killed while writing leaves half a line, and the others count."""
    with Ledger(tmp_path) as ledger:
        ledger.begin("a")
        ledger.store("a", "d1")
        with ledger.path.open("ab") as file:
            file.write(b'{"unit": "b", "sta')
    assert list(Ledger(tmp_path).units) == ["a"]


def test_only_one_at_a_time_writes(tmp_path: Path) -> None:
    """A second one is refused at once, and may look all the same."""
    with Ledger(tmp_path) as ledger:
        ledger.begin("a")
        with pytest.raises(CasLLMError, match="at work"), Ledger(tmp_path):
            pass
        assert Ledger(tmp_path).left == ("a",)


def test_one_that_is_cleared_begins_afresh(tmp_path: Path) -> None:
    """Nothing is left of it."""
    with Ledger(tmp_path) as ledger:
        ledger.begin("a")
        ledger.clear()
        assert not ledger.path.exists()
    with Ledger(tmp_path) as again:
        assert (again.units, again.lost) == ({}, ())


def test_what_is_done_is_wanted_again_where_nothing_of_it_is_left(tmp_path: Path) -> None:
    """To go on is to name something unfinished, or all that is here; else it is done once more."""
    with Ledger(tmp_path) as ledger:
        ledger.plan(["test:a", "test:b", "call:k:d"])
        ledger.store("test:a")
        assert ledger.goes_on(["test:a", "test:b"])
        assert not ledger.goes_on(["test:a"])
        assert not ledger.goes_on(["test:c"])
        ledger.store("test:b")
        assert ledger.goes_on(["test:a", "test:b"])


def test_another_that_ends_in_between_leaves_it_as_it_is(tmp_path: Path) -> None:
    """What was paid for by an unfinished one is found when that one is gone on with."""
    with Ledger(tmp_path) as ledger:
        ledger.plan(["test:a", "test:b"])
        ledger.store("test:a", "d1", 0.5)
        ledger.run("0a1b2c3d")
        ledger.bench(tmp_path / "bench")
        ledger.store("test:c")
        ledger.close()
        ledger.forget(["test:c"])
    with Ledger(tmp_path) as again:
        assert list(again.units) == ["test:a", "test:b"]
        assert again.done["test:a"].cost == 0.5
        assert (again.runs, again.benches) == (("0a1b2c3d",), [tmp_path / "bench"])
        again.store("test:b")
        again.close()
        assert not again.path.exists()


@pytest.mark.parametrize(
    "line", ["[]", "5", '{"unit": "x"}', '{"unit": "x", "state": 7}', '{"state": "begun"}', "\xff"]
)
def test_a_line_that_says_nothing_is_passed_over(tmp_path: Path, line: str) -> None:
    """Whatever stands in the file, and even if its last line was cut off, the next one counts."""
    with Ledger(tmp_path) as ledger:
        ledger.begin("a")
        with ledger.path.open("a", encoding="latin-1") as file:
            file.write(line)
    with Ledger(tmp_path) as again:
        again.store("b")
    assert list(Ledger(tmp_path).units) == ["a", "b"]
