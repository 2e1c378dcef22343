"""`cas-llm-replayable` beyond the files of the commit: tests reached through what they depend on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.guarded import Guarded

PUSH = "PRE_COMMIT_FROM_REF"


def pushed(guarded: Guarded) -> dict[str, str]:
    """The variables of a push of all that was committed since the beginning."""
    return {PUSH: guarded.project.git("rev-parse", "HEAD~1").strip(), "PRE_COMMIT_TO_REF": "HEAD"}


def test_a_prompt_in_the_apps_code_is_let_through_at_the_commit_and_blocked_at_the_push(guarded):
    """A commit looks at its own tests only, unless it is told to look further."""
    guarded.record()
    guarded.lose("test_waves")
    guarded.edit("app.py", "Greet Ada", "Greet Bob")
    guarded.project.git("add", "app.py")
    assert guarded.codes("replayable") == []

    guarded.project.commit("A prompt")
    refused = guarded.hook("replayable", **pushed(guarded))
    assert refused.code == 1
    assert "tests/test_one.py::test_greets: not recorded" in refused.stdout
    assert "--cas-llm=fallback, then git add cache_store, then git commit" in refused.stdout
    assert "test_waves" not in refused.stdout


@pytest.mark.slow
def test_a_commit_looks_as_far_as_it_is_told(guarded):
    """With scope = "affected" the tests that import an edited module, with "all" every test."""
    guarded.hooks('scope = "affected"')
    guarded.record()
    guarded.lose("test_waves")
    guarded.edit("app.py", "Greet Ada", "Greet Bob")
    guarded.project.git("add", "app.py")
    assert guarded.codes("replayable") == ["CAS070"]

    guarded.hooks('scope = "all"')
    guarded.project.git("add", "pyproject.toml")
    assert guarded.codes("replayable") == ["CAS070", "CAS070"]


def test_a_template_that_a_test_reads_reaches_it(guarded):
    """A data file is a dependency like a module; another one is none."""
    guarded.project.file("prompts/greet.txt", "Greet Ada\n").file("prompts/other.txt", "Other\n")
    guarded.project.file(
        "app.py", "from pathlib import Path\nPROMPT = Path('prompts/greet.txt').read_text()\n"
    )
    guarded.record()
    guarded.lose("test_waves")

    guarded.project.file("prompts/other.txt", "Another\n").commit("Nobody reads it")
    assert guarded.codes("replayable", **pushed(guarded)) == []
    guarded.project.file("prompts/greet.txt", "Greet Bob\n").commit("A template is edited")
    assert guarded.codes("replayable", **pushed(guarded)) == ["CAS070"]


def test_a_dependency_with_edits_that_are_not_staged_is_not_called_checked(guarded):
    """The test ran with the edited module, the commit holds the other one."""
    guarded.edit("tests/test_one.py", "assert ask(PROMPT)", "assert ask(PROMPT), 1")
    guarded.project.git("add", "tests")
    guarded.edit("app.py", "PROMPT", "LIMIT = 3\nPROMPT")

    result = guarded.hook("replayable")

    assert result.code == 1
    assert "CAS075 error: not checked: tests/test_one.py imports app.py" in result.stdout


@pytest.mark.slow
def test_without_any_knowledge_of_earlier_runs_a_push_looks_at_all_tests(guarded):
    """On a fresh clone nobody knows who depends on what: all are run."""
    shutil.rmtree(guarded.project.path / "cache_store" / ".local")
    guarded.lose("test_waves")
    guarded.project.file("README.md", "words\n").commit("Words")
    assert guarded.codes("replayable", **pushed(guarded)) == ["CAS070"]


@pytest.mark.slow
def test_who_asks_without_a_commit_is_told_of_all_tests(guarded):
    """`pre-commit run --all-files` on a runner: nothing is staged, and all that is there counts."""
    guarded.lose("test_waves")
    result = guarded.project.run(
        *(guarded.python, "-m", "cas_llm.hook", "replayable"), env={"PRE_COMMIT": "1"}
    )
    assert result.code == 1
    assert "tests/test_two.py::test_waves: " in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tests/test_ünïcode näme.py", "tests/test_-dash.py"])
def test_odd_file_names_are_no_obstacle(guarded, name: str):
    """Blanks, letters beyond ASCII and leading dashes."""
    guarded.project.file(name, "from llm import ask\n\ndef test_it():\n    assert ask('New')\n")
    guarded.project.git("add", "tests")
    assert guarded.codes("replayable") == ["CAS070"]


@pytest.mark.slow
def test_a_work_tree_beside_the_first_one_is_checked_by_its_own_index(guarded, tmp_path: Path):
    """`git worktree`: the git directory is elsewhere, the files and the index are its own."""
    guarded.project.git("worktree", "add", "-q", "../second", "-b", "second")
    other = Guarded.at(tmp_path, "second", guarded)
    other.edit("tests/test_one.py", "Thank Ada", "Thank Bob")
    other.project.git("add", "tests")
    index = other.project.git("rev-parse", "--git-path", "index").strip()

    assert other.codes("replayable", GIT_INDEX_FILE=index) == ["CAS070"]
    assert guarded.codes("replayable") == []


@pytest.mark.slow
def test_a_merge_that_is_being_concluded_is_checked_as_a_commit(guarded):
    """One branch records, the other edits the test: the merged test has no recording."""
    guarded.project.git("checkout", "-q", "-b", "other")
    guarded.edit("app.py", "Greet Ada", "Greet Bob")
    guarded.record()
    guarded.project.commit("Bob")
    guarded.project.git("checkout", "-q", "main")
    guarded.edit("tests/test_one.py", "ask(PROMPT)", "ask(PROMPT + '!')")
    guarded.record()
    guarded.project.commit("Louder")
    guarded.project.git("merge", "-q", "--no-commit", "--no-ff", "other")

    assert guarded.codes("replayable") == ["CAS070"]
    guarded.record()
    guarded.project.git("add", "cache_store")
    assert guarded.codes("replayable") == []
