"""The few git questions, answered by real repositories."""

import pytest

from cas_llm.gitrepo import (
    branches,
    common_dir,
    contents,
    current_branch,
    default_branch,
    files_at,
    files_in_index,
    git_root,
    run_git,
    stashes,
    versions_of,
    worktrees,
)


def test_the_root_is_the_nearest_repository_upwards(project):
    """From any folder below it, one that is not there yet too."""
    assert git_root(project.path) == project.path
    assert git_root(project.path / "a" / "b") == project.path
    assert git_root(project.home) is None


def test_all_work_trees_share_one_directory(project, tmp_path):
    """A linked work tree's `.git` is a file that leads there."""
    project.commit()
    project.git("worktree", "add", "-q", str(tmp_path / "second"))
    assert git_root(tmp_path / "second" / "x") == tmp_path / "second"
    assert common_dir(tmp_path / "second") == common_dir(project.path) == project.path / ".git"


def test_a_submodules_directory_is_its_own(project, tmp_path):
    """Its `.git` file names a directory that shares nothing."""
    project.commit()
    project.git("init", "-q", str(tmp_path / "inner"))
    project.git("-C", str(tmp_path / "inner"), "commit", "-q", "--allow-empty", "-m", "x")
    add = ("submodule", "add", "-q", str(tmp_path / "inner"), "sub")
    project.git("-c", "protocol.file.allow=always", *add)
    assert common_dir(project.path / "sub") == project.path / ".git" / "modules" / "sub"


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"gitdir: nowhere\n", b"\xff\xfe"])
def test_a_marker_that_leads_nowhere_is_no_repository(tmp_path, content):
    """No error: cas-llm does without git."""
    if content is not None:
        (tmp_path / ".git").write_bytes(content)
    assert common_dir(tmp_path) is None


def test_run_git_gives_bytes_or_none(project, tmp_path, monkeypatch):
    """None where git says no, where there is no repository, and where there is no git."""
    assert run_git(project.path, "hash-object", "--stdin", data=b"").startswith(b"e69de29")
    assert run_git(project.path, "no-such-command") is None
    assert run_git(tmp_path / "absent", "status") is None
    monkeypatch.setenv("PATH", "")
    assert run_git(project.path, "status") is None


def test_versions_come_from_the_index_then_head_then_history(project):
    """Every content git ever had of a file, its name having odd letters."""
    name = "é x/a b.txt"
    for text in ("1", "2", "3"):
        project.file(name, text).commit(text)
    project.file(name, "staged").git("add", "-A")
    project.file(name, "only in the work tree")
    path = project.path / name
    assert versions_of(project.path, path) == [b"staged", b"3", b"3", b"2", b"1"]
    assert versions_of(project.path, project.path / "absent") == []
    assert versions_of(project.path, project.home / "outside") == []


def test_a_deleted_file_is_found_in_history(project):
    """On any branch."""
    project.commit("first")
    project.git("checkout", "-q", "-b", "side")
    project.file("a", "kept").commit()
    project.git("checkout", "-q", "main")
    assert versions_of(project.path, project.path / "a") == [b"kept"]


def test_branches_are_those_here_and_of_remotes(project):
    """With commit and time; a remote's HEAD is another name of one of them."""
    assert branches(project.path) == []
    project.commit().git("update-ref", "refs/remotes/origin/main", "HEAD")
    project.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    found = branches(project.path)
    assert [ref.name for ref in found] == ["refs/heads/main", "refs/remotes/origin/main"]
    assert {ref.commit for ref in found} == {project.git("rev-parse", "HEAD").strip()}
    assert {str(ref.committed) for ref in found} == {
        project.git("log", "-1", "--format=%ct").strip()
    }
    assert branches(project.home) is None


def test_the_default_branch_is_the_remotes_else_the_usual_one_else_the_only_one(project):
    """Empty where nothing tells it."""
    assert default_branch(project.path) == ""
    project.commit().git("branch", "-m", "trunk")
    assert (default_branch(project.path), current_branch(project.path)) == ("trunk", "trunk")
    project.git("branch", "other")
    assert default_branch(project.path) == ""
    project.git("config", "init.defaultBranch", "other")
    assert default_branch(project.path) == "other"
    project.git("branch", "master")
    project.git("config", "--unset", "init.defaultBranch")
    assert default_branch(project.path) == "master"
    project.git("update-ref", "refs/remotes/up/a/b", "HEAD")
    project.git("symbolic-ref", "refs/remotes/up/HEAD", "refs/remotes/up/a/b")
    assert default_branch(project.path) == "a/b"
    project.git("checkout", "-q", "--detach")
    assert current_branch(project.path) == ""


def test_what_a_commit_and_the_index_hold_of_a_folder(project):
    """Paths below it, to blob ids whose bytes one question gives."""
    project.file("store/é/a b.txt", "1").file("store/c", "2").file("storeroom", "3").commit()
    project.file("store/c", "new").git("add", "-A")
    at_head = files_at(project.path, "HEAD", "store")
    staged = files_in_index(project.path, "store")
    assert at_head.keys() == staged.keys() == {"é/a b.txt", "c"}
    assert at_head["é/a b.txt"] == staged["é/a b.txt"]
    blobs = dict(contents(project.path, [at_head["c"], staged["c"], "0" * 40]))
    assert blobs == {at_head["c"]: b"2", staged["c"]: b"new"}
    assert list(contents(project.path, [])) == []
    assert files_at(project.path, "HEAD", "absent") == {}
    assert files_at(project.path, "HEAD", ".").keys() == {"store/é/a b.txt", "store/c", "storeroom"}
    assert files_at(project.path, "nothing", "store") is None
    assert files_in_index(project.home, "store") is None


def test_stashes_and_work_trees_are_listed(project, tmp_path):
    """Of a stash all its commits but the one it was made on; work trees, the main one first."""
    project.file("a", "1").commit()
    assert (stashes(project.path), worktrees(project.path)) == ([], [project.path])
    project.file("a", "2").file("new", "3").git("stash", "-q", "-u")
    held = [files_at(project.path, commit, ".").keys() for commit in stashes(project.path)]
    assert held == [{"a"}, {"a"}, {"new"}]
    project.git("worktree", "add", "-q", "--detach", str(tmp_path / "a second"))
    assert worktrees(project.path) == [project.path, tmp_path / "a second"]
