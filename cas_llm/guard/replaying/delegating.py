"""Asks a project's own Python to judge, where the hook runs in another one.

The two may be of different versions, or the project's may have no cas-llm at all: each is one
clear finding.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict

from cas_llm.guard import ending
from cas_llm.guard.replaying.interpreter import Interpreter
from cas_llm.guard.replaying.projects import Project
from cas_llm.store.proof.census import ERROR, WARNING, Finding

# The folder it is started in may hold a `json.py` of the project's own.
_BOOT = """
import sys
sys.path[:1] = [] if sys.path[:1] == [""] else sys.path[:1]
try:
    from cas_llm.guard.replayable import inside
except ImportError as error:
    sys.exit(f"{type(error).__name__}: {error}")
inside(sys.argv[1])
"""


def ask(project: Project, python: Interpreter) -> list[Finding]:
    """The findings on *project* as *python* has them."""
    said, complaints = _asked(project, python)
    try:
        document = json.loads(said)
    except ValueError:
        return [_silent(project, python, complaints)]
    found = [Finding(**{**row, "tests": tuple(row["tests"])}) for row in document["findings"]]
    if document["version"] != version():
        what = f"its tests run with cas-llm {document['version']}, the hook is {version()}"
        why = "two versions may judge differently"
        command = "pre-commit autoupdate, or install the hook's version in the project"
        found.append(Finding("CAS074", WARNING, project.folder or ".", what, why, command))
    return found


def _asked(project: Project, python: Interpreter) -> tuple[str, str]:
    """What *python* prints, and what it complains of; interrupted, it ends what it started."""
    with (
        ending.as_interrupt(),
        subprocess.Popen(  # noqa: S603 - the project's own interpreter
            [*python.words, "-c", _BOOT, project.folder],
            cwd=project.staged.top,
            env=_environment(python),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        try:
            return process.communicate()
        except KeyboardInterrupt:
            process.terminate()
            raise


def answer(findings: Sequence[Finding]) -> str:
    """What the asked one prints for `ask` to read."""
    return json.dumps({"version": version(), "findings": [asdict(one) for one in findings]})


def version() -> str:
    """The version of cas-llm that runs; empty where it is not installed as a package."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("cas-llm")
    except PackageNotFoundError:
        return ""


def _silent(project: Project, python: Interpreter, said: str) -> Finding:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    place = " ".join(python.words)
    what = f"{place} (found by {python.found}): {lines[-1] if lines else 'says nothing'}"
    why = "the tests run in the project's own Python, which needs cas-llm"
    command = f'{place} -m pip install cas-llm, or set [tool.cas-llm.hooks] python = "..."'
    return Finding("CAS074", ERROR, project.folder or ".", what, why, command)


def _environment(python: Interpreter) -> dict[str, str]:
    """The environment with *python*'s own in place of the one pre-commit made."""
    if len(python.words) > 1:
        return dict(os.environ)
    home = os.path.dirname(python.words[0])  # noqa: PTH120 - not resolved: a link is an environment
    path = os.pathsep.join([home, os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": os.path.dirname(home)}  # noqa: PTH120
