"""What runs used of a store: kept scope by scope, and only a complete run tells what is gone."""

import pytest

from cas_llm.session import usage
from cas_llm.session.usage import Extent
from cas_llm.store import Store
from cas_llm.store.tape import Tape, Turn

ALL = frozenset({"a.py::test_one", "a.py::test_two"})
PASSED = dict.fromkeys(ALL, "passed")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "cache_store")
    store.prepare()
    yield store
    store.close()


def scope(*tapes):
    return {"tapes": list(tapes), "had": list(tapes)}


def record(store, name):
    tape = Tape(name, 0, "", (Turn("ab" * 32, "cd" * 32),))
    store.add_tape(tape)
    return tape.digest


def test_a_run_leaves_what_it_did_not_open(store):
    """Shards and selected tests add up."""
    usage.note(store, {"a.py::test_one": scope("1")}, Extent(("some",), ALL, {}))
    usage.note(store, {"a.py::test_two": scope("2")}, Extent(("some",), ALL, PASSED))
    found = usage.read(store)
    assert found.complete_run().tapes == {"1", "2"}
    assert (found.completed, found.lacks) == (0.0, ("some",))


def test_only_a_complete_run_says_what_is_gone(store):
    """With the tapes it had; a later incomplete one leaves that as it was."""
    digest = record(store, "a.py::test_old")
    usage.note(store, {"a.py::test_old": scope(digest)}, Extent(("some",), ALL, {}))
    incomplete = Extent(("some",), ALL, PASSED)
    usage.note(store, {"a.py::test_one": scope("1")}, incomplete)
    assert usage.read(store).gone == {}
    usage.note(store, {}, Extent((), ALL, PASSED))
    usage.note(store, {"a.py::test_one": scope("1")}, incomplete)
    found = usage.read(store)
    assert found.gone == {"a.py::test_old": (digest,)}
    assert found.completed > 0
    assert found.complete_run().had["a.py::test_old"] == {digest}


def test_fixtures_and_what_was_opened_are_never_gone(store):
    """A fixture may be a skipped test's alone."""
    names = ("conftest.py::client[a]", "lib.py::opened", "a.py::test_one")
    known = {name: scope(record(store, name)) for name in names}
    usage.note(store, known, Extent(("some",), ALL, PASSED))
    extent = Extent((), ALL, PASSED, frozenset({"client"}))
    usage.note(store, {"lib.py::opened": known["lib.py::opened"]}, extent)
    assert usage.read(store).gone == {}


def test_what_runs_of_another_suite_opened_is_not_this_ones_to_judge(store):
    """Several suites may share a store, and no complete run of one collects the other's tests."""
    digest = record(store, "b.py::test_other")
    record(store, "c.py::test_nobody_ran_here")
    other = Extent(("some",), ALL, {}, root="/project/other")
    usage.note(store, {"b.py::test_other": scope(digest)}, other)
    usage.note(store, {}, Extent((), ALL, PASSED, root="/project/this"))
    assert usage.read(store).gone == {}


@pytest.mark.parametrize(
    ("extent", "lacks"),
    [
        (Extent((), ALL, PASSED), ()),
        (Extent((), ALL, {**PASSED, "a.py::test_one": "skipped"}), ()),
        (Extent((), ALL, {**PASSED, "a.py::test_one": "failed"}), ("1 failed",)),
        (Extent((), ALL, {"a.py::test_one": "passed"}), ("1 did not run",)),
        (Extent(("so", "so"), ALL, PASSED), ("so",)),
        (Extent(), ("no test was found",)),
    ],
)
def test_why_a_run_is_not_complete(extent, lacks):
    """Each reason is told once; skipped tests are no reason."""
    assert extent.lacks == lacks


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": "cas-llm/usage/9"}'])
def test_what_cannot_be_read_is_nothing_known(store, content):
    """It is derived, and only makes prune more careful."""
    place = store.root / ".local" / "usage.json"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    assert usage.read(store) == usage.Usage()


def test_nothing_is_written_where_there_is_no_store(tmp_path):
    """A run without recordings makes no folder."""
    usage.note(Store(tmp_path / "none"), {"a": scope("1")}, Extent((), ALL, PASSED))
    assert list(tmp_path.iterdir()) == []
