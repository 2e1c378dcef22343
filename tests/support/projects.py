"""Real projects in a temporary folder: real git, real pytest, real processes.

::

    result = Project(tmp_path).file("tests/test_x.py", "def test_x(): pass").pytest()
    assert result.outcomes == {"passed": 1}

A child gets a small environment of its own: a home inside the project's temporary folder, no
provider's keys, no cas-llm settings, and no way off loopback.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
OFFLINE = Path(__file__).resolve().parent / "offline"
_PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "PYTEST_DEBUG_TEMPROOT",
)
_OUTCOME = re.compile(
    r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?|rerun)"
)


@dataclass(frozen=True)
class Result:
    """What one process said: `stdout`, `stderr` and its `code`."""

    stdout: str
    stderr: str
    code: int

    @property
    def text(self) -> str:
        """Everything it said, standard error last."""
        return self.stdout + self.stderr

    @property
    def outcomes(self) -> dict[str, int]:
        """The counts of pytest's closing line, for example ``{"passed": 2, "failed": 1}``."""
        closing = [line for line in self.stdout.splitlines() if re.search(r" in [\d.]+s\b", line)]
        found = _OUTCOME.findall(closing[-1]) if closing else []
        return {word if word == "passed" else word.removesuffix("s"): int(n) for n, word in found}

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.stdout}\n{self.stderr}"


@cache
def _plugin_flags() -> tuple[str, ...]:
    """How a child pytest finds the plugin: by its entry point, else by name."""
    installed = any(entry.name == "cas_llm" for entry in entry_points(group="pytest11"))
    return () if installed else ("-p", "cas_llm.pytest_plugin")


class Project:
    """A git repository in *folder*; every method that changes it returns it again."""

    def __init__(self, folder: Path, *, git: bool = True) -> None:
        self.path = folder / "project"
        self.home = folder / "home"
        self.path.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(exist_ok=True)
        self.variables: dict[str, str] = {}
        if git and not (self.path / ".git").exists():
            self.git("init", "-q", "-b", "main")

    def file(self, name: str, text: str | bytes) -> Project:
        """Write a file, dedented, with its folders."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        data = text if isinstance(text, bytes) else textwrap.dedent(text).lstrip("\n").encode()
        target.write_bytes(data)
        return self

    def env(self, **variables: str) -> Project:
        """Set variables for every later child."""
        self.variables |= variables
        return self

    def commit(self, message: str = "A commit") -> Project:
        """Add everything and commit it."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self

    def git(self, *args: str) -> str:
        """Run git and return what it printed; a failure fails the test."""
        result = self.run("git", *args)
        assert result.code == 0, f"git {' '.join(args)}: {result}"
        return result.stdout

    @property
    def status(self) -> str:
        """What ``git status --short`` prints; empty for a clean work tree."""
        return self.git("status", "--short")

    def read(self, name: str) -> str:
        """The text of a file."""
        return (self.path / name).read_text("utf-8")

    def pytest(
        self, *args: str, env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Result:
        """Run pytest in the project, with the plugin of the working tree."""
        flags = ("-p", "no:cacheprovider", *_plugin_flags())
        return self.run(sys.executable, "-m", "pytest", *flags, *args, env=env, timeout=timeout)

    def cas_llm(
        self, *args: str, env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Result:
        """Run the command line of the working tree."""
        return self.run(sys.executable, "-m", "cas_llm", *args, env=env, timeout=timeout)

    def python(
        self, program: str, *args: str, env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Result:
        """Run a Python program given as text."""
        code = textwrap.dedent(program)
        return self.run(sys.executable, "-c", code, *args, env=env, timeout=timeout)

    def run(self, *argv: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> Result:
        """Run any command in the project."""
        done = subprocess.run(
            argv,
            cwd=self.path,
            env=self.environment | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
        return Result(done.stdout, done.stderr, done.returncode)

    @property
    def environment(self) -> dict[str, str]:
        """All that a child knows of the world."""
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        # The tests' own Python first, whichever environment is active where they were started.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return {
            **passed_on,
            "PATH": path,
            "HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join((str(OFFLINE), str(TREE))),
            # A clean work tree must stay clean: no bytecode folders.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUTF8": "1",
            "COLUMNS": "100",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
            **self.variables,
        }
