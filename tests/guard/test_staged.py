"""What a hook was started for is told from what git and pre-commit really set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commits import Repository

from cas_llm.guard.staged import NotARepository, Staged, changed_tests, of_environment

HOOK = """#!{python}
import json, os, sys
sys.path.insert(0, {tree!r})
from pathlib import Path
from cas_llm.guard.staged import of_environment
look = of_environment(Path.cwd(), os.environ)
said = [look.is_commit, look.is_push, look.base, look.commit]
said.append(sorted([c.path, c.is_deletion] for c in look.changes))
Path({out!r}).write_text(json.dumps(said))
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with two committed files, and hooks that tell what they see."""
    made = Repository.made(tmp_path / "project")
    made.write("one.txt", "1")
    made.write("two.txt", "2")
    made.commit("Begin")
    tree, out = str(Path(__file__).resolve().parents[2]), str(tmp_path / "seen.json")
    text = HOOK.format(python=sys.executable, tree=tree, out=out)
    hook = made.write(".git/hooks/pre-commit", text)
    hook.chmod(0o755)
    return made


def seen(repository: Repository) -> tuple[bool, list[list[object]]]:
    """Whether the hook took it for a commit, and the changes it saw."""
    place = repository.path.parent / "seen.json"
    is_commit, is_push, base, commit, changes = json.loads(place.read_text())
    place.unlink()
    assert (is_push, base, commit) == (False, "HEAD", "")
    return is_commit, changes


def test_each_way_to_commit_shows_what_is_committed(repository: Repository) -> None:
    """Plain, -a, of one file, amended, of a deletion, and from a folder below."""
    both = [["one.txt", False], ["two.txt", False]]
    repository.write("one.txt", "11")
    repository.write("two.txt", "22")
    repository.git("add", "one.txt")
    repository.git("commit", "-q", "-m", "one")
    assert seen(repository) == (True, both[:1])
    repository.write("one.txt", "111")
    repository.git("commit", "-q", "-a", "-m", "all")
    assert seen(repository) == (True, both)
    repository.write("one.txt", "1111")
    repository.write("two.txt", "222")
    repository.git("add", "two.txt")
    repository.git("commit", "-q", "-m", "a file", "one.txt")
    assert seen(repository) == (True, both[:1])
    repository.git("commit", "-q", "--amend", "-m", "amended")
    assert seen(repository) == (True, both[1:])
    (repository.path / "below").mkdir()
    line = ["git", "-C", str(repository.path / "below"), "rm", "-q", "../one.txt"]
    subprocess.run(line, check=True)
    line = ["git", "-C", str(repository.path / "below"), "commit", "-q", "-m", "gone"]
    subprocess.run(line, check=True)
    assert seen(repository) == (True, [["one.txt", True]])


def test_the_first_commit_and_a_commit_in_a_work_tree_of_its_own(
    repository: Repository, tmp_path: Path
) -> None:
    """There is no HEAD yet, and `.git` is a file."""
    repository.git("worktree", "add", "-q", str(tmp_path / "other"), "-b", "other")
    other = Repository(tmp_path / "other")
    other.write("three.txt", "3")
    other.commit("three")
    assert seen(repository) == (True, [["three.txt", False]])
    repository.git("checkout", "-q", "--orphan", "fresh")
    repository.git("commit", "-q", "-m", "again")
    assert seen(repository) == (True, [["one.txt", False], ["two.txt", False]])


def test_a_merge_shows_what_the_other_side_brings(repository: Repository) -> None:
    """Concluded by hand after a conflict."""
    repository.git("switch", "-q", "-c", "other")
    repository.write("one.txt", "theirs")
    repository.write("three.txt", "3")
    repository.commit("theirs")
    repository.git("switch", "-q", "main")
    repository.write("one.txt", "ours")
    repository.commit("ours")
    with pytest.raises(AssertionError):
        repository.git("merge", "-q", "other")
    look = repository.staged()
    assert look.conflicts == ("one.txt",)
    assert [change.path for change in look.changes] == ["three.txt"]
    repository.write("one.txt", "both")
    repository.commit("merged")
    assert seen(repository) == (True, [["one.txt", False], ["three.txt", False]])


def test_a_submodule_is_its_own_repository(repository: Repository, tmp_path: Path) -> None:
    """Its commits show its files; in the repository above it is one change that has no bytes."""
    outer = Repository.made(tmp_path / "outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(repository.path))
    outer.commit("A submodule")
    inner = Repository(outer.path / "project")
    inner.write("three.txt", "3")
    inner.git("add", "-A")
    assert [change.path for change in inner.staged({}).changes] == ["three.txt"]
    inner.commit("three")
    outer.git("add", "-A")
    (change,) = outer.staged({}).changes
    assert (change.path, change.mode) == ("project", "160000")
    assert outer.staged({}).stores == {}


def push(**variables: str) -> dict[str, str]:
    """What pre-commit sets for a push, beside the commits."""
    return {
        "PRE_COMMIT": "1",
        "PRE_COMMIT_REMOTE_NAME": "origin",
        "PRE_COMMIT_REMOTE_URL": "/elsewhere",
        "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main",
        "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main",
        **variables,
    }


def test_the_first_push_of_a_repository_is_all_of_the_branch_that_is_pushed(
    repository: Repository,
) -> None:
    """pre-commit names no commits then, and another branch may be checked out."""
    tip = repository.git("rev-parse", "main").strip()
    repository.git("switch", "-q", "-c", "other")
    repository.write("three.txt", "3")
    repository.commit("three")
    look = repository.staged(push())
    assert (look.is_push, look.base, look.commit) == (True, "", tip)
    assert [change.path for change in look.changes] == ["one.txt", "two.txt"]


def test_a_push_does_not_undo_what_others_pushed(repository: Repository) -> None:
    """It is held against the commit that both sides have in common, as a forge shows it."""
    repository.git("switch", "-q", "-c", "theirs")
    repository.write("three.txt", "3")
    theirs = repository.commit("three")
    repository.git("switch", "-q", "main")
    repository.write("one.txt", "11")
    ours = repository.commit("one")
    look = repository.staged(push(PRE_COMMIT_FROM_REF=theirs, PRE_COMMIT_TO_REF=ours))
    assert (look.is_push, look.is_commit) == (True, False)
    assert [change.path for change in look.changes] == ["one.txt"]


def test_somebody_who_asks_gets_what_is_staged_or_all(repository: Repository) -> None:
    """`pre-commit run --all-files` cannot be told from `pre-commit run`."""
    look = repository.staged({"PRE_COMMIT": "1"})
    assert (look.asks, look.is_commit, look.is_push) == (True, False, False)
    assert [change.path for change in look.whole().changes] == ["one.txt", "two.txt"]
    repository.write("one.txt", "11")
    repository.git("add", "-A")
    look = repository.staged({"PRE_COMMIT": "1"})
    assert (look.asks, [change.path for change in look.changes]) == (False, ["one.txt"])


def test_an_empty_commit_asks_nothing(repository: Repository) -> None:
    """An amended message concerns no file."""
    assert not repository.staged().asks
    assert repository.staged().changes == ()


ODD = ("-leading", "with space", "quote's", 'double"quote', "ünïcode", "new\nline", "tab\there")


def test_odd_names_come_through(repository: Repository) -> None:
    """Whatever git's quoting settings say."""
    repository.git("config", "core.quotePath", "true")
    for name in ODD:
        repository.write(f"cache_store/requests/{name}/x.json", "x")
    repository.git("add", "-A")
    paths = {change.path for change in repository.staged().changes}
    assert paths == {f"cache_store/requests/{name}/x.json" for name in ODD}


def test_a_store_is_known_by_the_shape_of_its_files(repository: Repository) -> None:
    """Also when all of it is deleted, and when only its own file changes."""
    repository.filled()
    repository.git("add", "-A")
    assert list(repository.staged().stores) == ["cache_store"]
    repository.commit("A store")
    repository.git("rm", "-r", "-q", "cache_store")
    assert list(repository.staged().stores) == ["cache_store"]
    repository.git("reset", "-q", "--hard")
    repository.git("rm", "-q", "cache_store/format")
    assert list(repository.staged().stores) == ["cache_store"]
    repository.git("reset", "-q", "--hard")
    repository.write("cache_store/README.md", "mine")
    repository.git("add", "-A")
    assert list(repository.staged().stores) == ["cache_store"]


def test_only_test_files_that_were_there_are_tests_that_change(repository: Repository) -> None:
    """New ones have no recordings that could be stale."""
    names = ("test_a.py", "sub/b_test.py", "conftest.py", "tests.py", "app/contest.py", "latest.py")
    for name in names:
        repository.write(name, "1")
    repository.git("add", "-A")
    assert list(changed_tests(repository.staged())) == []
    repository.commit("Tests")
    for name in names:
        repository.write(name, "2")
    repository.git("add", "-A")
    assert sorted(changed_tests(repository.staged())) == [
        "conftest.py",
        "sub/b_test.py",
        "test_a.py",
        "tests.py",
    ]


def test_outside_a_repository_there_is_one_clear_error(tmp_path: Path) -> None:
    """And for a commit that git does not know."""
    with pytest.raises(NotARepository, match="git init"):
        of_environment(tmp_path, {})
    made = Repository.made(tmp_path / "made")
    with pytest.raises(NotARepository, match="git log"):
        of_environment(made.path, {"PRE_COMMIT_TO_REF": "f" * 40})
    broken = Staged(made.path, "no such commit", "neither")
    with pytest.raises(NotARepository, match="git status"):
        _ = broken.changes
    with pytest.raises(NotARepository, match="does not list"):
        broken.files(".")
    assert "GIT_DIR" not in os.environ
