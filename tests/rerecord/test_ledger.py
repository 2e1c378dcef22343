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
