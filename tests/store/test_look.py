"""One look at a whole store: what was found when it looked the same, and the mark it looks by."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from cas_llm.store.proof import again, walk
from cas_llm.store.proof.census import Finding

FOUND = Finding("CAS010", "error", "a", "is missing", "b names it", "mend", ("t.py::t",))
OLD = time.time() - 60


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files in three folders, settled long ago, and a local one that doesn't count."""
    # Their change times are of now and cannot be set back.
    monkeypatch.setattr(again, "SETTLED_NS", -1)
    root = tmp_path / "cache_store"
    for name in ("format", "objects/ab/cd.json", "manifest/tapes/tests/a.json", ".local/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * len(name))
        os.utime(root / name, (OLD, OLD))
    return root


def test_what_was_found_is_told_again(root: Path) -> None:
    """All of it, in its order, tests included; also that nothing was found."""
    for found in ([FOUND, Finding("CAS013", "info", "b", "c")], []):
        first = again.look(root, "by", 3)
        first.note(found)
        second = again.look(root, "by", 3)
        assert second.found == tuple(found)
        assert second.mark == first.mark


def test_only_the_same_question_gets_the_answer(root: Path) -> None:
    """Another level, another judge, another store or a changed file is looked at anew."""
    again.look(root, "by", 3).note([FOUND])
    assert again.look(root, "by", 2).found is None
    assert again.look(root, "another", 3).found is None
    assert again.look(root, "by", 3).found == (FOUND,)
    (root / "objects" / "ab" / "cd.json").write_bytes(b"y")
    assert again.look(root, "by", 3).found is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs users")
def test_another_user_looks_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was refused a file says nothing for who is not."""
    again.look(root, "by", 3).note([FOUND])
    monkeypatch.setattr(os, "getuid", lambda: 99)
    assert again.look(root, "by", 3).found is None


def test_a_store_that_changed_a_moment_ago_is_not_noted(root: Path, monkeypatch) -> None:
    """It may change again within the grain of the clock and look the same."""
    monkeypatch.setattr(again, "SETTLED_NS", 2 * 10**9)
    again.look(root, "by", 3).note([FOUND])
    assert again.look(root, "by", 3).found is None


def test_a_store_that_cannot_be_looked_at_is_not_noted(root: Path, monkeypatch) -> None:
    """There is a look without a mark; whoever examines will say what cannot be read."""

    def refused(*_args: object, **_more: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = time.time_ns()
    monkeypatch.setattr(walk, "mark", refused)
    seen = again.look(root, "by", 3)
    assert (seen.mark, seen.found) == (None, None)
    assert seen.place == root / ".local" / "verified" / "whole-3.json"
    assert before <= seen.seen_at <= time.time_ns()
    seen.note([FOUND])
    assert not seen.place.exists()
    monkeypatch.undo()
    assert again.look(root, "by", 3).found is None


def test_a_mark_tells_the_files_and_the_latest_time(root: Path) -> None:
    """Of all folders together, the local one left out; progress adds up to it."""
    counts: list[int] = []
    seen = walk.mark(root, seen=counts.append)
    assert seen.files == sum(counts) == 3
    stats = [path.stat() for path in root.rglob("*") if path.is_file() and path.name != "x"]
    assert seen.latest == max(max(at.st_mtime_ns, at.st_ctime_ns) for at in stats)
    later = time.time_ns() + 10**12
    os.utime(root / "manifest" / "tapes" / "tests" / "a.json", ns=(later, later))
    assert walk.mark(root).latest == later


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_a_folder_whose_name_is_no_text_is_marked_too(root: Path) -> None:
    """A test may lie in one."""
    folder = os.fsencode(root / "manifest" / "tapes") + b"/\xff"
    os.mkdir(folder)
    before = walk.mark(root)
    os.rename(folder, folder[:-1] + b"\xfe")
    assert walk.mark(root).digest != before.digest


def test_a_mark_is_the_same_for_any_number_of_processes(root: Path) -> None:
    """Whoever did the work."""
    assert walk.mark(root, files=10**6, workers=2) == walk.mark(root)


@pytest.mark.parametrize("name", ["format", "objects/ab/cd.json", "manifest/tapes/tests/a.json"])
def test_a_mark_changes_with_every_file(root: Path, name: str) -> None:
    """Its name, its size, its times and its inode."""
    path = root / name
    marks = [walk.mark(root).digest]
    os.utime(path, (OLD - 1, OLD - 1))
    marks.append(walk.mark(root).digest)
    path.write_bytes(b"other")
    os.utime(path, (OLD, OLD))
    marks.append(walk.mark(root).digest)
    path.rename(path.with_name("renamed"))
    marks.append(walk.mark(root).digest)
    (root / "renamed-to").mkdir()
    marks.append(walk.mark(root).digest)
    assert len({*marks}) == len(marks)
    (root / ".local" / "y").write_text("local")
    assert walk.mark(root).digest == marks[-1]
