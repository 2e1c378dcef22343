"""`cas-llm-replayable`: real repositories, real commits staged, real pytest in them."""

from __future__ import annotations

import json
import sys

import pytest
from support.projects import TREE


def test_an_edited_prompt_in_a_test_is_blocked_until_it_is_recorded_and_staged(guarded):
    """Not recorded, then recorded and not staged, then staged: two refusals and a pass."""
    guarded.edit("tests/test_one.py", "Thank Ada", "Thank Bob")
    guarded.project.git("add", "tests")

    refused = guarded.hook("replayable")

    assert refused.code == 1
    assert "tests/test_one.py: CAS070 error: tests/test_one.py::test_thanks" in refused.stdout
    assert "test_greets" not in refused.stdout
    assert '"Thank Ada" -> "Thank Bob"' in refused.stdout
    assert "pytest tests/test_one.py::test_thanks --cas-llm=fallback" in refused.stdout

    guarded.record()
    assert guarded.codes("replayable") == ["CAS071"]
    guarded.project.git("add", "cache_store")
    before = guarded.project.git("ls-files", "-s")
    assert guarded.codes("replayable") == []
    assert guarded.project.git("ls-files", "-s") == before
    assert guarded.provider.count == 1


def test_a_commit_without_tests_or_recordings_is_let_through(guarded):
    """Nothing runs for a text, and nothing for an empty commit."""
    guarded.project.file("README.md", "words\n").git("add", "README.md")
    assert guarded.codes("replayable") == []


@pytest.mark.slow
def test_a_deleted_recording_is_missed_by_the_test_that_it_served(guarded):
    """The tape goes and the test stays: it cannot replay."""
    tape = next((guarded.project.path / "cache_store/manifest/tapes").rglob("test_thanks*.json"))
    guarded.project.git("rm", "-q", str(tape))
    assert guarded.codes("replayable") == ["CAS070"]


def test_a_deleted_answer_is_missed_though_it_lies_in_the_work_tree(guarded):
    """What is staged counts: a file that git rm --cached left on disk does not help."""
    tape = next((guarded.project.path / "cache_store/manifest/tapes").rglob("test_thanks*.json"))
    digest = json.loads(tape.read_text())["turns"][0]["digest"]
    name = f"cache_store/objects/{digest[:2]}/{digest[2:]}.json"
    guarded.project.git("rm", "-q", "--cached", name)
    assert guarded.codes("replayable") == ["CAS071"]


@pytest.mark.slow
def test_text_that_is_not_staged_is_not_called_checked(guarded):
    """The work tree runs; where it is not what is committed, nobody knows."""
    guarded.edit("tests/test_one.py", "Thank Ada", "Thank Bob")
    guarded.project.git("add", "tests")
    guarded.edit("tests/test_one.py", "Thank Bob", "Thank Ada")

    assert guarded.codes("replayable") == ["CAS075"]
    guarded.hooks("allow_unstaged = true")
    assert guarded.codes("replayable") == ["CAS075"]
    assert guarded.hook("replayable").code == 0


@pytest.mark.slow
def test_a_file_that_cannot_be_collected_is_blocked(guarded):
    """A syntax error hides whether its tests replay."""
    guarded.project.file("tests/test_one.py", "def test_(:\n").git("add", "tests")
    assert guarded.codes("replayable") == ["CAS072"]


@pytest.mark.slow
def test_a_test_that_fails_for_another_reason_is_not_called_checked(guarded):
    """It never came to its request: a warning, and no reason to block."""
    guarded.edit("tests/test_one.py", 'assert ask("Thank Ada")', "assert 1 == 2")
    guarded.project.git("add", "tests")
    result = guarded.hook("replayable")
    assert result.code == 0
    assert "CAS073 warning: not checked" in result.stdout
    assert "assert 1 == 2" in result.stdout


@pytest.mark.slow
def test_a_test_that_runs_git_leaves_the_users_commit_alone(guarded):
    """The variables of the commit are not handed on: its own repository is where it writes."""
    guarded.project.file(
        "tests/test_git.py",
        """
        import os, subprocess
        from llm import ask

        def test_commits(tmp_path):
            assert "GIT_DIR" not in os.environ
            (tmp_path / "file").write_text("text")
            for words in (["init", "-q"], ["add", "file"]):
                subprocess.run(["git", *words], cwd=tmp_path, check=True)
            assert ask("Thank Ada")
        """,
    )
    guarded.record()
    guarded.project.git("add", ".")
    staged = guarded.project.git("ls-files", "-s")
    theirs = {"GIT_DIR": str(guarded.project.path / ".git"), "GIT_WORK_TREE": "."}

    assert guarded.codes("replayable", **theirs) == []
    assert guarded.project.git("ls-files", "-s") == staged


@pytest.mark.slow
def test_what_does_not_fit_into_the_time_is_reported_as_not_checked(guarded):
    """Past the limit nothing counts as passed, and nothing is blocked."""
    guarded.hooks("max_seconds = 3")
    guarded.edit("tests/test_one.py", 'assert ask("Thank Ada")', "import time; time.sleep(60)")
    guarded.project.git("add", ".")
    result = guarded.hook("replayable")
    assert result.code == 0
    assert "CAS073 warning: not checked: tests/test_one.py::test_thanks" in result.stdout


def test_a_push_looks_at_all_its_commits(guarded):
    """Two commits, the test in the first: the range counts, not the last commit."""
    base = guarded.project.git("rev-parse", "HEAD").strip()
    guarded.edit("tests/test_one.py", "Thank Ada", "Thank Bob")
    guarded.project.commit("An edit")
    guarded.project.file("README.md", "words\n").commit("Words")

    assert guarded.codes("replayable", PRE_COMMIT_FROM_REF=base, PRE_COMMIT_TO_REF="HEAD") == [
        "CAS070"
    ]


def test_a_python_without_cas_llm_is_one_clear_message(guarded, tmp_path):
    """What it is, how it was found, and what to do."""
    made = guarded.project.run(sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "new"))
    assert made.code == 0, str(made)
    guarded.hooks(f"python = '{tmp_path}/new/bin/python'")
    guarded.edit("tests/test_one.py", "Thank Ada", "Thank Bob")
    guarded.project.git("add", ".")
    # What the hook itself runs on is on the path here; in the other Python it must not be.
    boot = f"import sys; sys.path.insert(0, {str(TREE)!r}); from cas_llm.hook import main; main(sys.argv[1:])"
    result = guarded.project.run(
        *(sys.executable, "-c", boot, "replayable"),
        env={"GIT_INDEX_FILE": ".git/index", "PYTHONPATH": ""},
    )
    assert "CAS074 error" in result.stdout
    assert "No module named 'cas_llm'" in result.stdout
    assert "found by [tool.cas-llm.hooks] python" in result.stdout
    assert "-m pip install cas-llm" in result.stdout


def test_a_project_in_a_subfolder_has_its_own_store(guarded):
    """A monorepo: the paths are told from the top, the tests run in their project."""
    inner = "packages/one"
    for name in ("pyproject.toml", "tests/llm.py", "tests/test_one.py", "app.py"):
        guarded.project.file(f"{inner}/{name}", guarded.project.read(name))
    guarded.project.git("add", ".")

    result = guarded.hook("replayable")

    assert result.code == 1
    assert f"{inner}/tests/test_one.py: CAS070 error" in result.stdout
    assert f"do:  cd {inner} && pytest" in result.stdout
    assert f"git add :/{inner}/cache_store" in result.stdout
