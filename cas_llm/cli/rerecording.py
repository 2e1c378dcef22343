"""The steps of `cas-llm rerecord`: choose, plan, and with ``--apply`` carry out; then tell.

Part of the command line: opens what the plan is made of, and gives it to `cli.rerecorded` to print.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import typer

from cas_llm.cli import rerecorded
from cas_llm.cli.options import opened, settings_of
from cas_llm.cli.rerecord_documents import Report
from cas_llm.config import COMMAND_LINE, Settings
from cas_llm.errors import CasLLMError
from cas_llm.guard import ending
from cas_llm.rerecord import missed, project, reissuing, staleness
from cas_llm.rerecord.anew import Rerecord, unit_of
from cas_llm.rerecord.budget import Budget
from cas_llm.rerecord.definitions import Definitions
from cas_llm.rerecord.jobs import Ways, jobs_of, kept
from cas_llm.rerecord.leaves import Leaves
from cas_llm.rerecord.ledger import Ledger
from cas_llm.rerecord.patience import Patience
from cas_llm.rerecord.planning import Kept, Plan, plan
from cas_llm.rerecord.selecting import Chosen, Wanted, chosen, of_last_takes
from cas_llm.rerecord.sending import Job, Sender, over_http
from cas_llm.rerecord.testing import FAILED, PASSED, Batch, Bench
from cas_llm.session.catalogue import Catalogue, catalogue
from cas_llm.session.report import read_last_run
from cas_llm.session.runtime import Runtime
from cas_llm.store import Store


@dataclass(frozen=True)
class Said:
    """What the command line said; `words` is all of it but ``--apply``, `rest` is pytest's."""

    wanted: Wanted
    missed: bool
    reissue: bool
    apply: bool
    replace_edited: bool
    max_cost: float | None
    jobs: int
    base_url: str
    timeout: float
    live_on_ci: bool
    python: str
    afresh: bool
    rest: tuple[str, ...]
    words: tuple[str, ...]
    as_json: bool

    @property
    def apply_command(self) -> str:
        """The command that carries out what was planned."""
        return self._command(self.words)

    @property
    def go_on_command(self) -> str:
        """The command that does what is left."""
        return self._command(word for word in self.words if word != "--afresh")

    def _command(self, words: Iterable[str]) -> str:
        rest = ["--", *self.rest] if self.rest else []
        return shlex.join(["cas-llm", "rerecord", *words, "--apply", *rest])


def carry_out(said: Said, place: Path | None) -> None:
    """Do what was *said* with the store at *place*, or the project's.

    Raises:
        CasLLMError: nothing can be done; nothing was asked.

    """
    settings = _settings(said, place)
    store = opened(place)
    try:
        if said.reissue:
            _reissue(said, settings, store)
        else:
            _rerun(said, settings, store)
    finally:
        store.close()


def _settings(said: Said, place: Path | None) -> Settings:
    settings = settings_of(place)
    more = {"max_cost": said.max_cost, "live_on_ci": said.live_on_ci or None}
    return settings.but(COMMAND_LINE, **more)


def _picked(said: Said, held: Catalogue, store: Store) -> tuple[list[Chosen], list[Kept]]:
    wanted, retired = said.wanted, list[Kept]()
    if wanted.stale is not None:
        named, retired = staleness.named(store)
        wanted = replace(wanted, stale=named)
    return chosen(held, wanted, datetime.now(UTC)), retired


# -- tests -------------------------------------------------------------------------------------


def _rerun(said: Said, settings: Settings, store: Store) -> None:
    if said.missed:
        problems = read_last_run(store)
        scopes = [str(one.get("test") or one["scope"]) for one in problems]
        folder = project.folder_of(store.root, Path.cwd(), scopes)
        reruns, left = missed.reruns(problems, Definitions(folder))
        planned = Plan(tuple(reruns), tuple(left))
    else:
        held = catalogue(store)
        rerecorded.refuse_unreadable(held.damaged)
        picked, retired = _picked(said, held, store)
        folder = project.folder_of(store.root, Path.cwd(), [tape.scope for tape in held.tapes])
        tests = Definitions(folder)
        planned = plan(held, picked, tests, replace_by_hand=said.replace_edited)
        planned = replace(planned, kept=(*planned.kept, *retired))
    if not said.apply or not planned.reruns:
        names = [unit_of(one.test) for one in planned.reruns]
        done = _done_before(said, Ledger(store.root), names)
        to_run = tuple(one for one in planned.reruns if unit_of(one.test) not in done)
        planned = replace(planned, reruns=to_run)
        rerecorded.tell_plan(planned, said.apply_command, done, as_json=said.as_json)
        return
    found = project.opened(folder, settings, said.python, os.environ)
    _run_tests(said, settings, store, planned, found)


def _run_tests(
    said: Said, settings: Settings, store: Store, planned: Plan, found: project.Project
) -> None:
    batch = Batch(
        tests=(),
        mode="",
        store=store.root.absolute(),
        max_cost=settings.max_cost,
        arguments=said.rest,
        narrowed=not planned.whole,
        replace_edited=said.replace_edited,
        live_on_ci=settings.live_on_ci,
    )
    with (
        ending.as_interrupt(),
        Ledger(store.root) as ledger,
        Bench(found, os.environ) as bench,
        rerecorded.bar("tests", len(planned.reruns)) as tell,
    ):
        _begin(said, ledger, [unit_of(one.test) for one in planned.reruns])
        work = Rerecord(planned.reruns, batch, bench, ledger, store)
        try:
            account = work.run(said.jobs, tell)
        except KeyboardInterrupt:
            rerecorded.tell_interrupted(
                *_counts(ledger, "test:"), work.account.spent, said.go_on_command
            )
            raise
        if not any(one.ended.outcome == FAILED for one in account.done):
            # What pytest skips or does not find is not unfinished.
            ended = [one.ended for one in account.done]
            ledger.forget(unit_of(one.test) for one in ended if one.outcome != PASSED)
            ledger.close()
    rerecorded.tell_account(account, planned, store.root, as_json=said.as_json)
    if any(one.ended.outcome != PASSED for one in account.done):
        raise typer.Exit(1)


def _begin(said: Said, ledger: Ledger, names: Sequence[str]) -> None:
    if said.afresh:
        ledger.clear()
    elif ledger.goes_on(names) and not said.as_json:
        rerecorded.tell_resumed(sum(name in ledger.done for name in names), len(names))


def _done_before(said: Said, ledger: Ledger, names: Sequence[str]) -> AbstractSet[str]:
    """What of *names* is done by one that did not end, and that is gone on with."""
    goes_on = not said.afresh and ledger.goes_on(names)
    return ledger.done.keys() & {*names} if goes_on else set()


def _counts(ledger: Ledger, kind: str) -> tuple[int, int]:
    """How many units of a *kind* are done, and how many are not."""
    done = sum(name.startswith(kind) for name in ledger.done)
    return done, sum(name.startswith(kind) for name in ledger.left)


# -- requests ----------------------------------------------------------------------------------


def _reissue(said: Said, settings: Settings, store: Store) -> None:
    held = catalogue(store)
    rerecorded.refuse_unreadable(held.damaged)
    picked, retired = _picked(said, held, store)
    ledger = Ledger(store.root)
    names = [reissuing.unit_of(ledger, one.entry) for one in picked]
    done = _done_before(said, ledger, names)
    pairs = zip(picked, names, strict=True)
    picked = [one for one, name in pairs if name not in done or name == reissuing.named(one.entry)]
    ways = Ways(os.environ, settings.hosts, said.base_url, said.replace_edited)
    folder = project.folder_of(store.root, Path.cwd(), [tape.scope for tape in held.tapes])
    picked, earlier = of_last_takes(picked, held)
    jobs, left = jobs_of(picked, store, Leaves(store, held), ways, Definitions(folder))
    stay = [*kept([*left, *earlier]), *retired]
    if not jobs and stay:
        raise CasLLMError(rerecorded.refusal(stay))
    if not said.apply or not jobs:
        rerecorded.tell_jobs(jobs, stay, said.apply_command, done, as_json=said.as_json)
        return
    _send(said, settings, jobs, stay, names)


def _send(
    said: Said, settings: Settings, jobs: list[Job], stay: list[Kept], names: Sequence[str]
) -> None:
    runtime = Runtime(settings)
    root = runtime.store.root
    budget = Budget(settings.max_cost)
    post, close = over_http()
    patience = Patience(timeout=said.timeout)
    with (
        ending.as_interrupt(),
        Ledger(root) as ledger,
        rerecorded.bar("calls", len(jobs)) as tell,
    ):
        _begin(said, ledger, names)
        stopping = reissuing.Stopping()
        sender = Sender(settings, runtime, post, patience, stopping.pause)
        work = reissuing.Reissue(jobs, sender, ledger, budget, stopping)
        try:
            progress = work.run(said.jobs, lambda done: tell(done, budget.spent))
        except KeyboardInterrupt:
            rerecorded.tell_interrupted(*_counts(ledger, "call:"), budget.spent, said.go_on_command)
            raise
        finally:
            close()
            runtime.store.close()
            runtime.run.close()
        if not progress.failed:
            ledger.close()
    report = Report(progress, work.landing, budget, stay, said.go_on_command)
    rerecorded.tell_report(report, root, as_json=said.as_json)
    if progress.failed:
        raise typer.Exit(1)
