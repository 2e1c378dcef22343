"""`cas-llm prune`: show what nothing needs any more, take it out, bring it back.

What is live is decided in `store.pruning.live`; here is when one may go by that, and what is said.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli.hints import command, shown
from cas_llm.cli.options import JsonOption, StoreOption, opened
from cas_llm.errors import CasLLMError

if TYPE_CHECKING:
    from cas_llm.session.usage import Usage
    from cas_llm.store import Store
    from cas_llm.store.pruning.sweep import Dead, Plan

DAY = 24 * 3600.0
_SHOWN = 5
_TRASH_DAYS = 30


@dataclass(frozen=True)
class Refusal:
    """A reason not to take anything out, and the option that says it is meant all the same."""

    why: str
    option: str


def prune(
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Take out what is listed.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Bring back what was taken out last.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="End with 1 if there is anything to take out.")
    ] = False,
    keep_days: Annotated[
        int,
        typer.Option(
            "--keep-days",
            min=0,
            help="What branches with a commit of so many days may need stays.",
        ),
    ] = 14,
    any_branch: Annotated[
        bool, typer.Option("--any-branch", help="Also where it is not the default branch.")
    ] = False,
    shallow: Annotated[
        bool, typer.Option("--shallow", help="Also in a clone without all of the history.")
    ] = False,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Also where the last run was not complete.")
    ] = False,
    over_half: Annotated[
        bool, typer.Option("--over-half", help="Also where more goes than stays.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take out recordings that nothing needs any more: a dry run, unless --apply is given.

    Live is what each test is served, here and in every recent branch, stash and work tree. What
    goes lies in the git directory for 30 days (--undo), and in git's history for ever. Example:
    pytest && cas-llm prune && cas-llm prune --apply
    """
    from cas_llm.cli.output import print_json

    place = opened(store)
    if undo:
        _undo(place, as_json=as_json)
        return
    plan, usage = _planned(place, keep_days)
    meant = {
        "--any-branch": any_branch,
        "--shallow": shallow,
        "--incomplete": incomplete,
        "--over-half": over_half,
    }
    refused = [one for one in refusals(plan, usage) if not meant[one.option]] if plan.dead else []
    if apply and refused:
        raise CasLLMError(_refusal(refused, store))
    trash = _swept(plan) if apply else None
    if as_json:
        print_json(_document(plan, refused, trash, applied=apply))
    else:
        _print(plan, usage, refused, store, applied=apply)
    if check and plan.dead:
        raise typer.Exit(1)


def refusals(plan: Plan, usage: Usage) -> Iterator[Refusal]:
    """Why *plan* should not be carried out, one reason after another."""
    from cas_llm import gitrepo

    top = gitrepo.git_root(plan.root.resolve())
    if top is not None:
        here, default = gitrepo.current_branch(top), gitrepo.default_branch(top)
        if not default or here != default:
            where = f"the branch is {here!r}" if here else "no branch is checked out"
            known = f"the default branch is {default!r}" if default else "no default is known"
            yield Refusal(f"{where}, {known}, and others may need what goes", "--any-branch")
        if gitrepo.is_shallow(top):
            yield Refusal("the clone is shallow, so that other branches are not known", "--shallow")
    if usage.lacks and not usage.completed:
        yield Refusal(f"no run was complete: {', '.join(usage.lacks)}", "--incomplete")
    if len(plan.dead) > plan.kept:
        yield Refusal(f"{len(plan.dead):,} files go and {plan.kept:,} stay", "--over-half")


def _planned(place: Store, keep_days: int) -> tuple[Plan, Usage]:
    from cas_llm.cli.output import progress
    from cas_llm.cli.verify import checks
    from cas_llm.session import usage
    from cas_llm.store.pruning import sweep

    known = usage.read(place)
    with progress("looking for what nothing needs", None):
        plan = sweep.plan(
            place.root, checks().parts_of, run=known.complete_run(), recent=keep_days * DAY
        )
    return plan, known


def _swept(plan: Plan) -> Path | None:
    from cas_llm.cli.verify import checks
    from cas_llm.store.pruning import sweep

    done = sweep.sweep(plan, checks().parts_of)
    sweep.forget(plan.root, before=time.time() - _TRASH_DAYS * DAY)
    return done.trash


def _undo(place: Store, *, as_json: bool) -> None:
    from cas_llm.cli.output import counted, print_json, say
    from cas_llm.store.pruning import sweep

    trashed = sweep.trashed(place.root)
    if not trashed:
        raise CasLLMError(
            f"nothing was taken out in the last {_TRASH_DAYS} days; what was committed is in git: "
            f"git log --diff-filter=D --name-only -- {shown(place.root)}"
        )
    back = sweep.undo(place.root, trashed[-1])
    if as_json:
        print_json({"store": str(place.root), "restored": list(back)})
        return
    say(f"{counted(len(back), 'file')} brought back. Next: git status {shown(place.root)}")


def _refusal(refused: Sequence[Refusal], store: Path | None) -> str:
    lines = [f"nothing was taken out: {one.why} ({one.option})" for one in refused]
    return "\n".join([*lines, f"If it is meant: {_apply(refused, store)}"])


def _apply(refused: Iterable[Refusal], store: Path | None) -> str:
    return command("prune", "--apply", *(one.option for one in refused), store=store)


def _document(
    plan: Plan, refused: Iterable[Refusal], trash: Path | None, *, applied: bool
) -> dict[str, Any]:
    return {
        "store": str(plan.root),
        "applied": applied,
        "files": [asdict(one) for one in plan.dead],
        "bytes": plan.bytes,
        "kept": plan.kept,
        "young": plan.young,
        "refused": [asdict(one) for one in refused],
        "trash": None if trash is None else str(trash),
    }


def _print(
    plan: Plan, usage: Usage, refused: Sequence[Refusal], store: Path | None, *, applied: bool
) -> None:
    from cas_llm.cli.output import counted, say, size_text

    if not plan.dead:
        needed = counted(plan.kept - plan.young, "file")
        say(f"Nothing to take out: {needed} {'is' if needed == '1 file' else 'are'} needed.")
        _say_unknown(plan, usage)
        if usage.completed:
            say("What came after the last run of all tests is not judged yet: that takes pytest")
        return
    was = "was" if len(plan.dead) == 1 else "were"
    verb = f"{was} taken out" if applied else "can go"
    say(f"{counted(len(plan.dead), 'file')} {verb} ({size_text(plan.bytes)}), {plan.kept:,} stay")
    for reason, group in _by_reason(plan.dead):
        say(f"  {len(group):>6,}  {reason} ({size_text(sum(one.bytes for one in group))})")
        for one in group[:_SHOWN] if group[0].is_entry else ():
            say(f"          {one.path}")
        if group[0].is_entry and len(group) > _SHOWN:
            listing = command("prune", "--json", store=store)
            say(f"          and {len(group) - _SHOWN:,} more: {listing}")
    _say_unknown(plan, usage)
    for refusal in refused:
        say(f"--apply will refuse: {refusal.why} ({refusal.option})", "yellow")
    if applied:
        undo = command("prune", "--undo", store=store)
        say(f"Next: pytest && git add {shown(plan.root)}; to bring it back: {undo}")
        if any((plan.root / one.path).with_name(".keep").exists() for one in plan.dead):
            say("A folder that got empty keeps a file .keep: commit it, so that branches merge.")
    else:
        meant = "If it is meant" if refused else "Next"
        say(f"Nothing was changed. {meant}: {_apply(refused, store)}")


def _say_unknown(plan: Plan, usage: Usage) -> None:
    from cas_llm.cli.output import counted, say

    if plan.young:
        young = counted(plan.young, "file")
        say(
            f"Of those that stay, nothing names {young}: younger than a day, maybe of a run at work"
        )
    if not usage.completed:
        say("Recordings of tests that are gone are not looked for: that takes a run of all: pytest")


def _by_reason(dead: Iterable[Dead]) -> list[tuple[str, list[Dead]]]:
    """Entries' reasons first, then those of what only they named; the commonest first."""
    groups: dict[tuple[bool, str], list[Dead]] = {}
    for one in dead:
        groups.setdefault((not one.is_entry, one.reason), []).append(one)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1])))
    return [(reason, group) for (_, reason), group in ordered]
