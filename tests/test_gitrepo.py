"""The few git questions, answered by real repositories."""

import os
import time

import pytest

from cas_llm.gitrepo import (
    branches,
    changes,
    common_dir,
    contents,
    current_branch,
    default_branch,
    files_at,
    files_in_index,
    git_dir,
    git_root,
    merging,
    run_git,
    sides_in_index,
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


def test_the_index_of_a_hook_is_the_one_that_will_be_committed(project, monkeypatch):
    """`git commit -a` and `git commit FILE` use another file than `.git/index`."""
    project.file("a", "1").commit().file("b", "2")
    other = project.path / ".git" / "next-index-1.lock"
    monkeypatch.setenv("GIT_INDEX_FILE", str(other))
    run_git(project.path, "read-tree", "HEAD")
    run_git(project.path, "add", "b")
    assert files_in_index(project.path, ".").keys() == {"a", "b"}
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/next-index-1.lock")
    assert files_in_index(project.path, ".").keys() == {"a", "b"}
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert files_in_index(project.path, ".").keys() == {"a"}


def test_a_scripts_own_index_counts_for_the_repository_it_names(project, tmp_path, monkeypatch):
    """It lies in no git directory; without GIT_DIR it is for whatever repository is asked."""
    project.file("a", "1").commit()
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "own-index"))
    assert files_in_index(project.path, ".") == {}
    monkeypatch.setenv("GIT_DIR", str(project.path / ".git"))
    assert files_in_index(project.path, ".") == {}
    project.git("init", "-q", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert files_in_index(project.path, ".").keys() == {"a"}


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE"])
def test_another_repositorys_hook_leads_nowhere(project, tmp_path, monkeypatch, name):
    """A submodule's store is asked of the submodule, whatever its superproject's hook sets."""
    project.file("a", "1").commit()
    inner = tmp_path / "inner"
    project.git("init", "-q", str(inner))
    project.git("-C", str(inner), "commit", "-q", "--allow-empty", "-m", "Inner")
    value = {"GIT_WORK_TREE": "", "GIT_INDEX_FILE": "/index"}.get(name, "")
    folder = project.path if name == "GIT_WORK_TREE" else project.path / ".git"
    monkeypatch.setenv(name, f"{folder}{value}")
    assert run_git(inner, "log", "-1", "--format=%s") == b"Inner\n"
    assert files_in_index(inner, ".") == {}


def test_a_linked_work_trees_index_is_its_own(project, tmp_path, monkeypatch):
    """Its git directory is not the one that all share."""
    project.file("a", "1").commit()
    linked = tmp_path / "linked"
    project.git("worktree", "add", "-q", str(linked))
    own = git_dir(linked)
    assert own != common_dir(linked)
    monkeypatch.setenv("GIT_INDEX_FILE", str(own / "index"))
    monkeypatch.setenv("GIT_DIR", str(own))
    run_git(linked, "rm", "-q", "--cached", "a")
    assert files_in_index(linked, ".") == {}
    assert files_in_index(project.path, ".").keys() == {"a"}


def test_asking_leaves_the_index_as_it_is(project):
    """Not even the times that git keeps in it are brought up to date."""
    project.file("a", "1").commit()
    os.utime(project.path / "a", (1, 1))
    before = (project.path / ".git" / "index").read_bytes()
    assert run_git(project.path, "status", "--porcelain") == b""
    assert (project.path / ".git" / "index").read_bytes() == before


def test_a_time_limit_ends_git_and_gives_what_it_said(project, tmp_path, monkeypatch):
    """Cut anywhere; without a limit the same is waited for."""
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho said\nexec sleep 30\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")
    began = time.monotonic()
    assert run_git(project.path, "x", seconds=0.2) == b"said\n"
    assert time.monotonic() - began < 5


def test_changes_are_told_with_their_commits_and_blobs(project):
    """The newest first, odd names and all; before and after, empty where there was none."""
    name = "store/é a/b\tc.txt"
    for text in ("1", "2"):
        project.file(name, text).file("other", text).commit(f"Wrote {text} “sö”")
    project.git("rm", "-q", name)
    project.commit("Deleted")
    told = changes(project.path, "store")
    assert [one.commit.subject for one in told] == [
        "Deleted",
        "Wrote 2 “sö”",
        "Wrote 1 “sö”",
    ]
    assert {one.path for one in told} == {name}
    assert [bool(one.before) for one in told] == [True, True, False]
    assert [bool(one.after) for one in told] == [False, True, True]
    assert dict(contents(project.path, [told[0].before])) == {told[0].before: b"2"}
    assert {one.commit.author for one in told} == {"Ada"}
    assert told[0].commit.committed == int(project.git("log", "-1", "--format=%ct"))
    assert [one.commit.subject for one in changes(project.path, ".", kinds="D")] == ["Deleted"]
    assert len(changes(project.path, "store", most=1)) == 1
    assert changes(project.path, "store", revisions=("nowhere",)) is None


def test_a_merge_that_lost_a_file_is_the_commit_that_deleted_it(project):
    """What came in from one of its parents is that one's; what took one side whole hides nothing."""
    project.file("s/a", "1").commit("Add a")
    project.git("checkout", "-qb", "side")
    project.file("s/b", "2").commit("Add b")
    project.git("checkout", "-q", "main")
    project.file("s/c", "3").commit("Add c")
    project.git("merge", "-q", "--no-commit", "--no-ff", "side")
    project.git("rm", "-qf", "s/a")
    project.commit("Merge and drop")
    told = [(one.commit.subject, one.path) for one in changes(project.path, "s", kinds="D")]
    assert told == [("Merge and drop", "s/a")]
    project.git("checkout", "-q", "-b", "again", "HEAD^1")
    project.git("merge", "-q", "-s", "ours", "-m", "Ours", "side")
    told = {(one.commit.subject, one.path) for one in changes(project.path, "s")}
    assert ("Add b", "s/b") in told


def test_a_rename_is_a_deletion_and_settings_change_nothing(project):
    """Whatever the user's git is set to."""
    for name, value in {
        "log.showSignature": "true",
        "color.ui": "always",
        "diff.renames": "copies",
        "i18n.logOutputEncoding": "latin1",
        "core.quotePath": "true",
    }.items():
        project.git("config", name, value)
    project.file("a é", "1" * 99).commit("Add é")
    project.git("mv", "a é", "b")
    project.commit("Move")
    told = changes(project.path, ".")
    assert sorted((one.commit.subject, one.path, bool(one.after)) for one in told) == [
        ("Add é", "a é", True),
        ("Move", "a é", False),
        ("Move", "b", True),
    ]


def test_names_are_never_patterns(project):
    """A folder called like a pattern is that folder."""
    project.file("s[ab]/x", "1").file("sa/y", "2").commit()
    assert {one.path for one in changes(project.path, "s[ab]")} == {"s[ab]/x"}
    assert files_in_index(project.path, "s[ab]").keys() == {"x"}


def test_a_merge_that_goes_on_has_sides_and_bases(project):
    """And what is in conflict has a blob for each side that has it; None where none goes on."""
    base = project.file("a", "1").commit().git("rev-parse", "HEAD").strip()
    assert merging(project.path) is None
    project.git("checkout", "-qb", "side")
    project.file("a", "2").commit()
    project.git("checkout", "-q", "main")
    project.file("a", "3").commit()
    assert project.run("git", "merge", "side").code != 0
    found = merging(project.path)
    sides = tuple(project.git("rev-parse", "main", "side").split())
    assert (found.sides, found.bases, found.goes_on) == (sides, (base,), "git commit")
    [(name, blobs)] = sides_in_index(project.path, ".").items()
    held = dict(contents(project.path, blobs.values()))
    assert (name, {n: held[blob] for n, blob in blobs.items()}) == (
        "a",
        {1: b"1", 2: b"3", 3: b"2"},
    )
    project.git("merge", "--abort")
    assert (merging(project.path), sides_in_index(project.path, ".")) == (None, {})
