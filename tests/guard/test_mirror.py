"""A store as it is staged, at a path of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.projects import Project

from cas_llm.guard.replaying.mirror import as_staged, differing
from cas_llm.guard.staged import Staged

STORE = "cache_store"


@pytest.fixture
def staged(project: Project) -> Staged:
    """A repository with three files in its store."""
    for name in ("format", "objects/aa/one.json", "objects/bb/two.json"):
        project.file(f"{STORE}/{name}", f"{name}\n")
    project.commit()
    return Staged(project.path, project.git("rev-parse", "HEAD").strip())


def contents(root: Path) -> dict[str, str]:
    """Every file below *root*, by its path."""
    # Not rglob, which passes over folders that are links.
    return {
        Path(folder, name).relative_to(root).as_posix(): Path(folder, name).read_text()
        for folder, _, names in os.walk(root, followlinks=True)
        for name in names
    }


def test_a_store_that_is_as_staged_is_used_as_it_is(staged):
    """Nothing is copied, and the index beside it serves."""
    with as_staged(staged, STORE) as root:
        assert root == staged.top / STORE


def test_files_of_no_commit_are_not_there(staged, project):
    """Untracked and ignored ones; what is local to the machine is no difference."""
    project.file(f"{STORE}/objects/aa/new.json", "new\n").file(".gitignore", "hidden.json\n")
    project.file(f"{STORE}/objects/cc/hidden.json", "hidden\n")
    project.file(f"{STORE}/.local/index", "index\n")
    assert differing(staged, STORE) == {"objects/aa/new.json", "objects/cc/hidden.json"}
    with as_staged(staged, STORE) as root:
        assert sorted(contents(root)) == ["format", "objects/aa/one.json", "objects/bb/two.json"]


def test_files_that_were_edited_or_deleted_on_disk_are_as_staged(staged, project):
    """Their bytes come from git; the others are links to the same files."""
    project.file(f"{STORE}/objects/aa/one.json", "edited\n")
    (project.path / STORE / "format").unlink()
    with as_staged(staged, STORE) as root:
        assert contents(root)["objects/aa/one.json"] == "objects/aa/one.json\n"
        assert contents(root)["format"] == "format\n"
        assert (root / "objects/bb").is_symlink()
    assert project.read(f"{STORE}/objects/aa/one.json") == "edited\n"


def test_what_is_staged_anew_and_gone_from_disk_is_there(staged, project):
    """`git add`, then `rm`: the commit will hold it."""
    project.file(f"{STORE}/objects/dd/new.json", "new\n").git("add", STORE)
    (project.path / STORE / "objects/dd/new.json").unlink()
    (project.path / STORE / "objects/dd").rmdir()
    with as_staged(staged, STORE) as root:
        assert contents(root)["objects/dd/new.json"] == "new\n"


def test_a_file_that_only_looks_changed_is_none(staged, project):
    """The same bytes with another time, as after a copy of the repository."""
    path = project.path / STORE / "format"
    os.utime(path, (1, 1))
    index = (project.path / ".git" / "index").read_bytes()
    assert differing(staged, STORE) == frozenset()
    assert (project.path / ".git" / "index").read_bytes() == index


def test_of_many_new_times_only_other_bytes_are_an_edit(staged, project):
    """Whatever the names are, a program's mode and an edit of the same length among them."""
    names = ('"quoted".json', "two words.json", "tab\t.json", "\udcff.json", "late.json", "run.sh")
    for name in names:
        project.file(f"{STORE}/{name}", "bytes\n")
    (project.path / STORE / "run.sh").chmod(0o755)
    (project.path / STORE / "nowhere").symlink_to("nothing")
    project.commit()
    project.file(f"{STORE}/late.json", "other\n")
    for name in names:
        os.utime(project.path / STORE / name, (1, 1))
    assert differing(Staged(project.path, "HEAD"), STORE) == {"late.json"}
    (project.path / STORE / "two words.json").chmod(0o755)
    (project.path / STORE / "nowhere").unlink()
    (project.path / STORE / "nowhere").symlink_to("anything")
    edited = {"late.json", "two words.json", "nowhere"}
    assert differing(Staged(project.path, "HEAD"), STORE) == edited


def test_a_pushed_commit_is_what_counts_at_a_push(staged, project):
    """What was committed later, or is staged now, is not pushed."""
    project.file(f"{STORE}/objects/aa/later.json", "later\n").commit()
    pushed = Staged(staged.top, commit=staged.base, is_push=True)
    with as_staged(pushed, STORE) as root:
        assert "objects/aa/later.json" not in contents(root)
