"""Which tests are run for what was chosen, and what is left as it is."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.leaves import PRICE, fill
from support.stores import asks, recorded, says, tape_of

from cas_llm.rerecord.definitions import BLOCK, FIXTURE, GONE, TEST, About, Definitions
from cas_llm.rerecord.missed import reruns
from cas_llm.rerecord.planning import Plan, plan
from cas_llm.rerecord.selecting import Wanted, chosen
from cas_llm.session.catalogue import catalogue
from cas_llm.store import Store

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FILE = """
    import pytest
    import cas_llm

    @pytest.fixture(scope="module")
    def talk(): ...

    @pytest.mark.cas_llm(locked=True)
    def test_locked(): ...

    def test_0():
        with cas_llm.use(name="nightly"): ...

    @pytest.mark.cas_llm(locked=True)
    class TestAll:
        def test_in(self): ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a test file."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_q.py").write_text(textwrap.dedent(FILE))
    (tmp_path / "tests" / "test_all_locked.py").write_text(
        "import pytest\npytestmark = [pytest.mark.cas_llm(locked=True)]\ndef test_x(): ...\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("scope", "about"),
    [
        ("tests/test_q.py::test_0", About(TEST)),
        ("tests/test_q.py::test_made_by_code[1]", About(TEST)),
        ("tests/test_q.py::test_locked", About(TEST, locked=True)),
        ("tests/test_q.py::TestAll::test_in[a]", About(TEST, locked=True)),
        ("tests/test_all_locked.py::test_x", About(TEST, locked=True)),
        ("tests/test_q.py::talk", About(FIXTURE)),
        ("tests/test_gone.py::test_x", About(GONE)),
        ("use::nightly", About(BLOCK)),
    ],
)
def test_a_scope_is_what_its_file_says(project: Path, scope: str, about: About) -> None:
    """Tests, wider fixtures, locked ones by any marker, files that are gone."""
    assert Definitions(project).about(scope) == about


def planned(root: Path, *scopes: str, marks: tuple[str, ...] = (), **options: bool) -> Plan:
    """The plan for a store in which each scope has a tape of one answer."""
    store = Store(root / "cache_store")
    for number, scope in enumerate(scopes):
        recording = recorded(asks(f"Say {number}"), says("x"))
        recording = replace(recording, answer=replace(recording.answer, marks=marks))
        store.save(recording)
        store.add_tape(tape_of(recording, scope=scope))
    held = catalogue(store)
    store.close()
    return plan(held, chosen(held, Wanted(everything=True), NOW), Definitions(root), **options)


def test_what_is_locked_gone_or_a_block_is_kept_and_said(project: Path) -> None:
    """Each with its reason and what would record it; the rest is run."""
    found = planned(
        project,
        "tests/test_q.py::test_0",
        "tests/test_q.py::test_locked",
        "tests/test_gone.py::test_x",
        "use::nightly",
        "tests/test_q.py::talk",
    )
    assert [rerun.test for rerun in found.reruns] == ["tests/test_q.py::test_0"]
    assert not found.whole
    assert [(one.what, one.why.partition(":")[0][:22]) for one in found.kept] == [
        ("tests/test_gone.py::test_x", "its file is gone"),
        ("tests/test_q.py::test_locked", "it is locked"),
        ("use::nightly", "a named block"),
        ("tests/test_q.py::talk", "a wider fixture's answ"),
    ]
    assert all(one.command for one in found.kept)


def test_wider_fixtures_are_asked_anew_with_all_tests(project: Path) -> None:
    """Nothing is left that quotes their old answers."""
    found = planned(project, "tests/test_q.py::test_0", "tests/test_q.py::talk")
    assert found.whole
    assert found.fixtures == ("tests/test_q.py::talk",)
    assert found.kept == ()


@pytest.mark.parametrize("mark", ["edited", "scripted"])
def test_what_was_written_by_hand_is_kept_unless_it_is_meant(project: Path, mark: str) -> None:
    """A test of such answers only is not run; with the option it is."""
    name = "tests/test_q.py::test_0"
    found = planned(project, name, marks=(mark,))
    assert found.reruns == ()
    assert "--replace-edited" in found.kept[0].command
    assert len(planned(project, name, marks=(mark,), replace_by_hand=True).reruns) == 1


def test_calls_and_money_are_told_by_model(tmp_path: Path) -> None:
    """Today's price of the tokens that were used."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_q.py").write_text("")
    held = catalogue(fill(tmp_path / "cache_store", 3))
    found = plan(held, chosen(held, Wanted(everything=True), NOW), Definitions(tmp_path))
    (bill,) = found.bills
    assert (bill.model, bill.calls, bill.unknown) == ("gpt-4o-mini", 3, 0)
    assert bill.cost == pytest.approx(3 * PRICE)


def test_a_missed_test_records_what_is_missing(project: Path) -> None:
    """One that cannot be read is recorded as a whole; a fixture's is told."""
    one = {"records": True, "scope": "tests/test_q.py::test_0", "model": "m", "price_usd": 0.5}
    found, kept = reruns(
        [
            {**one, "kind": "not recorded"},
            {**one, "kind": "not recorded", "price_usd": None},
            {**one, "kind": "unreadable", "scope": "tests/test_q.py::test_1"},
            {**one, "kind": "live on CI", "records": False},
            {**one, "kind": "not recorded", "scope": "tests/test_q.py::talk"},
        ],
        Definitions(project),
    )
    assert [(rerun.mode, rerun.calls, rerun.cost) for rerun in found] == [
        ("fallback", 2, 0.5),
        ("capture", 1, 0.5),
    ]
    assert [one.what for one in kept] == ["tests/test_q.py::talk"]
