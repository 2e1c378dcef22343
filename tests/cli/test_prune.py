"""`cas-llm prune`: shows first, refuses where others may need what goes, and can be undone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.inner import CAPTURE, Inner
from support.projects import Project

SUITE = """
    def test_one():
        ask("one")

    def test_two():
        ask("two")
"""


@pytest.fixture
def inner(project: Project, provider) -> Inner:
    """A project on main whose two tests are recorded and committed."""
    suite = Inner(project, provider).tests(SUITE)
    suite.record(passed=2)
    project.commit("Record")
    return suite


def plan(inner: Inner, *arguments: str, code: int = 0) -> dict[str, Any]:
    result = inner.project.cas_llm("prune", "--json", *arguments)
    assert result.code == code, result
    return json.loads(result.stdout)


def reasons(inner: Inner, *arguments: str) -> dict[str, str]:
    """The entries that would go, by the test they are named after."""
    files = plan(inner, *arguments)["files"]
    return {
        one["path"].rpartition("/")[2].partition(".")[0]: one["reason"]
        for one in files
        if one["path"].startswith("manifest/")
    }


SUPERSEDED = "superseded: a later take is used"
GONE = "its test is gone"


def recapture(inner: Inner) -> None:
    inner.run(CAPTURE, "-k", "test_one", passed=1, deselected=1)
    inner.project.commit("Capture anew")


@pytest.mark.slow
def test_what_was_recorded_anew_goes_and_comes_back(inner: Inner) -> None:
    """A dry run changes nothing; --apply leaves what replays; --undo leaves what git has."""
    recapture(inner)
    said = inner.project.cas_llm("prune")
    assert (said.code, inner.project.status) == (0, "")
    assert "Next: cas-llm prune --apply" in said.stdout
    assert inner.project.cas_llm("prune", "--check").code == 1
    assert reasons(inner) == {"test_one": SUPERSEDED}
    applied = inner.project.cas_llm("prune", "--apply")
    assert "2 files were taken out" in applied.stdout, applied
    changed = inner.project.status.splitlines()
    assert {line[:2] for line in changed if not line.endswith("/.keep")} == {" D"}
    inner.run(passed=2)
    assert inner.project.cas_llm("verify").code == 0
    assert inner.project.cas_llm("prune", "--check").code == 0
    back = inner.project.cas_llm("prune", "--undo")
    assert (back.code, inner.project.status) == (0, ""), back
    nothing = inner.project.cas_llm("prune", "--undo")
    assert (nothing.code, "nothing was taken out" in nothing.stderr) == (1, True)


def test_only_the_default_branch_is_pruned_unless_it_is_meant(inner: Inner) -> None:
    """The message names the branch and the option; the dry run says so too."""
    recapture(inner)
    inner.project.git("checkout", "-q", "-b", "feature")
    refused = inner.project.cas_llm("prune", "--apply")
    assert (refused.code, inner.project.status) == (1, "")
    assert "the branch is 'feature', the default branch is 'main'" in refused.stderr
    assert "cas-llm prune --apply --any-branch" in refused.stderr
    assert "--apply will refuse" in inner.project.cas_llm("prune").stdout


@pytest.mark.slow
def test_a_shallow_clone_is_not_pruned(inner: Inner) -> None:
    """It does not know what other branches need."""
    recapture(inner)
    clone = inner.project.path.parent / "clone"
    inner.project.git("clone", "-q", "--depth=1", f"file://{inner.project.path}", str(clone))
    refused = inner.project.cas_llm("prune", "--apply", "--store", str(clone / "cache_store"))
    assert refused.code == 1
    assert "shallow" in refused.stderr or "Nothing to take out" in refused.stdout


@pytest.mark.slow
def test_more_than_half_goes_only_when_it_is_meant(inner: Inner) -> None:
    """A deleted test folder is more often a mistake than meant."""
    inner.tests("def test_other():\n    ask('other')\n")
    inner.record(passed=1)
    inner.run(passed=1)
    inner.project.commit("Rewrite")
    command = "If it is meant: cas-llm prune --apply --over-half\n"
    assert f"Nothing was changed. {command}" in inner.project.cas_llm("prune").stdout
    refused = inner.project.cas_llm("prune", "--apply")
    assert (refused.code, command in refused.stderr) == (1, True), refused
    assert plan(inner, "--apply", "--over-half")["applied"] is True
    inner.run(passed=1)


def test_what_nothing_names_yet_stays_and_is_said(inner: Inner) -> None:
    """A run may be about to write the tape that names it: it goes a day later."""
    tape = next((inner.project.path / "cache_store/manifest/tapes").rglob("test_one*.json"))
    tape.unlink()
    inner.project.commit("Take out a tape by hand")
    told = plan(inner)
    assert (told["files"], told["young"]) == ([], 2)
    said = inner.project.cas_llm("prune").stdout
    assert f"Nothing to take out: {told['kept'] - 2} files are needed.\n" in said
    assert "nothing names 2 files: younger than a day" in said


def test_the_recordings_of_a_test_that_is_gone_go_after_a_complete_run(inner: Inner) -> None:
    """Not before, as nobody knows; and not once the test has come back with another recording."""
    inner.tests(SUITE.replace("def test_two", "def left_out"))
    inner.project.commit("Remove a test")
    assert reasons(inner) == {}
    assert "not looked for" not in inner.project.cas_llm("prune").stdout
    inner.run(passed=1)
    assert reasons(inner) == {"test_two": GONE}


@pytest.mark.slow
@pytest.mark.parametrize(
    "narrow",
    [
        ("-k", "test_one"),
        ("tests",),
        ("--ignore=tests/other",),
        ("-x",),
    ],
    ids=" ".join,
)
def test_a_run_of_some_tests_makes_nothing_stale(inner: Inner, narrow: tuple[str, ...]) -> None:
    """By name, by file, by option, or ended by a failure."""
    (inner.project.path / "cache_store/.local/usage.json").unlink()
    text = SUITE.replace("def test_two", "def left_out")
    inner.tests(text + "\n    def test_red():\n        assert 0\n" if narrow == ("-x",) else text)
    inner.run(*narrow)
    assert reasons(inner) == {}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["skip", "xfail(run=False)"])
def test_a_skipped_test_keeps_its_recordings(inner: Inner, how: str) -> None:
    """Those of a fixture that it alone asks for as well."""
    fixture = """
    @pytest.fixture(scope="module")
    def early():
        return ask("early")

    def test_three(early):
        ask("three")
    """
    inner.tests(SUITE + fixture)
    inner.record(passed=3)
    text = (SUITE + fixture).replace("def test_three", f"@pytest.mark.{how}\n    def test_three")
    inner.tests(text)
    inner.run()
    inner.run("-n0", plugins=("xdist",))
    assert reasons(inner) == {}


@pytest.mark.slow
def test_a_module_that_skips_itself_keeps_its_recordings(inner: Inner) -> None:
    """Its tests are not even collected, and are there all the same."""
    inner.tests("def test_other():\n    pass\n", "tests/test_other.py")
    inner.tests("pytest.importorskip('not_here')\n" + "def test_one(): pass\n")
    inner.run(passed=1, skipped=1)
    assert reasons(inner) == {}


@pytest.mark.slow
def test_workers_are_one_complete_run(inner: Inner) -> None:
    """What each of them ran counts together, and a removed test is gone."""
    inner.tests(SUITE.replace("def test_two", "def left_out") + "    def test_x(): pass\n")
    inner.run("-n", "2", plugins=("xdist",), passed=2)
    assert reasons(inner) == {"test_two": GONE}


def test_what_a_recent_branch_uses_stays(inner: Inner) -> None:
    """Until --keep-days are over."""
    inner.project.git("branch", "old")
    recapture(inner)
    assert reasons(inner) == {}
    assert reasons(inner, "--keep-days", "0") == {"test_one": SUPERSEDED}


@pytest.mark.slow
def test_a_tape_that_came_after_the_last_run_is_not_judged_by_it(inner: Inner) -> None:
    """Another branch recorded the test's new text; here nobody has run it yet."""
    inner.project.git("checkout", "-q", "-b", "other")
    inner.tests(SUITE.replace('ask("one")', 'ask("one more")'))
    inner.record(passed=2)
    inner.project.commit("Another text")
    inner.project.git("checkout", "-q", "main")
    inner.run(passed=2)
    inner.project.git("merge", "-q", "other")
    inner.project.git("branch", "-q", "-D", "other")
    found = reasons(inner)
    assert found in ({}, {"test_one": SUPERSEDED})
    if found:
        assert plan(inner, "--apply")["applied"] is True
    inner.run(passed=2)
