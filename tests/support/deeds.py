"""Somebody at work in a guarded project, and what they may have done before they commit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.attempts import Attempts
from support.guarded import TABLE
from support.inner import LLM
from support.secrets import PROVIDERS

TESTS = """
from pathlib import Path
from llm import ask
from app import PROMPT

def test_greets():
    assert ask(PROMPT)

def test_thanks():
    assert ask("Thank Ada")

def test_template():
    assert ask(Path(__file__).parents[1].joinpath("prompts/bye.txt").read_text())
"""
GIT = """
import subprocess
from llm import ask

def git(folder, *words):
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)

def test_commits(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("text")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "A commit")
    assert ask("Commit as Ada")
"""
STORE = "cache_store"


class Person(Attempts):
    """Somebody at work in the project: edits, records, stages, deletes."""

    def edit(self, name: str, old: str, new: str) -> Person:
        """Replace text in a file."""
        self.guarded.edit(name, old, new)
        return self

    def add(self, *names: str) -> Person:
        """Stage."""
        self.project.git("add", "-A", "--", *names)
        return self

    def record(self) -> Person:
        """Run the tests, and record what is missing."""
        self.guarded.record()
        return self

    def tape(self, test: str) -> Path:
        """The only tape of *test*."""
        (found,) = (self.project.path / STORE / "manifest/tapes").rglob(f"{test}.*.json")
        return found

    def answer(self, test: str) -> Path:
        """The file of the answer that *test* is served."""
        digest = json.loads(self.tape(test).read_text("utf-8"))["turns"][0]["digest"]
        return self.project.path / STORE / "objects" / digest[:2] / f"{digest[2:]}.json"

    def name(self, path: Path) -> str:
        """What git calls the file at *path*."""
        return path.relative_to(self.project.path).as_posix()

    def rewrite(self, path: Path, change: Callable[[bytes], bytes]) -> Person:
        """Put other bytes into a file, which the store keeps read-only."""
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(change(data))
        return self


def edited_test(ada: Person) -> None:
    ada.edit("tests/test_one.py", "Thank Ada", "Thank Bob").add("tests")


def recorded_and_not_staged(ada: Person) -> None:
    edited_test(ada)
    ada.record()


def recorded_and_staged(ada: Person) -> None:
    recorded_and_not_staged(ada)
    ada.add(STORE)


def edited_app(ada: Person) -> None:
    ada.edit("app.py", "Greet Ada", "Greet Bob").add("app.py")


def edited_template(ada: Person) -> None:
    ada.edit("prompts/bye.txt", "Bye Ada", "Bye Bob").add("prompts")


def edited_object(ada: Person) -> None:
    ada.rewrite(ada.answer("test_thanks"), lambda data: data.replace(b'"', b"'", 1)).add(STORE)


def cut_object(ada: Person) -> None:
    ada.rewrite(ada.answer("test_thanks"), lambda data: data[: len(data) // 2]).add(STORE)


def emptied_tape(ada: Person) -> None:
    ada.rewrite(ada.tape("test_thanks"), lambda data: b"").add(STORE)


def deleted_object(ada: Person) -> None:
    ada.answer("test_thanks").unlink()
    ada.add(STORE)


def deleted_tape(ada: Person) -> None:
    ada.tape("test_thanks").unlink()
    ada.add(STORE)


def deleted_test(ada: Person) -> None:
    (ada.project.path / "tests/test_two.py").unlink()
    ada.add("tests")


def deleted_test_with_its_recordings(ada: Person) -> None:
    dead = [ada.tape("test_waves"), ada.answer("test_waves")]
    deleted_test(ada)
    for path in dead:
        path.unlink()
    ada.add(STORE)


def forgotten_tape(ada: Person) -> None:
    edited_test(ada)
    ada.record().add(STORE)
    ada.project.git("restore", "--staged", f"{STORE}/manifest")


def secret(ada: Person) -> None:
    token = PROVIDERS[0].secret(1).told
    answer = ada.answer("test_thanks")
    ada.rewrite(answer, lambda data: data.replace(b"Thank Ada", f"Thank {token}".encode()))
    ada.add(STORE)


def git_test(ada: Person) -> None:
    ada.edit("tests/test_git.py", "assert ask", "assert 1 + 1 == 2 and ask").add("tests")


def git_test_unrecorded(ada: Person) -> None:
    ada.edit("tests/test_git.py", "Commit as Ada", "Commit as Bob").add("tests")


def half_an_edit(ada: Person) -> None:
    """The recorded half is not staged, the half that nobody recorded is."""
    ada.edit("tests/test_one.py", "Thank Ada", "Thank Bob").add("tests")
    ada.edit("tests/test_one.py", "Thank Bob", "Thank Cem").record().add(STORE)


def the_other_half(ada: Person) -> None:
    """What is staged is recorded, and what is not staged would have to be asked for."""
    recorded_and_staged(ada)
    ada.edit("tests/test_one.py", "Thank Bob", "Thank Cem")


def committed(*steps: Callable[[Person], object]) -> Callable[[Person], None]:
    """The *steps*, each in a commit that no hook saw."""

    def does(ada: Person) -> None:
        for step in steps:
            step(ada)
            ada.project.git("commit", "-q", "--no-verify", "-m", "A commit")

    return does


def shared(ada: Person) -> None:
    """A remote has all there is."""
    ada.remote()
    ada.project.git("push", "-q", "--no-verify", "-u", "origin", "main")


def branched(ada: Person) -> None:
    """A remote has all there is, and a new branch nothing more."""
    shared(ada)
    ada.project.git("checkout", "-q", "-b", "new")


def after(*steps: Callable[[Person], object]) -> Callable[[Person], None]:
    """The *steps*, one after another."""

    def does(ada: Person) -> None:
        for step in steps:
            step(ada)

    return does


def nothing(ada: Person) -> None:
    """All is committed."""


def edited_notes(ada: Person) -> None:
    ada.edit("notes.md", "Notes", "More notes").add("notes.md")


def edited(ada: Person) -> None:
    edited_test(ada)
    ada.project.git("restore", "--staged", ".")


def two_edits(ada: Person) -> None:
    """An edit of a text, and one of a test that is staged and not recorded."""
    ada.edit("notes.md", "Notes", "More notes")
    edited_test(ada)


def merging(ada: Person) -> None:
    """Two branches: another prompt in the app, and a test that adds to it; both recorded."""
    git = ada.project.git
    git("checkout", "-q", "-b", "other")
    ada.edit("app.py", "Greet Ada", "Greet Bob").record().add(".")
    git("commit", "-q", "--no-verify", "-m", "Bob")
    git("checkout", "-q", "main")
    ada.edit("tests/test_one.py", "ask(PROMPT)", "ask(PROMPT + '!')").record().add(".")
    git("commit", "-q", "--no-verify", "-m", "Louder")
    git("merge", "-q", "--no-commit", "--no-ff", "other")


def merged(ada: Person) -> None:
    merging(ada)
    ada.record().add(STORE)


def in_conflict(ada: Person) -> None:
    """Both branches wrote the same prompt; the resolution takes words of both."""
    git = ada.project.git
    git("checkout", "-q", "-b", "other")
    ada.edit("tests/test_one.py", "Thank Ada", "Thank Bob").record().add(".")
    git("commit", "-q", "--no-verify", "-m", "Bob")
    git("checkout", "-q", "main")
    ada.edit("tests/test_one.py", "Thank Ada", "Thank Cem").record().add(".")
    git("commit", "-q", "--no-verify", "-m", "Cem")
    assert ada.project.run("git", "merge", "-q", "other").code == 1
    text = TESTS.replace("Thank Ada", "Thank Bob and Cem").lstrip()
    ada.project.file("tests/test_one.py", text)
    ada.add("tests")


def resolved(ada: Person) -> None:
    in_conflict(ada)
    ada.record().add(STORE)


# -- other projects, and what is found there ---------------------------------------------------


def write(ada: Person, folder: str, tests: str, name: str = "tests/test_it.py") -> None:
    """A project in *folder* with one test file."""
    start = f"{folder}/" if folder else ""
    ada.project.file(f"{start}pyproject.toml", TABLE)
    ada.project.file(f"{start}{name}", tests)
    ada.project.file(f"{start}{name.rpartition('/')[0]}/llm.py".replace("//", "/"), LLM)


def found(ada: Person, name: str = "replayable", **variables: str) -> list[str]:
    """The codes that a hook finds, and it changed nothing."""
    before, calls = ada.state(), ada.guarded.provider.count
    codes = ada.guarded.codes(name, **variables)
    assert ada.state() == before
    assert ada.guarded.provider.count == calls
    return codes


def recorded(ada: Person, *words: str, folder: str = "", **variables: str) -> None:
    """Run pytest in *folder*, recording, and commit all."""
    flags = ("-p", "cas_llm.pytest_plugin", "-p", "no:cacheprovider", "--cas-llm=fallback")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *flags, *words],
        cwd=ada.project.path / folder,
        env={**ada.project.environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ada.project.commit()
