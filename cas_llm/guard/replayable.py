"""The rule of ``cas-llm-replayable``: no test of the commit is without the recordings it asks for.

Finds the projects that the change touches and the Python their tests run in, and imports nothing
more where no test can be concerned: the hook is started for every commit. How tests are chosen and
run is in `replaying`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cas_llm.guard.replaying import projects
from cas_llm.guard.replaying.projects import WITHIN, Project
from cas_llm.guard.staged import Staged, of_environment

if TYPE_CHECKING:
    from cas_llm.store.proof.census import Finding

SCOPES = ("commit", "affected", "all")
"""How far the hook looks, the nearest first."""


def judge(staged: Staged) -> list[Finding]:
    """What of *staged* cannot be replayed, and what could not be checked.

    Raises:
        ConfigError: settings are wrong, or no Python is found to run tests in.

    """
    if staged.is_commit and not staged.changes:
        return []
    if _is_within_trial(staged):
        return []
    found: list[Finding] = []
    for project in _projects(staged):
        if _is_of_interest(project):
            found += _asked(project)
    return found


def inside(folder: str) -> None:
    """Judge the project in *folder* in this interpreter, and print what `delegating` reads."""
    from cas_llm.guard.replaying import checking, delegating

    staged = of_environment(Path.cwd(), os.environ)
    findings = [
        finding
        for project in _projects(staged)
        if project.folder == folder
        for finding in checking.findings_of(project, scope_of(project))
    ]
    sys.stdout.write(delegating.answer(findings))


def scope_of(project: Project) -> str:
    """How far the hook looks in *project*: what it is told, and at a push at least `affected`."""
    staged = project.staged
    least = "all" if not staged.changes else "affected" if staged.is_push else "commit"
    said = project.settings.hooks.get("scope", "commit")
    return max(least, str(said), key=SCOPES.index)


def _is_within_trial(staged: Staged) -> bool:
    """Whether a test of this very work tree commits to it: it is being checked already."""
    return os.environ.get(WITHIN, "") == str(staged.top)


def _projects(staged: Staged) -> list[Project]:
    if staged.changes:
        return projects.touched(staged, os.environ)
    # Nothing is staged, and no commit is made: somebody asks about all there is.
    return projects.all_of(staged, os.environ)


def _is_of_interest(project: Project) -> bool:
    """Whether any test may have to run: known without reading a file."""
    if project.store is None:
        return False
    return scope_of(project) != "commit" or any(
        change.path.endswith(".py") or change.path.startswith(f"{project.store}/")
        for change in project.changes
    )


def _asked(project: Project) -> list[Finding]:
    """The findings, from the project's own Python."""
    from cas_llm.guard.replaying import checking, delegating, interpreter

    setting = str(project.settings.hooks.get("python", ""))
    python = interpreter.find(project.path, project.staged.top, setting, os.environ)
    if python.is_this:
        return checking.findings_of(project, scope_of(project))
    return delegating.ask(project, python)
