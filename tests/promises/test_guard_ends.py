"""The guard where tests or people get in its way: git in a test, an interrupted hook."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.deeds import Person

pytestmark = pytest.mark.slow

ONE = "tests/test_one.py"


OWN = """
import subprocess
from pathlib import Path
from llm import ask

def git(*words):
    subprocess.run(["git", *words], cwd=Path(__file__).parent, check=True)

def test_writes():
    Path(__file__).with_name("written.txt").write_text("text")
    {}
    assert ask("Write as Ada")
"""


def writes(ada: Person, step: str) -> None:
    """A test that runs git in its own project, recorded and staged with the hooks installed."""
    ada.installed()
    ada.project.file("tests/test_git.py", OWN.format("pass"))
    ada.record().add("tests/test_git.py", "cache_store")
    (ada.project.path / "tests/written.txt").unlink()
    ada.edit("tests/test_git.py", "    pass\n", f"    {step}\n").add("tests/test_git.py")


def test_a_test_that_stages_in_its_own_project_blocks_the_commit(ada: Person) -> None:
    """What it added would be committed, and nobody staged it: said, and the way back."""
    writes(ada, "git('add', 'written.txt')")
    attempt = ada.commit()
    assert attempt.blocked
    assert "CAS077 error: a test changed what is staged" in attempt.text
    assert attempt.before.head == attempt.after.head


def test_a_test_that_commits_to_its_own_project_starts_no_second_check(ada: Person) -> None:
    """Its commit starts the hooks again, which would start the test again, without an end."""
    writes(ada, "git('add', 'written.txt'); git('commit', '-m', 'Mine')")
    started = time.monotonic()
    attempt = ada.commit()
    assert attempt.blocked
    assert "CAS077" in attempt.text
    assert time.monotonic() - started < 30
    assert not running(ada)


def running(ada: Person) -> list[str]:
    """The processes that still run in the project."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if place.readlink().is_relative_to(ada.project.path):
                found.append((place.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


# What still runs in the project is told by /proc alone, which only Linux has.
@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks at /proc")
@pytest.mark.parametrize(
    ("number", "is_another"),
    [
        (signal.SIGINT, False),
        (signal.SIGTERM, False),
        (signal.SIGHUP, False),
        (signal.SIGINT, True),
        (signal.SIGTERM, True),
    ],
)
def test_an_interrupted_hook_leaves_nothing_behind(
    ada: Person, number: signal.Signals, is_another: bool
) -> None:
    """No child, no temporary folder, one line instead of a traceback; in another Python, too."""
    if is_another:
        made = ada.project.run(sys.executable, "-m", "venv", "--without-pip", "../other")
        assert made.code == 0, made
        packages = next((ada.project.path.parent / "other").glob("lib/*/site-packages"))
        (packages / "more.pth").write_text("\n".join(filter(None, sys.path)))
        ada.guarded.hooks("python = '../other/bin/python'")
    ada.edit(ONE, 'assert ask("Thank Ada")', "import time; time.sleep(60)").add(".")
    hook = subprocess.Popen(
        [sys.executable, "-m", "cas_llm.hook", "replayable"],
        cwd=ada.project.path,
        env={**ada.project.environment, "GIT_INDEX_FILE": ".git/index"},
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: any("--basetemp" in words for words in running(ada)))
    time.sleep(0.5)
    hook.send_signal(number)
    assert hook.communicate(timeout=20)[1].splitlines() == [
        "cas-llm-replayable: interrupted, and nothing is checked"
    ]
    assert hook.returncode == 130
    until(lambda: not running(ada))
    assert os.listdir(ada.temporary) == []


def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds, for as long as a slow machine may take."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
