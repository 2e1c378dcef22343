"""What `cas-llm rerecord` says: what it would do, how far it is, what came of it.

Part of the command line; decides nothing. Money is about, where it is not spent yet.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from cas_llm import prices
from cas_llm.cli import rerecord_documents as documents
from cas_llm.cli.hints import shown
from cas_llm.cli.output import console, counted, print_json, print_table, say
from cas_llm.cli.rerecord_documents import Report
from cas_llm.errors import StoreError
from cas_llm.prices import money
from cas_llm.rerecord.anew import Account, Done
from cas_llm.rerecord.planning import Bill, Kept, Plan, totals
from cas_llm.rerecord.sending import Job
from cas_llm.rerecord.testing import MISSING, PASSED, SKIPPED

_SHOWN = 10
_DRAWN = 0.1


def refuse_unreadable(damaged: Sequence[str]) -> None:
    """Raise `StoreError` where a recording cannot be read: nobody knows what quotes what."""
    if damaged:
        raise StoreError(
            f"{counted(len(damaged), 'recording')} cannot be read ({damaged[0][:60]}), so that "
            "nobody knows what it takes; nothing was asked. Mend it first: cas-llm verify --repair"
        )


@contextmanager
def bar(label: str, total: int) -> Iterator[Callable[[int, float], None]]:
    """A progress bar with the money spent; yields what is told how many are done, and dollars."""
    where = console(stderr=True)
    if not where.is_terminal:
        yield lambda _done, _spent: None
        return
    from time import monotonic

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    money_column = TextColumn("spent {task.fields[spent]}")
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), money_column)
    with Progress(
        *columns, TimeElapsedColumn(), console=where, transient=True, auto_refresh=False
    ) as bars:
        task, drawn = bars.add_task(label, total=total, spent="$0.00"), 0.0

        def tell(done: int, spent: float) -> None:
            nonlocal drawn
            if monotonic() - drawn > _DRAWN:
                bars.update(task, completed=done, spent=money(spent), refresh=True)
                drawn = monotonic()

        yield tell


# -- before ------------------------------------------------------------------------------------


def tell_plan(plan: Plan, command: str, done: AbstractSet[str], *, as_json: bool) -> None:
    """Say which tests would be run, what that costs, and what stays."""
    bills = plan.bills
    if as_json:
        tests = [asdict(one) | {"calls": one.calls, "cost": one.cost} for one in plan.reruns]
        kept = [asdict(one) for one in plan.kept]
        print_json(
            documents.planned(bills) | {"tests": tests, "kept": kept, "fixtures": plan.fixtures}
        )
        return
    if done:
        _tell_done(done)
    if not plan.reruns and done:
        say("No test is left to run.")
    elif not plan.reruns:
        fits = "No recording of a test fits. What there is: cas-llm ls"
        say(fits if not plan.kept else "No test to run.")
    else:
        say(f"{counted(len(plan.reruns), 'test')} to run: {_price(bills)}")
        _tell_bills(bills)
        for one in plan.reruns[:_SHOWN]:
            by_hand = f", {one.by_hand} written by hand stay" if one.by_hand else ""
            mode = "" if one.mode == "capture" else f", only what is missing ({one.mode})"
            say(f"  {one.test}   {_price(one.bills)}{by_hand}{mode}")
        _tell_more(len(plan.reruns), command)
        if plan.fixtures:
            say(f"  and with them {counted(len(plan.fixtures), 'wider fixture')}")
    _tell_kept(plan.kept)
    _tell_next(command if plan.reruns or done else "")


def tell_jobs(
    jobs: Sequence[Job],
    stay: Sequence[Kept],
    command: str,
    done: AbstractSet[str],
    *,
    as_json: bool,
) -> None:
    """Say which requests would be sent, what that costs, and what stays."""
    bills = totals(Bill(job.model).plus(job.expected) for job in jobs)
    if as_json:
        told = [
            {"key": one.key, "answer": one.digest, "scope": one.scope, "cost": one.expected}
            for one in jobs
        ]
        kept = [asdict(one) for one in stay]
        print_json(documents.planned(bills) | {"requests": told, "kept": kept})
        return
    if done:
        _tell_done(done)
    say(f"{counted(len(jobs), 'request')} to send, each by itself: {_price(bills)}")
    _tell_bills(bills)
    for job in jobs[:_SHOWN]:
        say(f"  {job.key[:12]}   {job.scope}   {money(job.expected)}")
    _tell_more(len(jobs), command)
    _tell_kept(stay)
    _tell_next(command if jobs else "")


def refusal(stay: Sequence[Kept]) -> str:
    """Why not one request can be sent by itself, each with its test and its command."""
    lines = [f"  {one.what}: {one.why}\n    {one.command}" for one in stay[:_SHOWN]]
    more = [f"  and {len(stay) - _SHOWN:,} more"] if len(stay) > _SHOWN else []
    head = "none of these requests can be sent by itself; nothing was asked:"
    return "\n".join([head, *lines, *more])


# -- meanwhile ---------------------------------------------------------------------------------


def tell_resumed(done: int, total: int) -> None:
    """Say that an earlier re-record is gone on with."""
    say(
        f"Going on with one that did not end: {done:,} of {total:,} done (--afresh forgets it)",
        stderr=True,
    )


def tell_interrupted(done: int, left: int, spent: float, command: str) -> None:
    """Say that what was paid for is kept, and how to go on."""
    say(
        f"Interrupted: {done:,} done, {left:,} left, spent {money(spent)}; what was paid for is "
        f"kept. Go on: {command}",
        stderr=True,
    )


# -- after -------------------------------------------------------------------------------------


def tell_account(account: Account, plan: Plan, root: Path, *, as_json: bool) -> None:
    """Say in a line for each test what came of it, and what it cost."""
    if as_json:
        print_json(documents.account(account, plan))
        return
    for one in account.done:
        say(f"  {one.ended.test}   {_came_of(one)}", "" if one.ended.outcome == PASSED else "red")
    passed = sum(one.ended.outcome == PASSED for one in account.done)
    spent = money(account.spent) + (" and more" if account.unknown else "")
    calls = counted(account.calls, "call")
    say(f"{passed:,} of {counted(len(account.done), 'test')} recorded: {calls}, spent {spent}")
    if account.earlier:
        verb = "was" if len(account.earlier) == 1 else "were"
        say(f"{counted(len(account.earlier), 'test')} {verb} done before it was interrupted")
    for test in account.lost:
        say(f"Under way when it was killed, so that a call may be paid for twice: {test}")
    _tell_kept(plan.kept)
    failed = [one.ended.test for one in account.done if one.ended.outcome not in _FINE]
    if failed:
        names = " ".join(map(shlex.quote, failed[:3]))
        say(f"Their answers wait until they pass. Look: pytest {names} --cas-llm=fallback")
        say("To ask once more instead of using what waits, add --afresh")
    if passed or account.earlier:
        say(f"See what changed: cas-llm diff, cas-llm review   then: git add {shown(root)}")


def tell_report(report: Report, root: Path, *, as_json: bool) -> None:
    """Say what was sent, what is new, and what was not answered."""
    progress, landing = report.progress, report.landing
    if as_json:
        print_json(documents.report(report))
        return
    for scope, take in landing.tapes:
        say(f"  {scope}   take {take}")
    for key in landing.shared:
        say(f"  shared {key[:12]}   a new take")
    for name, why in list(progress.failed.items())[:_SHOWN]:
        say(f"  {name.split(':')[1][:12]}   not recorded: {why}", "red")
    total = len(progress.stored) + len(progress.failed)
    spent = money(report.budget.spent) + (" and more" if report.budget.unknown else "")
    say(
        f"{len(progress.stored):,} of {counted(total, 'request')} recorded: "
        f"{counted(progress.calls, 'call')}, spent {spent}"
    )
    if progress.taken_over:
        say(f"{counted(progress.taken_over, 'answer')} had been paid for before: no call for them")
    for job in progress.lost:
        say(f"Under way when it was killed, so maybe paid for twice: {job.key[:12]} of {job.scope}")
    _tell_kept(report.stay)
    if progress.failed:
        say(f"What was paid for is kept. Go on: {report.command}")
    if landing.tapes or landing.shared:
        say(f"See what changed: cas-llm diff   then: pytest && git add {shown(root)}")


_FINE = frozenset({PASSED, SKIPPED, MISSING})


def _came_of(one: Done) -> str:
    ended = one.ended
    if ended.outcome == PASSED and ended.locked:
        return "kept: it is locked"
    if ended.outcome == PASSED:
        return f"take {one.take}, {one.new} of {counted(one.answers, 'answer')} new"
    return f"{ended.outcome}: {ended.text}" if ended.text else ended.outcome


def _price(bills: Sequence[Bill]) -> str:
    calls, cost = sum(bill.calls for bill in bills), sum(bill.cost for bill in bills)
    unknown = sum(bill.unknown for bill in bills)
    if unknown == calls:
        return f"{counted(calls, 'call')}, price unknown"
    about = "free" if not cost and not unknown else prices.about(cost)
    more = f" and {unknown:,} of unknown price" if unknown else ""
    return f"{counted(calls, 'call')}, {about}{more}"


def _tell_bills(bills: Sequence[Bill]) -> None:
    if len(bills) > 1:
        rows = [(bill.model or "?", f"{bill.calls:,}", _cost(bill)) for bill in bills]
        print_table(("model", "calls", "about"), rows, right=("calls",))


def _cost(bill: Bill) -> str:
    return "unknown" if bill.unknown == bill.calls else money(bill.cost)


def _tell_more(count: int, command: str) -> None:
    if count > _SHOWN:
        listing = command.replace(" --apply", " --json")
        say(f"  and {count - _SHOWN:,} more: {listing}")


def _tell_kept(kept: Sequence[Kept]) -> None:
    if kept:
        how = "it is" if len(kept) == 1 else "they are"
        say(f"{counted(len(kept), 'recording')} left as {how}:")
    for one in kept[:_SHOWN]:
        say(f"  {one.what}: {one.why}")
        if one.command:
            say(f"    {one.command}")
    if len(kept) > _SHOWN:
        say(f"  and {len(kept) - _SHOWN:,} more: --json lists all")


def _tell_done(done: AbstractSet[str]) -> None:
    verb = "is" if len(done) == 1 else "are"
    say(f"{len(done):,} {verb} done by one that did not end; --apply goes on (--afresh forgets it)")


def _tell_next(command: str) -> None:
    if command:
        say(f"Nothing was asked. Next: {command}")
