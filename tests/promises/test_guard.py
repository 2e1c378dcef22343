"""The guard in git, through real pre-commit: what a commit and a push may hold, and what not.

Every case is a real command in a real repository; what it says is checked, and that it changed
nothing of the user's: not the index, not HEAD, no stash, no file, and no call was made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.attempts import Attempt, Attempts
from support.deeds import (
    GIT,
    TESTS,
    Person,
    after,
    branched,
    committed,
    cut_object,
    deleted_object,
    deleted_tape,
    deleted_test,
    deleted_test_with_its_recordings,
    edited,
    edited_app,
    edited_notes,
    edited_object,
    edited_template,
    edited_test,
    emptied_tape,
    forgotten_tape,
    git_test,
    git_test_unrecorded,
    half_an_edit,
    in_conflict,
    merged,
    merging,
    nothing,
    recorded_and_not_staged,
    recorded_and_staged,
    resolved,
    secret,
    shared,
    the_other_half,
    two_edits,
)
from support.guarded import Guarded
from support.projects import Project
from support.provider import ScriptedProvider

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with recorded tests and installed hooks; never changed."""
    folder = tmp_path_factory.mktemp("guarded")
    with ScriptedProvider() as provider:
        guarded = Guarded(Project(folder), provider)
        ada = Attempts(guarded)
        guarded.project.file("prompts/bye.txt", "Bye Ada\n").file("notes.md", "Notes\n")
        guarded.project.file("tests/test_git.py", GIT)
        guarded.begin()
        guarded.project.file("tests/test_one.py", TESTS)
        guarded.record()
        guarded.record()
        ada.installed()
    return folder


@dataclass(frozen=True)
class Case:
    """What somebody did, the command then given, and what it finds and says.

    *says* are texts that the hooks' words must hold. Without a code that blocks it goes through.
    """

    name: str
    did: Callable[[Person], object]
    finds: str = ""
    says: tuple[str, ...] = ()
    command: Callable[[Person], Attempt] = Person.commit
    passes: bool = False
    stages: str = ""
    slow: bool = True

    def __str__(self) -> str:
        return self.name


def run(*words: str) -> Callable[[Person], Attempt]:
    return lambda ada: ada.pre_commit(*words)


def commit(*words: str) -> Callable[[Person], Attempt]:
    return lambda ada: ada.commit(*words)


def push(*words: str) -> Callable[[Person], Attempt]:
    return lambda ada: ada.push(*words)


def skipping(hooks: str) -> Callable[[Person], Attempt]:
    return lambda ada: ada.commit(SKIP=hooks)


AMEND = commit("--amend", "--no-edit")
FIRST, NEW = push("origin", "main"), push("origin", "new")
GREETS, BYE, LOST = (
    ("test_greets: not recorded",),
    ("test_template: not recorded",),
    ("test_thanks",),
)
THANKS = "tests/test_one.py: CAS070 error: tests/test_one.py::test_thanks: not recorded"
RECORD = "pytest tests/test_one.py::test_thanks --cas-llm=fallback, then git add cache_store"
CEM = '"Thank Cem" -> "Thank Bob"'
BOB = '"Thank Ada" -> "Thank Bob"'
ADD = "do:  git add cache_store"

CASES = [
    # What is edited.
    Case("a prompt in a test", edited_test, "CAS070", (THANKS, BOB, RECORD), slow=False),
    Case("that prompt, recorded and not staged", recorded_and_not_staged, "CAS071", (ADD,)),
    Case("that prompt, recorded and staged", recorded_and_staged, passes=True),
    Case("a prompt in the app: a push's matter", edited_app, passes=True),
    Case("a prompt in a template: a push's matter", edited_template, passes=True),
    Case("a text that no test sees", edited_notes, passes=True),
    # What is stored.
    Case("an edited answer", edited_object, "CAS060", ("git restore --staged --worktree",)),
    Case("a truncated answer", cut_object, "CAS060", ("was edited in place",)),
    Case("an emptied tape", emptied_tape, "CAS070", ("CAS060",)),
    Case("a deleted answer", deleted_object, "CAS010", ("test_thanks still needs it",)),
    Case("a deleted tape", deleted_tape, "CAS061", ("test_thanks still replays from it",)),
    Case("a deleted test", deleted_test, "CAS081", ("its test is gone", "git rm --")),
    Case("a deleted test and its recordings", deleted_test_with_its_recordings, passes=True),
    Case("an answer without its tape", forgotten_tape, "CAS080", ("nothing names it",)),
    Case("a secret", secret, "CAS033", ("revoke it first", "cas-llm edit")),
    # Tests that run git.
    Case("a test that runs git elsewhere", git_test, passes=True),
    Case("that test with another prompt", git_test_unrecorded, "CAS070", ("test_commits",)),
    # Half an edit.
    Case("half an edit, the recorded half aside", half_an_edit, "CAS070", (CEM,)),
    Case("half an edit, the other half aside", the_other_half, passes=True),
    # How a commit is made.
    Case("git commit -a", edited, "CAS070", (THANKS,), commit("-a")),
    Case("git commit FILE", edited, "CAS070", (THANKS,), commit("tests/test_one.py")),
    Case(
        "git commit OTHER FILE",
        two_edits,
        command=commit("notes.md"),
        passes=True,
        stages="notes.md",
    ),
    Case("git commit --amend", edited_test, "CAS070", (THANKS,), commit("--amend")),
    # Git does not tell a hook that a commit is amended: what the commit before it holds is pushed.
    Case("git commit --amend, no more", committed(edited_test), command=AMEND, passes=True),
    Case("SKIP", edited_test, command=skipping("cas-llm-replayable"), passes=True),
    Case("SKIP of another hook", edited_test, "CAS070", (), skipping("cas-llm-verify")),
    Case("git commit --allow-empty", nothing, command=commit("--allow-empty"), passes=True),
    # Somebody asks.
    Case("pre-commit run", edited_test, "CAS070", (THANKS,), run()),
    Case("pre-commit run, all is well", nothing, command=run(), passes=True),
    Case("pre-commit run --all-files", edited_test, "CAS070", (THANKS,), run("--all-files")),
    Case("--all-files, all is well", nothing, command=run("--all-files"), passes=True),
    Case(
        "--all-files, a lost answer in HEAD",
        committed(deleted_object),
        "CAS010",
        ("test_thanks", "CAS070"),
        run("--all-files"),
    ),
    # Merges.
    Case("git merge --no-commit, concluded", merging, "CAS070", ("test_greets",)),
    Case("that merge, recorded", merged, passes=True),
    Case("a conflict, resolved by hand", in_conflict, "CAS070", ("Thank Bob and Cem",)),
    Case("that conflict, recorded", resolved, passes=True),
    # Pushes.
    Case("a prompt in the app", after(shared, committed(edited_app)), "CAS070", GREETS, push()),
    Case("a template", after(shared, committed(edited_template)), "CAS070", BYE, push()),
    Case("a test", after(shared, committed(edited_test)), "CAS070", (THANKS,), push()),
    Case("a lost answer", after(shared, committed(deleted_object)), "CAS010", LOST, push()),
    Case(
        "all recorded", after(shared, committed(recorded_and_staged)), command=push(), passes=True
    ),
    Case("the first push", after(Person.remote, committed(edited_app)), "CAS070", GREETS, FIRST),
    Case("the first push, all is well", Person.remote, command=FIRST, passes=True),
    Case("a new branch", after(branched, committed(edited_app)), "CAS070", GREETS, NEW),
]


@pytest.mark.parametrize(
    "case", [pytest.param(one, id=one.name, marks=[SLOW] * one.slow) for one in CASES]
)
def test_the_guard(ada: Person, case: Case) -> None:
    """Blocked or let through as the table says, in these words, and nothing of the user's moved."""
    case.did(ada)
    attempt = case.command(ada)

    assert attempt.blocked != case.passes, attempt.text
    assert case.finds in attempt.codes if case.finds else attempt.codes == [], attempt.text
    assert [text for text in case.says if text not in attempt.text] == [], attempt.text
    assert attempt.harm(case.stages) == ()
