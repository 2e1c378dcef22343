"""The few git questions, answered by real repositories."""

import pytest

from cas_llm.gitrepo import common_dir, git_root, run_git, versions_of


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
