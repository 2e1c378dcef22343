"""`cas-llm resolve`: mend the store in the middle of a merge; the index is left to its owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cas_llm.cli.hints import command, shown
from cas_llm.cli.options import JsonOption, StoreOption, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from cas_llm.store.past.memory import Memory
    from cas_llm.store.past.merged import Resolution, Step

_SHOWN = 10


def resolve(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mend the store after a merge with conflicts: both sides' recordings stay.

    A file is named by its bytes, so each gets back the bytes of its name, and what an entry that
    stays names comes back. Writes the work tree and never git's index. Example: git merge main;
    cas-llm resolve; git add -A cache_store; git commit
    """
    from cas_llm.cli.output import print_json, progress
    from cas_llm.cli.verify import checks
    from cas_llm.store.past.memory import Memory
    from cas_llm.store.past.resolving import apply, plan

    memory = Memory(settings_of(store).store)
    with progress("comparing both sides", None):
        found = plan(memory, checks().parts_of)
    if found is not None and not dry_run:
        apply(memory, found)
    if as_json:
        print_json(
            {
                "store": str(memory.root),
                "merging": found is not None,
                "applied": found is not None and not dry_run,
                "files": [{"path": s.path, "what": s.what} for s in found.steps] if found else [],
                "by_hand": list(found.by_hand) if found else [],
                "nowhere": list(found.nowhere) if found else [],
                "next": _next(memory, found) if found else "",
            }
        )
    elif found is None:
        _print_nothing(memory, store)
    else:
        _print(memory, found, store, dry_run=dry_run)
    if found is not None and (found.by_hand or found.nowhere):
        raise typer.Exit(1)


def _print_nothing(memory: Memory, store: Path | None) -> None:
    from cas_llm.cli.output import say

    why = (
        f"{memory.root} is in no git repository"
        if memory.top is None
        else "no merge goes on here, and no file of the store is in conflict"
    )
    repair = command("verify", "--repair", store=store)
    say(f"Nothing to resolve: {why}. Where files are damaged: {repair}")


def _print(memory: Memory, found: Resolution, store: Path | None, *, dry_run: bool) -> None:
    from cas_llm.cli.output import counted, say

    verb = "would be mended" if dry_run else "mended"
    say(f"{counted(len(found.steps), 'file')} {verb}" if found.steps else "All is as it must be.")
    groups: dict[str, list[Step]] = {}
    for step in found.steps:
        groups.setdefault(step.what, []).append(step)
    for what, group in groups.items():
        say(f"  {what}")
        _list([step.path for step in group])
    if found.by_hand:
        say("  no recordings; choose by hand (git checkout --ours|--theirs)", "red")
        _list(found.by_hand)
    if found.nowhere:
        say("  named and nowhere in git; record anew: pytest --cas-llm=fallback", "red")
        _list(found.nowhere)
    if dry_run:
        say(f"Nothing was changed. Next: {command('resolve', store=store)}")
    else:
        say(f"Next: {_next(memory, found)}")


def _list(names: Sequence[str]) -> None:
    from cas_llm.cli.output import say

    for name in names[:_SHOWN]:
        say(f"    {name}")
    if len(names) > _SHOWN:
        say(f"    and {len(names) - _SHOWN:,} more: cas-llm resolve --json")


def _next(memory: Memory, found: Resolution) -> str:
    add = f"git add -A {shown(memory.root)}"
    return f"{add} && {found.goes_on}" if found.goes_on else add
