"""What a trial's verdict means for the commit, as findings.

Pure but for one look at the disk: whether a missing recording lies there without being staged.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cas_llm.guard.replaying import mirror
from cas_llm.guard.replaying.projects import Project
from cas_llm.guard.replaying.trial import Result, Verdict
from cas_llm.store import layout
from cas_llm.store.proof.census import ERROR, INFO, WARNING, Finding

NEVER_ASKED = "nobody knows whether it replays; it is not counted as passed"

_UNSTAGED = "it is recorded, and not staged: whoever checks this out has no recording"
_UNREADABLE = "unreadable"  # as `session.misses` calls it, which is not imported for a word
_DIFFERENCES = 3
_MORE_TIME = "run pytest yourself, or set [tool.cas-llm.hooks] max_seconds"


def findings_of(
    project: Project, verdict: Verdict, seconds: float, doubts: Sequence[str] = ()
) -> Iterator[Finding]:
    """What is missing, and what was not checked.

    *seconds* is the time there was, *doubts* are the reasons why all tests were run.
    """
    yield from _missing(project, [result for result in verdict.results if result.problems])
    yield from _not_run(project, verdict)
    for name in verdict.left_out:
        what = f"not checked: {name}: the project's own options leave it out"
        command = f"pytest {shlex.quote(name)}"
        yield Finding("CAS073", WARNING, _file(project, name), what, NEVER_ASKED, command)
    if verdict.in_time:
        for name in () if verdict.failure else verdict.unfinished:
            what = f"not checked: {name}: pytest ended before it"
            yield Finding("CAS073", WARNING, _file(project, name), what, NEVER_ASKED, "pytest")
    else:
        yield from _not_in_time(project, verdict, seconds)
        what = f"all tests with recordings were run: {'; '.join(doubts)}"
        why = "nobody knows which of them the change reaches"
        if doubts:
            yield Finding("CAS076", INFO, project.folder or ".", what, why, "pytest")
    for result in verdict.results:
        if result.outcome == "failed" and not result.problems:
            what = f"not checked: {result.test} fails for another reason: {result.text}"
            place, command = _file(project, result.test), f"pytest {shlex.quote(result.test)}"
            yield Finding("CAS073", WARNING, place, what, NEVER_ASKED, command)


def unstaged(project: Project, found: Mapping[str, str], *, allowed: bool) -> Iterator[Finding]:
    """What ran with other text than will be committed.

    *found* names files of tests, with no reason, and tests, with the way to what is not staged.
    """
    severity = WARNING if allowed else ERROR
    for name, why in sorted(found.items()):
        if why:
            place, what = _file(project, name), f"not checked: {why} without being staged"
            command = "git add what the commit needs, or git stash --keep-index"
        elif not (project.staged.top / name).exists():
            place = name
            what = "not checked: it is staged, and not on disk"
            command = f"git restore -- {shlex.quote(name)}"
        else:
            place = name
            what = "not checked: it has edits that are not staged, and these were run"
            command = f"git add {shlex.quote(name)}, or git stash --keep-index"
        yield Finding("CAS075", severity, place, what, NEVER_ASKED, command)


def restaged(project: Project) -> Finding:
    """That tests changed what is staged, or which commit is checked out, while they ran."""
    what = "a test changed what is staged, or committed, in the repository it is part of"
    why = "what is committed now is not what was checked; a test needs a repository of its own"
    command = "git diff --cached, then git restore --staged what a test added"
    return Finding("CAS077", ERROR, project.folder or ".", what, why, command)


def _missing(project: Project, results: Sequence[Result]) -> Iterator[Finding]:
    names = [result.test for result in results]
    files = list(dict.fromkeys(name.partition("::")[0] for name in names))
    said = " ".join(map(shlex.quote, names if len(names) <= 3 else files))
    where = f"cd {shlex.quote(project.folder)} && " if project.folder else ""
    # What is pushed is committed already.
    commit = ", then git commit" if project.staged.is_push else ""
    add = f"git add {_from_top(project)}{commit}"
    record = f"{where}pytest {said} --cas-llm=fallback, then {add}"
    aside = bool(results) and bool(mirror.differing(project.staged, project.store or "."))
    for result in results:
        problem = result.problems[0]
        what = f"{result.test}: {problem['headline'].removeprefix('cas-llm: ')}"
        place = _file(project, result.test)
        if aside and _is_on_disk(project, str(problem["key"])):
            yield Finding("CAS071", ERROR, place, what, _UNSTAGED, add, (result.test,))
        else:
            is_damaged = problem["kind"] == _UNREADABLE
            command = f"{where}cas-llm verify --repair, then {add}" if is_damaged else record
            yield Finding("CAS070", ERROR, place, what, _cause(problem), command, (result.test,))


def _from_top(project: Project) -> str:
    """The store as git finds it from the folder that the command before it has gone to."""
    start = ":/" if project.folder else ""
    return shlex.quote(f"{start}{project.store}")


def _cause(problem: Mapping[str, Any]) -> str:
    """Where the request differs from the nearest recording: alike for what one edit brought."""
    near = problem["nearest"]
    if near is None or problem["records"] is False:
        return ""
    shown = near["differences"][:_DIFFERENCES]
    more = len(near["differences"]) - len(shown)
    return "; ".join([*shown, *([f"and {more} more"] if more else [])])


def _is_on_disk(project: Project, key: str) -> bool:
    store = project.staged.top / (project.store or ".")
    return bool(key) and (store / layout.sharded(layout.REQUESTS, key)).is_file()


def _not_run(project: Project, verdict: Verdict) -> Iterator[Finding]:
    for path, text in verdict.broken.items():
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        what = f"cannot be collected: {lines[-1] if lines else 'pytest does not say why'}"
        command = f"pytest {shlex.quote(path)}"
        yield Finding("CAS072", ERROR, _joined(project, path), what, NEVER_ASKED, command)
    if verdict.failure:
        what = f"pytest did not run: {' '.join(verdict.failure.split())[-300:]}"
        yield Finding("CAS072", ERROR, project.folder or ".", what, NEVER_ASKED, "pytest")


def _not_in_time(project: Project, verdict: Verdict, seconds: float) -> Iterator[Finding]:
    if not verdict.collected:
        what = f"not checked: finding the tests took longer than {seconds:g} s"
        yield Finding("CAS073", WARNING, project.folder or ".", what, NEVER_ASKED, _MORE_TIME)
    for name in verdict.unfinished:
        what = f"not checked: {name}: the {seconds:g} s there are were over"
        yield Finding("CAS073", WARNING, _file(project, name), what, NEVER_ASKED, _MORE_TIME)


def _file(project: Project, test: str) -> str:
    return _joined(project, test.partition("::")[0])


def _joined(project: Project, path: str) -> str:
    return f"{project.folder}/{path}" if project.folder else path
