"""`cas-llm-stale`: which entries are stale, which only seem so, and what the settings say."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from support.commits import Repository
from support.stores import tape_of
from support.suites import ASKS, FILE, ONE, SUITE, TWO, Bench, answered, kinds

from cas_llm.digest import digest_of
from cas_llm.errors import ConfigError
from cas_llm.guard.defined import is_defined
from cas_llm.guard.stale import judge
from cas_llm.store import Shared, Store


def test_a_store_in_use_has_nothing_stale(bench: Bench) -> None:
    """Not when it is added, not when it is all looked at, not when its tests are edited."""
    assert bench.all() == []
    bench.repository.git("update-ref", "-d", "HEAD")
    assert bench.commit() == []
    bench.repository.commit()
    bench.repository.write(FILE, SUITE.replace("...", "pass"))
    assert bench.commit() == []


def test_an_answer_without_its_tape_is_not_added(bench: Bench) -> None:
    """An error in the commit that adds it, with two ways out; later a warning, for prune."""
    digest = bench.save(answered("three", "3"))
    found = bench.commit()
    assert kinds(found) == [("CAS080", "error")] * 2
    assert any(digest[2:] in one.path for one in found)
    assert "git add -- cache_store, or git restore --staged -- cache_store/" in found[0].command
    assert kinds(bench.all()) == [("CAS080", "warning")] * 2
    bench.record(ONE, answered("three", "4"), take=1)
    assert all(digest[2:] in one.path for one in bench.all())  # its key record is in use now


def test_the_tape_of_a_test_that_is_deleted_is_stale(bench: Bench) -> None:
    """In the commit that deletes the test; the command takes it out, and then nothing is left."""
    bench.repository.write(FILE, SUITE.partition("\n\n")[0])
    (finding,) = bench.commit()
    assert (finding.code, finding.severity, finding.tests) == ("CAS081", "error", (TWO,))
    assert "--cas-llm=fallback" in finding.why
    bench.repository.git(*shlex.split(finding.command)[1:])
    assert bench.commit() == []


def test_tapes_go_with_their_file(bench: Bench) -> None:
    """Git must have had the file: one that is made when the tests run is in doubt."""
    bench.record("tests/test_made.py::test_x", answered("made", "x"))
    bench.repository.commit()
    (bench.repository.path / FILE).unlink()
    assert [one.tests for one in bench.commit()] == [(ONE,), (TWO,)]
    bench.repository.commit()
    later = judge(bench.repository.staged(ASKS))
    assert [(one.severity, one.tests) for one in later if one.code == "CAS081"] == [
        ("warning", (ONE,)),
        ("warning", (TWO,)),
    ]


NOT_GONE = {
    "parametrised": ("test_one[a-1]", "def test_one(x): ..."),
    "a class's": ("TestA::test_one", "class TestA:\n    def test_one(self): ..."),
    "inherited": ("TestA::test_one", "from base import Base\nclass TestA(Base): ..."),
    "of a nested class": ("TestA::TestB::test_one", "class TestA:\n  class TestB(Base): ..."),
    "imported": ("test_one", "from elsewhere import test_one"),
    "imported with all": ("test_one", "from elsewhere import *"),
    "assigned": ("test_one", "test_one = make(1)"),
    "generated": ("test_one", "for n in NAMES:\n    globals()[f'test_{n}'] = make(n)"),
    "set on the class": ("TestA::test_x", "class TestA: ...\nsetattr(TestA, name, make())"),
    "expanded": ("TestA::test_one_0_a", "class TestA:\n    @expand\n    def test_one(self): ..."),
    "of a class that is copied": (
        "TestA_0::test_one",
        "@cases\nclass TestA:\n def test_one(self): ...",
    ),
    "a fixture under another name": ("persona", "@fixture(name='persona')\ndef make(): ..."),
    "commented out": ("test_one", "# def test_one(): ..."),
    "of a metaclass": ("TestA::test_x", "class TestA(metaclass=Maker): ..."),
}


def test_doubt_is_not_stale() -> None:
    """Tests are made in more ways than a text shows."""
    for how, (name, text) in NOT_GONE.items():
        assert is_defined(f"{FILE}::{name}", text) is not False, how


GONE = {
    "a function": ("test_one[a]", "def test_other(): ..."),
    "a method": ("TestA::test_one", "class TestA:\n    def test_other(self): ..."),
    "a class": ("TestA::test_one", "class TestB(Base):\n    def test_one(self): ..."),
    "a fixture": ("persona", "@fixture\ndef people(): ..."),
}


def test_what_is_plainly_not_there_is_gone() -> None:
    """No name, and no way to make one."""
    for what, (name, text) in GONE.items():
        assert is_defined(f"{FILE}::{name}", text) is False, what


def test_a_project_below_the_top_names_its_tests_from_there(tmp_path: Path) -> None:
    """In a monorepo the same id stands in several packages; each store has its own."""
    made = Repository.made(tmp_path / "mono")
    for package in ("one", "two"):
        made.write(f"{package}/pyproject.toml", "[tool.cas-llm]\n")
        made.write(f"{package}/{FILE}", SUITE)
        store = Store(made.path / package / "cache_store")
        store.save(answered("one", package))
        store.add_tape(tape_of(answered("one", package), scope=ONE))
        store.close()
    made.commit("Record")
    made.write(f"two/{FILE}", SUITE.replace("test_one", "test_uno"))
    made.git("add", "-A")
    found = [one for one in judge(made.staged()) if one.code == "CAS081"]
    assert [one.path.partition("/")[0] for one in found] == ["two"]


def test_what_was_superseded_is_stale_after_its_grace(bench: Bench) -> None:
    """By the date of the commit that added the newer take, not by any file's time."""
    bench.record(ONE, answered("one", "another"), take=1)
    assert bench.commit() == []
    assert bench.all() == []
    bench.settings("grace_days = 0")
    (finding,) = [one for one in bench.all() if one.code == "CAS082"]
    assert (finding.severity, finding.command) == ("warning", "cas-llm prune --apply")
    assert "/test_one.0." in finding.path


def test_shared_answers_are_superseded_too(bench: Bench) -> None:
    """Of one request the run that is not picked."""
    store = Store(bench.repository.root)
    for take, run in ((0, "0a1b2c3d"), (1, "1b2c3d4e")):
        one = answered("shared", run, run=run)
        store.add_shared(Shared(one.answer.key, take, run, 1, store.save(one)))
    store.close()
    bench.settings("grace_days = 0")
    (finding,) = bench.all()
    assert (finding.code, ".0.0a1b2c3d." in finding.path) == ("CAS082", True)


def test_two_tapes_of_one_take_are_told_of(bench: Bench) -> None:
    """In the commit that brings the second; either command ends it."""
    bench.record(ONE, answered("one", "ours"), take=1)
    bench.repository.commit()
    bench.record(ONE, answered("one", "theirs"), take=1)
    (finding,) = bench.commit()
    assert (finding.code, finding.severity, finding.tests) == ("CAS040", "error", (ONE,))
    bench.repository.git(*shlex.split(finding.command.partition(", or ")[2])[1:])
    assert "CAS040" not in {one.code for one in bench.commit()}


def test_each_rule_can_be_an_error_a_warning_or_off(bench: Bench) -> None:
    """What is said holds everywhere: in a commit, and where somebody asks."""
    bench.save(answered("three", "3"))
    for severity in ("error", "warning"):
        bench.settings(f'unused = "{severity}"')
        assert {one.severity for one in bench.commit()} == {severity}
    bench.repository.commit()
    bench.settings('unused = "error"')
    assert {one.severity for one in bench.all()} == {"error"}
    bench.settings('unused = "off"')
    assert bench.all() == []


@pytest.mark.parametrize(
    ("text", "says_so"),
    [
        ('unusd = "off"', "did you mean 'unused'"),
        ('gone = "no"', "must be one of 'error', 'warning', 'off'"),
        ("max_age = -1", "must be a number of days"),
        ('models = { "m" = "soon" }', "a day like 2026-01-31"),
    ],
)
def test_a_bad_setting_is_one_clear_error(bench: Bench, text: str, says_so: str) -> None:
    """It names the file and what would be right."""
    bench.settings(text)
    bench.repository.git("add", "-A")
    with pytest.raises(ConfigError, match="pyproject.toml") as caught:
        judge(replace(bench.repository.staged(), base=""))
    assert says_so in str(caught.value)


def test_what_a_complete_run_saw_counts_where_the_text_leaves_doubt(bench: Bench) -> None:
    """A generated test that no run collects any more; then prune takes it, too."""
    scope = f"{FILE}::test_generated"
    tape = bench.record(scope, answered("made", "x"))
    bench.repository.write(FILE, SUITE + "globals()['x'] = 1\n")
    assert bench.all() == []
    digest = tape_of(answered("made", "x"), scope=scope).digest
    usage = {
        "format": "cas-llm/usage/1",
        "completed": 1.0,
        "lacks": [],
        "gone": {scope: [digest, digest_of(tape.read_bytes())]},
        "scopes": {},
    }
    bench.repository.write("cache_store/.local/usage.json", json.dumps(usage))
    (finding,) = [one for one in judge(bench.repository.staged(ASKS)) if one.code == "CAS081"]
    assert (finding.tests, finding.command) == ((scope,), "cas-llm prune --apply")


def test_what_keeps_a_folder_is_no_recording(bench: Bench) -> None:
    """`prune` leaves an empty file in each folder that it empties."""
    for folder in ("requests/ab", "objects/cd", "manifest/shared/ef"):
        bench.repository.write(f"cache_store/{folder}/.keep", b"")
    assert bench.commit() == []
    assert bench.all() == []
