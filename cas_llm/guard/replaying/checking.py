"""Chooses the tests of a project, runs them with the store as it is staged, and says what came out.

What was not checked is said, and never counted as passed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cas_llm.guard.replaying import mirror, outcome, trial
from cas_llm.guard.replaying.projects import Project
from cas_llm.guard.replaying.reach import Reach
from cas_llm.guard.replaying.selecting import Selector
from cas_llm.guard.replaying.trial import Chosen, Verdict
from cas_llm.store.proof.census import WARNING, Finding

MAX_SECONDS = 20.0
"""How long the tests of one project may take, unless its settings say otherwise."""


def findings_of(project: Project, scope: str) -> list[Finding]:
    """Run the tests of *project* that its change concerns, as far as *scope* says, and judge."""
    selector = Selector(project)
    reach = Reach(project, os.environ)
    chosen, doubts = _chosen(selector, reach, scope)
    places = [place for place in selector.places(chosen) if place.exists()]
    if not places or project.store is None:
        return []
    staged, hooks = project.staged, project.settings.hooks
    if staged.commit and staged.commit != staged.head:
        what = f"not checked: {staged.commit[:12]} is pushed, and another commit is checked out"
        return [Finding("CAS073", WARNING, project.folder or ".", what, outcome.NEVER_ASKED)]
    seconds = float(hooks.get("max_seconds", MAX_SECONDS))
    with mirror.as_staged(staged, project.store) as store:
        verdict = trial.run(
            project.path, store, chosen, places, seconds=seconds, environ=os.environ
        )
    allowed = bool(hooks.get("allow_unstaged", False))
    return [
        *outcome.findings_of(project, verdict, seconds, doubts),
        *outcome.unstaged(project, _not_staged(project, reach, places, verdict), allowed=allowed),
    ]


def _not_staged(
    project: Project, reach: Reach, places: Sequence[Path], verdict: Verdict
) -> dict[str, str]:
    """What ran with other text than is staged, and how: test files, and tests by what they see."""
    top, folder = project.staged.top, project.folder or "."
    store = f"{project.store}/"
    edited = {path for path in project.staged.edited(folder) if not path.startswith(store)}
    found = {path: "" for path in edited if top / path in places}
    aside = edited | {path for path in project.staged.untracked(folder) if path.endswith(".py")}
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
