"""Chooses the tests of a project, runs them with the store as it is staged, and says what came out.

What was not checked is said, and never counted as passed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cas_llm.guard import ending
from cas_llm.guard.replaying import mirror, outcome, trial
from cas_llm.guard.replaying.disk import Disk
from cas_llm.guard.replaying.projects import WITHIN, Project
from cas_llm.guard.replaying.reach import Reach
from cas_llm.guard.replaying.selecting import Selector
from cas_llm.guard.replaying.trial import Chosen, Verdict
from cas_llm.guard.staged import Staged
from cas_llm.store.proof.census import WARNING, Finding

MAX_SECONDS = 20.0
"""How long the tests of one project may take, unless its settings say otherwise."""


def findings_of(project: Project, scope: str) -> list[Finding]:
    """Run the tests of *project* that its change concerns, as far as *scope* says, and judge."""
    selector = Selector(project)
    reach = Reach(project, os.environ)
    chosen, doubts = _chosen(selector, reach, scope)
    staged, hooks = project.staged, project.settings.hooks
    allowed = bool(hooks.get("allow_unstaged", False))
    asked = selector.places(chosen)
    places = [place for place in asked if place.exists()]
    gone = {_path(staged, place): "" for place in asked if place not in places}
    gone = {path: "" for path in gone if path in selector.names}
    if not places or project.store is None:
        return [*outcome.unstaged(project, gone, allowed=allowed)]
    if staged.commit and staged.commit != staged.head:
        what = f"not checked: {staged.commit[:12]} is pushed, and another commit is checked out"
        return [Finding("CAS073", WARNING, project.folder or ".", what, outcome.NEVER_ASKED)]
    seconds = float(hooks.get("max_seconds", MAX_SECONDS))
    with ending.as_interrupt(), mirror.as_staged(staged, project.store) as store:
        before = staged.mark()
        verdict = trial.run(
            project.path, store, chosen, places, seconds=seconds, environ=_environment(staged)
        )
        is_kept = staged.mark() == before
    aside = gone | _not_staged(project, reach, places, verdict)
    return [
        *outcome.findings_of(project, verdict, seconds, doubts),
        *outcome.unstaged(project, aside, allowed=allowed),
        *([] if is_kept else [outcome.restaged(project)]),
    ]


def _environment(staged: Staged) -> Mapping[str, str]:
    return {**os.environ, WITHIN: str(staged.top)}


def _path(staged: Staged, place: Path) -> str:
    return place.relative_to(staged.top).as_posix()


def _not_staged(
    project: Project, reach: Reach, places: Sequence[Path], verdict: Verdict
) -> dict[str, str]:
    """What ran with other text than is staged, and how: test files, and tests by what they see."""
    top, folder = project.staged.top, project.folder or "."
    store = f"{project.store}/"
    disk = Disk(project.staged)
    edited = {path for path in disk.edited(folder) if not path.startswith(store)}
    found = {path: "" for path in edited if top / path in places}
    aside = edited | {path for path in disk.untracked(folder) if path.endswith(".py")}
    aside = {path for path in aside if not path.startswith(store)}
    ran = {result.test for result in verdict.results if not result.problems}
    reached = reach.of_edits(aside - found.keys()).tests
    return found | {name: why for name, why in reached.items() if name in ran}


def _chosen(selector: Selector, reach: Reach, scope: str) -> tuple[Chosen, tuple[str, ...]]:
    """The tests to run, and why it is all of them where nobody asked for all."""
    chosen = selector.edited() | selector.recorded(reach)
    doubts: tuple[str, ...] = ()
    if scope == "affected":
        reached = reach.of_changes()
        doubts = reached.doubts
        chosen |= selector.of_scopes(reached.tests)
    if scope == "all" or doubts:
        chosen |= selector.everything(reach)
    return chosen, doubts
