"""Folders that are there and cannot be read: never the same as empty ones."""

from __future__ import annotations

import errno
import os
import sqlite3

import pytest
from support.desk import Desk, Upstream, a_test, chat, lay_shared, lay_tape

from cas_llm import config
from cas_llm.config import Rank
from cas_llm.errors import StoreError
from cas_llm.session import Runtime, Session, misses
from cas_llm.store import Store
from cas_llm.store.folders import Listings, modified_ns
from cas_llm.store.proof import census

A = chat("a")
NAME = "tests/test_a.py::test_one"


@pytest.fixture
def desk(tmp_path):
    made = []

    def make(mode):
        base = config.load(tmp_path, {}).but("a test", store=str(tmp_path / "cache_store"))
        runtime = Runtime(base.says(mode, Rank.USE, "a test"))
        made.append(runtime)
        return Desk(Session(base.says(mode, Rank.USE, "a test"), runtime), Upstream())

    yield make
    for runtime in made:
        runtime.store.close()
        runtime.run.close()


@pytest.fixture
def unreadable(monkeypatch):
    """``unreadable(part)``: folders with *part* in their path are refused, as by a bad disk."""
    real = {name: getattr(os, name) for name in ("listdir", "scandir")}

    def refuse(part: str, number: int = errno.EMFILE) -> None:
        def refusing(call):
            def read(path="."):
                if part in str(path):
                    raise OSError(number, os.strerror(number), str(path))
                return call(path)

            return read

        for name, call in real.items():
            monkeypatch.setattr(os, name, refusing(call))

    return refuse


@pytest.mark.parametrize("mode", ["replay", "fallback"])
def test_a_test_never_gets_anothers_answer_instead_of_its_own(desk, unreadable, mode):
    """Its own tapes cannot be listed, so the request is refused, not borrowed and not paid."""
    made = desk(mode)
    lay_tape(made, NAME, [(A, "own")])
    lay_shared(made, A, "shared")
    unreadable("tests/test_a.py")
    response = made.ask(A, a_test(NAME))
    assert response.status == 424
    assert made.log.problems[-1].kind == misses.UNREADABLE
    assert made.upstream.count == 0


def test_a_listing_that_failed_is_not_remembered(tmp_path, unreadable, monkeypatch):
    """What could not be read a moment ago is read when it can be."""
    (tmp_path / "a").touch()
    listings = Listings()
    unreadable(tmp_path.name)
    with pytest.raises(StoreError, match="Too many open files"):
        listings.names(str(tmp_path))
    monkeypatch.undo()
    assert listings.names(str(tmp_path)) == ("a",)


def test_a_folder_nobody_may_look_at_is_an_error(monkeypatch):
    """It is not known to be missing."""

    real = os.stat

    def refusing(path, **named):
        if path == "somewhere":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, **named)

    monkeypatch.setattr(os, "stat", refusing)
    with pytest.raises(StoreError, match="Permission denied"):
        modified_ns("somewhere")


def test_verify_tells_of_a_folder_it_cannot_read(desk, unreadable, tmp_path):
    """Nothing in it is proved, and that is an error; a folder that is not there is none."""
    made = desk("replay")
    lay_tape(made, NAME, [(A, "own")])
    root = tmp_path / "cache_store"
    assert not [one for one in census.take(root).findings if one.code == "CAS005"]
    unreadable("tests/test_a.py")
    found = [one for one in census.take(root).findings if one.severity == "error"]
    assert [(one.code, one.path) for one in found] == [("CAS005", "manifest/tapes/tests/test_a.py")]


def test_the_index_holds_no_tapes_that_could_not_be_read(desk, unreadable, monkeypatch, tmp_path):
    """It says so instead of noting the folder as read, and knows them as soon as it can."""
    made = desk("replay")
    lay_tape(made, NAME, [(A, "own")])
    digest = next(iter(made.runtime.store.manifest.tapes_of(NAME))).turns[0].digest
    store = Store(tmp_path / "cache_store")
    unreadable("tests")
    with pytest.raises((StoreError, OSError)):
        store.index.tapes_naming(digest)
    monkeypatch.undo()
    assert len(store.index.tapes_naming(digest)) == 1
    store.close()


def test_an_index_that_failed_keeps_nobody_waiting(desk, unreadable, tmp_path):
    """What it had written by then is undone, so that other processes may write theirs."""
    made = desk("replay")
    lay_tape(made, NAME, [(A, "own")])
    lay_tape(made, "tests/test_b.py::test_two", [(A, "other")])
    store = Store(tmp_path / "cache_store")
    unreadable("tests/test_b.py")
    with pytest.raises(StoreError):
        store.index.tapes_naming("0" * 64)
    other = sqlite3.connect(tmp_path / "cache_store" / ".local" / "index.sqlite3", timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.close()
    store.close()
