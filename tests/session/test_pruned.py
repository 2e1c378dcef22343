"""A miss whose recording was taken out names the commit, and costs one short question a run."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from support.desk import a_test, chat, key_of

from cas_llm import gitrepo
from cas_llm.session import misses, pruned

HI = chat("hi")
NAME = "tests/test_a.py::test_one"


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def commit(folder: Path, subject: str) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", subject)
    return git(folder, "rev-parse", "HEAD").strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


@pytest.fixture
def record(desk, repository):
    """Records one request in a test, and commits it."""
    made, scope = desk("fallback"), a_test(NAME)
    made.ask(HI, scope)
    made.passed(scope)
    made.runtime.store.close()
    commit(repository, "Record")
    return made


@pytest.fixture
def taken(record, repository, root) -> str:
    """The commit that deleted all of it but the store itself."""
    for name in ("requests", "objects", "manifest"):
        shutil.rmtree(root / name)
    return commit(repository, 'Prune "all"\x1b[31m')


def missed(desk, request=HI, mode: str = "replay", **more) -> str:
    """The explanation of the miss of *request*."""
    made, scope = desk(mode, **more), a_test(NAME)
    assert made.ask(request, scope).status == 424
    return misses.explain(scope.problems[-1])


def test_a_miss_names_the_commit_that_took_it_and_the_command(desk, taken, record):
    """Its subject without what would colour a terminal; recording it anew stays a choice."""
    lines = missed(desk).splitlines()
    key = key_of(record, HI)
    [line] = [line for line in lines if "deleted in" in line]
    assert line == (
        f'  deleted in {taken[:7]} "Prune "all" [31m" by Ada, just now; '
        f"bring it back: cas-llm restore {key[:12]}"
    )
    assert lines[-1].startswith("  Record it:  pytest tests/test_a.py::test_one")


def test_a_request_that_was_never_recorded_is_told_as_before(desk, taken):
    """Only what git's history has is said to be in it."""
    assert "deleted in" not in missed(desk, chat("something else"))


def test_an_answer_that_is_named_and_was_deleted_names_the_commit(desk, record, repository, root):
    """As after the merge of a branch that used what was pruned."""
    shutil.rmtree(root / "objects")
    there = commit(repository, "Lose the answers")
    said = missed(desk)
    assert said.startswith("cas-llm: unreadable")
    assert f'deleted in {there[:7]} "Lose the answers"' in said


def test_a_pending_answer_is_explanation_enough(desk, taken, monkeypatch):
    """Git is not asked."""
    desk("fallback").ask(HI, a_test(NAME))
    monkeypatch.setattr(pruned, "deletions", None)
    said = missed(desk)
    assert "An answer waits for this test to pass" in said
    assert "deleted in" not in said


@pytest.mark.parametrize("how", ["no repository", "no git", "no commit"])
def test_without_an_answer_of_git_the_explanation_is_complete(
    desk, taken, repository, monkeypatch, how
):
    """It ends with the command that records, as ever."""
    if how == "no git":
        monkeypatch.setenv("PATH", "")
    else:
        shutil.rmtree(repository / ".git")
    if how == "no commit":
        git(repository, "init", "-q")
    said = missed(desk)
    assert "Record it:" in said
    assert "deleted in" not in said


@pytest.fixture
def counting(tmp_path_factory, monkeypatch):
    """Puts a git before the real one that notes each of its calls, and runs a line first."""

    def make(line: str = "") -> Path:
        folder = tmp_path_factory.mktemp("bin")
        calls, real = folder / "calls", shutil.which("git")
        script = folder / "git"
        script.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n{line}\nexec {real} "$@"\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        calls.touch()
        return calls

    return make


def test_a_slow_git_is_given_up_after_a_second(desk, taken, counting, monkeypatch):
    """The miss is explained without it, and it is not asked again."""
    assert pruned.SECONDS == 1
    monkeypatch.setattr(pruned, "SECONDS", 0.2)
    calls = counting("exec sleep 30")
    began = time.monotonic()
    assert "deleted in" not in missed(desk)
    assert pruned.SECONDS <= time.monotonic() - began < pruned.SECONDS + 2
    assert len(calls.read_text().splitlines()) == 1


def test_what_a_slow_git_said_until_then_counts(desk, taken, record, tmp_path_factory, monkeypatch):
    """The latest commits come first, so they are told of even where the history is long."""
    folder, real = tmp_path_factory.mktemp("bin"), shutil.which("git")
    (folder / "git").write_text(f'#!/bin/sh\n{real} "$@"\nexec sleep 30\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    assert f"deleted in {taken[:7]}" in missed(desk)


def test_all_processes_of_a_run_ask_git_once(desk, taken, counting):
    """Workers read what the first one found; misses in turn ask nothing more."""
    calls = counting()
    first = desk("replay")
    for made in (first, desk("replay", joins=first), desk("replay", joins=first)):
        for _ in range(2):
            scope = a_test(NAME)
            made.ask(HI, scope)
            assert "deleted in" in misses.explain(scope.problems[0])
    assert len(calls.read_text().splitlines()) == 1


def test_a_worker_waits_no_longer_than_git_may_take(desk, taken, monkeypatch):
    """Where the one that asks was killed, the others do without."""
    monkeypatch.setattr(pruned, "SECONDS", 0.05)
    made = desk("replay")
    made.runtime.run.folder.mkdir(parents=True)
    (made.runtime.run.folder / "deleted.asked").touch()
    scope = a_test(NAME)
    made.ask(HI, scope)
    assert "deleted in" not in misses.explain(scope.problems[0])


def test_where_the_run_can_keep_nothing_each_process_asks(desk, taken, root):
    """A folder that is a file, as on a full or closed disk."""
    made = desk("replay")
    made.runtime.run.folder.parent.mkdir(parents=True, exist_ok=True)
    made.runtime.run.folder.write_text("in the way")
    scope = a_test(NAME)
    made.ask(HI, scope)
    assert "deleted in" in misses.explain(scope.problems[0])
    made.runtime.run.folder.unlink()


def test_the_variables_of_a_hook_around_it_lead_nowhere_else(
    desk, taken, tmp_path_factory, monkeypatch
):
    """A test run that another repository's hook started finds its own repository."""
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "-q")
    for name, value in {
        "GIT_DIR": ".git",
        "GIT_WORK_TREE": ".",
        "GIT_INDEX_FILE": ".git/index",
        "GIT_PREFIX": "",
        "GIT_OBJECT_DIRECTORY": str(other / ".git" / "objects"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(other)
    assert f"deleted in {taken[:7]}" in missed(desk)


def test_a_test_that_replaces_subprocess_gets_its_explanation(desk, taken, monkeypatch):
    """A double that gives nonsense, or refuses to be called."""
    monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: object())
    assert "Record it:" in missed(desk)

    def refuse(*_a, **_k):
        raise AssertionError("not expected to be called")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert "Record it:" in missed(desk)


def test_no_server_is_asked_for_what_a_partial_clone_lacks(taken, repository, tmp_path_factory):
    """With the server gone the look-up ends without an answer, at once."""
    git(repository, "config", "uploadpack.allowFilter", "true")
    clone = tmp_path_factory.mktemp("clone") / "c"
    origin = f"file://{repository}"
    subprocess.run(
        ["git", "clone", "-q", "--filter=tree:0", "--no-checkout", origin, str(clone)], check=True
    )
    (clone / "cache_store").mkdir()
    began = time.monotonic()
    assert pruned.deletions(clone / "cache_store", seconds=1) == {}
    assert time.monotonic() - began < pruned.SECONDS + 1


def test_many_deletions_are_one_question(repository, root):
    """A file that was deleted twice names the last commit."""
    path = root / "requests" / "ab" / ("c" * 62 + ".json")
    for text in "12":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        commit(repository, "add")
        path.unlink()
        last = commit(repository, f"delete {text}")
    found = pruned.deletions(root, seconds=9)
    assert {name: told.id for name, told in found.items()} == {
        "requests/ab/" + "c" * 62 + ".json": last
    }
    assert gitrepo.changes(repository, "cache_store", kinds="D", most=1)[0].commit.id == last
