"""What is remembered of a store's past, read and told."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support.projects import Project
from support.stores import every_kind, files_of

from cas_llm.cli.history import changed
from cas_llm.cli.verify import checks
from cas_llm.digest import digest_of
from cas_llm.errors import CasLLMError, StoreError
from cas_llm.gitrepo import Commit
from cas_llm.store import layout
from cas_llm.store.past.entries import About
from cas_llm.store.past.memory import Memory, by_commit
from cas_llm.store.past.restoring import bring_back, plan
from cas_llm.store.past.telling import told_of
from cas_llm.store.past.timeline import Lived, Named, timeline
from cas_llm.store.past.words import about


@pytest.mark.parametrize(
    ("ago", "says"),
    [
        (5, "just now"),
        (60, "1 minute ago"),
        (3 * 3600, "3 hours ago"),
        (2 * 86400, "2 days ago"),
        (-7200, "on 20"),
    ],
)
def test_a_commits_age_is_told_in_one_unit(ago, says):
    """A clock that is behind gives the day."""
    told = told_of(Commit("f" * 40, int(time.time()) - ago, "Ada", "x" * 99))
    assert says in told
    assert len(told) < 110


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def names_of(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in files_of(root)}


@pytest.mark.parametrize("place", ["cache_store", "deep/er/é store", "."])
def test_a_store_of_every_kind_comes_back_wherever_it_lies(project: Project, place: str):
    """In a folder, in one with an odd name, and as a repository of its own; a part with its owner."""
    root = (project.path / place).resolve()
    every_kind(root)
    project.commit("Record")
    whole = names_of(root) - {name for name in names_of(root) if name.startswith(".git/")}
    for name in whole:
        if layout.is_blob(name) or layout.is_entry(name):
            (root / name).unlink()
    project.commit("Delete all")
    memory = Memory(root)
    paths = [one.path for one in memory.deletions if one.path.startswith(layout.SHARED)]
    key = paths[0].removeprefix(f"{layout.SHARED}/").replace("/", "")[:64]
    assert about(memory, key[:9]) == About(key=key)
    for word in (key[:9], "TestChat::test_greets[plain]", "block"):
        found = plan(memory, about(memory, word), checks().parts_of)
        assert found.gone.commit.subject == "Delete all"
        assert found.files
        bring_back(memory, found)
    now = {name for name in names_of(root) if not name.startswith(".git/")}
    assert now == whole
    project.git("add", "-A")
    assert project.git("diff", "--stat", "--cached", "HEAD~1") == ""


def test_what_does_not_fit_its_name_is_not_remembered(project: Project):
    """A damaged file that was committed is passed over for a whole one that was there before."""
    root = project.path / "cache_store"
    data = b"whole"
    name = layout.sharded(layout.OBJECTS, digest_of(data))
    project.file(f"cache_store/{name}", data).commit("Whole")
    project.file(f"cache_store/{name}", b"damaged").commit("Damaged")
    (root / name).unlink()
    project.commit("Gone")
    memory = Memory(root)
    assert dict(memory.of(memory.deletions).read([name])) == {}
    assert dict(memory.of(memory.changes).read([name])) == {name: data}
    assert [commit.subject for commit, _ in by_commit(memory.changes)] == [
        "Gone",
        "Damaged",
        "Whole",
    ]
    assert memory.at("--all") is None


def test_a_file_that_cannot_be_written_is_named(project: Project, monkeypatch):
    """What was written stays, and no entry is written before what it names."""
    root = project.path / "cache_store"
    every_kind(root)
    project.commit("Record")
    project.git("rm", "-rq", "cache_store/objects", "cache_store/manifest")
    project.commit("Delete")
    memory = Memory(root)
    found = plan(memory, About(), checks().parts_of, memory.at("HEAD~1"))
    (root / "objects").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write .*objects"):
        bring_back(memory, found, memory.at("HEAD~1"))
    assert not (root / "manifest").exists()
    (root / "objects").unlink()
    assert len(bring_back(memory, found, memory.at("HEAD~1"))) == len(found.files)
    assert bring_back(memory, found, memory.at("HEAD~1")) == ()


def test_a_word_with_several_meanings_lists_them(project: Project):
    """Tests that are gone too; a name that ends an id is meant before one that lies within."""
    root = project.path / "cache_store"
    store = every_kind(root)
    [tape] = store.manifest.tapes_of("block")
    for scope in ("tests/x.py::test_chat", "tests/x.py::test_chatty", "tests/y.py::test_chat_on"):
        store.add_tape(type(tape)(scope, 0, "", tape.turns))
    project.commit("Record")
    project.git("rm", "-rq", "cache_store/manifest")
    project.commit("Delete")
    memory = Memory(root)
    assert about(memory, "test_chat").scope == "tests/x.py::test_chat"
    with pytest.raises(CasLLMError, match="'st_cha' fits 3 tests"):
        about(memory, "st_cha")


def test_a_timeline_without_a_repository_has_what_is_here(tmp_path):
    """No commit is known, nothing is gone."""
    root = tmp_path / "cache_store"
    store = every_kind(root)
    key = next(iter(store.manifest.shared())).key
    lived = timeline(Memory(root), About(key=key))
    assert {named.state for one in lived for named in one.namings} == {"served", "superseded"}
    assert all(named.added is None for one in lived for named in one.namings)


def answer(words: str, model: str = "m", status: int = 200) -> Lived:
    document = {"answer": [words], "status": status, "provenance": {"model": model}}
    return Lived("k", words, (Named("p", "served"),), document)


@pytest.mark.parametrize(
    ("older", "newer", "says"),
    [
        (None, answer("Hi"), ""),
        (answer("Hi"), answer("Hi"), "the same words"),
        (answer("Hi Ada"), answer("Hello Ada"), '"Hi Ada" -> "Hello Ada"'),
        (answer("Hi", "old"), answer("Hi", "new"), "model old -> new; the same words"),
        (answer("Hi", status=429), answer("Hi"), "status 429 -> 200; the same words"),
        (Lived("k", "d", (Named("p", "served"),)), answer("Hi"), "one of the two is lost"),
    ],
)
def test_what_changed_between_two_answers_is_one_line(older, newer, says):
    """Model and status where they differ, and the words."""
    assert changed(older, newer) == says


H = "ab" * 31


@pytest.mark.parametrize(
    ("name", "data", "fits", "blob", "entry"),
    [
        (layout.sharded("objects", digest_of(b"x")), b"x", True, True, False),
        (layout.sharded("objects", digest_of(b"x"), "txt"), b"y", False, True, False),
        (layout.sharded("requests", digest_of(b"x")), b"x", True, True, False),
        (f"manifest/shared/ab/{H}.0.0a1b2c3d.1.{'c' * 64}", b"", True, False, True),
        (f"manifest/shared/ab/{H}.0.0a1b2c3d.1.{'c' * 64}", b"x", False, False, True),
        (f"manifest/shared/abc/{H}.0.0a1b2c3d.1.{'c' * 64}", b"", True, False, False),
        (f"manifest/tapes/a.py/t.0.{digest_of(b'x')[:16]}.json", b"x", True, False, True),
        (f"manifest/tapes/a.py/t.0.{digest_of(b'x')[:16]}.json", b"y", False, False, True),
        ("manifest/tapes/a.py/notes.txt", b"x", True, False, False),
        ("objects/ab/.keep", b"", True, False, False),
        ("objects/ab/.keep", b"x", False, False, False),
        ("objects/ab/notes.md", b"x", True, False, False),
        ("README.md", b"x", True, False, False),
    ],
)
def test_a_path_says_what_its_file_must_be(name, data, fits, blob, entry):
    """By its digest, by the start of it, or empty; what is no recording may be anything."""
    assert (layout.fits(name, data), layout.is_blob(name), layout.is_entry(name)) == (
        fits,
        blob,
        entry,
    )
