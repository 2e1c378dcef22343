"""The guard where git is set up in other ways than most: settings, index, work trees."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from support.deeds import Person, found
from support.guarded import Guarded
from support.projects import Project
from support.provider import ScriptedProvider

pytestmark = pytest.mark.slow

ONE = "tests/test_one.py"


SETTINGS = {
    "diff.noprefix": "true",
    "diff.external": "false",
    "diff.relative": "true",
    "diff.renames": "copies",
    "diff.submodule": "log",
    "diff.ignoreSubmodules": "all",
    "diff.orderFile": "/dev/null",
    "diff.mnemonicPrefix": "true",
    "color.ui": "always",
    "core.quotePath": "false",
    "core.fsmonitor": "true",
    "core.untrackedCache": "true",
    "core.abbrev": "4",
    "core.pager": "false",
    "core.preloadIndex": "false",
    "core.commentChar": ";",
    "commit.template": "/dev/null",
    "status.relativePaths": "true",
    "status.showUntrackedFiles": "no",
    "log.showSignature": "true",
    "log.showRoot": "false",
    "log.date": "relative",
    "log.decorate": "full",
    "log.follow": "true",
    "format.pretty": "oneline",
    "core.attributesFile": "/dev/null",
    "i18n.logOutputEncoding": "latin1",
    "submodule.recurse": "true",
    "index.version": "4",
    "feature.manyFiles": "true",
}


def test_what_the_user_set_up_changes_no_verdict(ada: Person) -> None:
    """All odd settings of git at once, for each of the hooks."""
    for name, value in SETTINGS.items():
        ada.project.git("config", "--global", name, value)
    ada.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    assert found(ada) == ["CAS070"]
    ada.guarded.record()
    assert found(ada) == ["CAS071"]
    ada.add("cache_store")
    assert [found(ada, name) for name in ("replayable", "verify", "stale", "secrets")] == [[]] * 4
    ada.answer("test_waves").unlink()
    ada.project.git("rm", "-q", "tests/test_two.py")
    ada.add(".")
    assert found(ada, "verify") == ["CAS010"]
    assert found(ada, "stale") == ["CAS081"]


def test_line_ends_of_another_system_change_no_verdict(ada: Person) -> None:
    """core.autocrlf: the work tree's texts are not the index's, and recordings are as they are."""
    ada.project.git("config", "core.autocrlf", "true")
    for path in ("app.py", ONE):
        (ada.project.path / path).unlink()
    ada.project.git("checkout", "-q", "--", ".")
    assert b"\r\n" in (ada.project.path / ONE).read_bytes()
    ada.project.file("notes.md", "Notes\n")
    ada.add(".")
    assert found(ada) == []
    text = (ada.project.path / ONE).read_bytes()
    (ada.project.path / ONE).write_bytes(text.replace(b"Thank Ada", b"Thank Bob"))
    ada.add(".")
    assert found(ada) == ["CAS070"]
    ada.record().add(".")
    assert found(ada) == []
    assert found(ada, "verify") == []


def test_a_repository_of_the_other_hash_is_guarded(
    project: Project, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """git init --object-format=sha256."""
    shutil.rmtree(project.path / ".git")
    project.git("init", "-q", "-b", "main", "--object-format=sha256")
    ada = Person(Guarded(project, provider).begin())
    ada.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    assert found(ada) == ["CAS070"]
    ada.record()
    assert found(ada) == ["CAS071"]
    ada.add(".")
    assert [found(ada, name) for name in ("replayable", "verify", "stale")] == [[]] * 3
    base = ada.project.git("rev-parse", "HEAD").strip()
    ada.rewrite(ada.answer("test_waves"), lambda data: data[:-9])
    ada.project.commit("Damage")
    push = {"PRE_COMMIT_FROM_REF": base, "PRE_COMMIT_TO_REF": "HEAD"}
    assert found(ada, "verify", **push) == ["CAS060"]
    assert found(ada, "verify", PRE_COMMIT_FROM_REF="0" * 64, PRE_COMMIT_TO_REF="HEAD") == [
        "CAS020"
    ]


def test_a_file_that_is_only_meant_to_be_added_is_not_staged(ada: Person) -> None:
    """`git add -N`: its name is in the index, and no byte of it."""
    ada.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    ada.record()
    ada.project.git("add", "-N", "cache_store")
    assert found(ada) == ["CAS071"]
    assert found(ada, "verify") == []


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_an_edit_that_git_was_told_to_overlook_is_seen(ada: Person, flag: str) -> None:
    """The recording on disk, the test on disk: git diff does not compare what is flagged."""
    ada.project.git("update-index", flag, ONE, ada.name(ada.answer("test_thanks")))
    ada.rewrite(ada.answer("test_thanks"), lambda data: data[:-9])
    ada.edit("tests/test_two.py", "assert ask", "assert 1 and ask").add("tests/test_two.py")
    ada.project.file("conftest.py", "X = 1\n").git("add", "conftest.py")
    assert found(ada) == []
    ada.edit(ONE, "Thank Ada", "Thank Bob")
    assert "CAS075" in found(ada)


def test_a_sparse_checkout_replays_what_is_there(ada: Person) -> None:
    """The store is not checked out; it is staged all the same."""
    ada.project.git("status")
    ada.project.git("sparse-checkout", "set", "--cone", "tests")
    assert not list((ada.project.path / "cache_store").glob("objects/*/*"))
    ada.edit(ONE, "assert ask(PROMPT)", "assert ask(PROMPT), 1").add("tests")
    assert found(ada) == []
    ada.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    assert found(ada) == ["CAS070"]


def test_a_staged_test_file_that_is_gone_from_disk_is_not_called_checked(ada: Person) -> None:
    """`git add`, then `rm`: what will be committed cannot be run."""
    ada.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    (ada.project.path / ONE).unlink()
    assert found(ada) == ["CAS075"]


def test_modes_of_files_change_nothing(ada: Person) -> None:
    """A test or a recording that may be executed from now on is the same text."""
    for path in (ada.project.path / ONE, ada.answer("test_thanks")):
        path.chmod(0o755)
    ada.add(".")
    assert ada.project.git("diff", "--cached", "--name-only").count("\n") == 2
    assert [found(ada, name) for name in ("replayable", "verify", "stale", "secrets")] == [[]] * 4


def test_a_store_that_is_a_link_is_the_store_it_leads_to(new: Person) -> None:
    """cache_store -> data/store, both in git."""
    (new.project.path / "data/store").mkdir(parents=True)
    (new.project.path / "cache_store").symlink_to("data/store")
    new.guarded.begin()
    new.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    assert found(new) == ["CAS070"]
    new.record()
    assert found(new) == ["CAS071"]
    new.add(".")
    assert [found(new, name) for name in ("replayable", "verify", "stale")] == [[]] * 3
    tape = next((new.project.path / "data/store/manifest/tapes").rglob("test_waves*.json"))
    new.project.git("rm", "-q", str(tape))
    assert found(new) == ["CAS070"]


def test_a_store_without_its_local_folder_is_a_fresh_clone(ada: Person) -> None:
    """Nothing is known of earlier runs, and nothing is needed for a commit."""
    shutil.rmtree(ada.project.path / "cache_store/.local")
    ada.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    assert [found(ada, name) for name in ("replayable", "verify", "stale", "secrets")] == [
        ["CAS070"],
        [],
        [],
        [],
    ]


def test_a_hook_that_is_started_below_the_top_sees_all(ada: Person) -> None:
    """Another hook runner starts it anywhere."""
    ada.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    folder = ada.project.path
    ada.project.path = folder / "tests"
    codes = ada.guarded.codes("replayable", GIT_INDEX_FILE=str(folder / ".git/index"))
    assert codes == ["CAS070"]


def test_a_second_work_tree_is_guarded_by_its_own_index(ada: Person, tmp_path: Path) -> None:
    """`git worktree add`: git leads its hooks by GIT_DIR; the first one's index is not asked."""
    ada.installed()
    ada.project.git("worktree", "add", "-q", "../second", "-b", "second")
    second = Person(Guarded.at(tmp_path, "second", ada.guarded))
    second.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    first = ada.state()
    attempt = second.commit()
    assert (attempt.blocked, attempt.codes, attempt.harm()) == (True, ["CAS070"], ())
    second.record()
    second.add("cache_store")
    attempt = second.commit("-a")
    assert (attempt.blocked, attempt.codes, attempt.harm()) == (False, [], ())
    assert ada.state() == first


def test_a_submodule_is_guarded_as_a_repository(ada: Person, tmp_path: Path) -> None:
    """Its git directory lies in the outer one; the outer one's commit does not look into it."""
    outer = Project(tmp_path / "outer")
    outer.env(**ada.project.variables)
    outer.git(
        "-c", "protocol.file.allow=always", "submodule", "-q", "add", str(ada.project.path), "inner"
    )
    outer.commit("A submodule")
    inner = Person(Guarded.at(outer.path, "inner", ada.guarded)).installed()
    inner.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    attempt = inner.commit()
    assert (attempt.blocked, attempt.codes, attempt.harm()) == (True, ["CAS070"], ())
    inner.record()
    inner.add("cache_store")
    attempt = inner.commit()
    assert (attempt.blocked, attempt.codes, attempt.harm()) == (False, [], ())
    around = Person(Guarded(outer, ada.guarded.provider))
    around.add("inner")
    assert [found(around, name) for name in ("replayable", "verify", "stale", "secrets")] == [
        []
    ] * 4


def test_hooks_that_git_finds_elsewhere_are_started_alike(ada: Person) -> None:
    """core.hooksPath, which pre-commit refuses to install to: a script that starts it."""
    ada.installed()
    shutil.rmtree(ada.project.path / ".git/hooks")
    script = f"#!/bin/sh\nexec '{sys.executable}' -m pre_commit run\n"
    ada.project.file(".githooks/pre-commit", script)
    (ada.project.path / ".githooks/pre-commit").chmod(0o755)
    ada.project.commit("A script")
    ada.project.git("config", "core.hooksPath", ".githooks")
    ada.edit(ONE, "Thank Ada", "Thank Bob").add("tests")
    attempt = ada.commit()
    assert (attempt.blocked, attempt.codes, attempt.harm()) == (True, ["CAS070"], ())
