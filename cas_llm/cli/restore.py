"""`cas-llm restore`: bring back what was taken out of the store, without a call.

What is gone and where it is remembered is found in `store.past`; here is what is said of it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli.hints import command, shown
from cas_llm.cli.options import JsonOption, StoreOption, settings_of
from cas_llm.errors import CasLLMError, ConfigError

if TYPE_CHECKING:
    from cas_llm.gitrepo import Commit
    from cas_llm.store.past.memory import Memory
    from cas_llm.store.past.restoring import Gone, Plan
    from cas_llm.store.past.standing import Standing
    from cas_llm.store.pruning.trees import Tree

_SHOWN = 8


def restore(
    name: Annotated[
        str,
        typer.Argument(metavar="KEY|TEST", help="A key, or a test; 4 hex digits are enough."),
    ] = "",
    *,
    revision: Annotated[
        str,
        typer.Option("--from", metavar="REV", help="What this commit, tag or branch holds."),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what comes back.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring back recordings that were taken out: from prune's trash, or from git's history.

    Each file's digest is checked, nothing that is there is written over, and no provider is
    called. Example: cas-llm restore 9f3c, or all that a commit held: cas-llm restore --from HEAD~3
    """
    from cas_llm.cli.output import print_json, progress
    from cas_llm.store import Store
    from cas_llm.store.past.memory import Memory
    from cas_llm.store.past.restoring import bring_back

    if not name and not revision:
        raise ConfigError(
            "say what comes back: a KEY, a TEST or --from REV; see what a prompt ever had with: "
            "cas-llm history KEY",
            source="cas-llm restore",
        )
    memory = Memory(_root(store))
    source = _at(memory, revision) if revision else None
    plan = _planned(memory, name, source)
    standing = _standings(memory, plan)
    if plan.files and not dry_run:
        Store(memory.root).prepare()
        with progress("bringing back", len(plan.files)) as seen:
            bring_back(memory, plan, source, seen)
    if as_json:
        print_json(_document(memory, plan, standing, applied=not dry_run))
    else:
        again = _command(name, revision, store) if dry_run else ""
        _print(memory, plan, standing, again, store)
    if plan.nowhere or plan.damaged:
        raise typer.Exit(1)


def _root(store: Path | None) -> Path:
    """The store's place; all of it may be what is gone."""
    from cas_llm.store import layout

    root = settings_of(store).store
    if root.exists():
        layout.read_format(root)
    return root


def commit_document(commit: Commit | None) -> dict[str, Any] | None:
    """A commit as JSON."""
    if commit is None:
        return None
    when = datetime.fromtimestamp(commit.committed, UTC).isoformat(timespec="seconds")
    return {**commit._asdict(), "committed": when}


def _at(memory: Memory, revision: str) -> Tree:
    if memory.top is None:
        raise CasLLMError(
            f"{memory.root} is in no git repository, so there is no {revision!r}; what prune took "
            "out comes back with: cas-llm prune --undo"
        )
    found = memory.at(revision)
    if found is None:
        deeper = "git fetch --unshallow" if memory.is_shallow else "git fetch --all"
        raise CasLLMError(
            f"{revision!r} is no commit, tag or branch that is here; list them with: git log "
            f"--all --oneline; fetch more with: {deeper}"
        )
    return found


def _planned(memory: Memory, name: str, source: Tree | None) -> Plan:
    from cas_llm.cli.output import progress
    from cas_llm.cli.verify import checks
    from cas_llm.store.past.entries import About
    from cas_llm.store.past.restoring import plan
    from cas_llm.store.past.words import about, nameless

    with progress("looking where it is remembered", None):
        wanted = about(memory, name) if name else About()
        found = plan(memory, wanted, checks().parts_of, source)
    if wanted.key and not found.files and not found.here and not found.left_out:
        why = (
            f"{source.place} does not name it" if source else "no entry that named it is remembered"
        )
        raise nameless(memory, wanted.key, why)
    return found


def _standings(memory: Memory, plan: Plan) -> list[Standing]:
    from cas_llm.store.past.standing import standings
    from cas_llm.store.pruning.trees import on_disk

    return standings(on_disk(memory.root), plan.entries)


def _command(name: str, revision: str, store: Path | None) -> str:
    source = ["--from", revision] if revision else []
    return command("restore", *([name] if name else []), *source, store=store)


def _document(
    memory: Memory, plan: Plan, standing: Sequence[Standing], *, applied: bool
) -> dict[str, Any]:
    return {
        "store": str(memory.root),
        "applied": applied,
        "place": plan.gone.place.place if plan.gone.place else None,
        "deleted_in": None if plan.gone.added else commit_document(plan.gone.commit),
        "added_in": commit_document(plan.gone.commit) if plan.gone.added else None,
        "files": [asdict(one) for one in plan.files],
        "bytes": plan.bytes,
        "entries": [asdict(one) for one in standing],
        "nowhere": list(plan.nowhere),
        "left_out": list(plan.left_out),
        "damaged": list(plan.damaged),
    }


def _print(
    memory: Memory, plan: Plan, standing: Sequence[Standing], again: str, store: Path | None
) -> None:
    from cas_llm.cli.output import counted, say, size_text

    if plan.files:
        verb = "would come back" if again else "came back"
        say(f"{counted(len(plan.files), 'file')} {verb} ({size_text(plan.bytes)}){_whence(plan)}")
    elif not plan.nowhere and not plan.damaged:
        say("Nothing is missing here: all of it is in the store.")
    for one in standing[:_SHOWN]:
        say(f"  {_stands(one, memory.root, store)}")
    if len(standing) > _SHOWN:
        say(f"  and {len(standing) - _SHOWN:,} more: --json")
    _print_trouble(plan)
    if again and plan.files:
        say(f"Nothing was changed. Next: {again}")
    elif plan.files:
        tests = sorted({shlex.quote(one.scope) for one in standing if "::" in one.scope})
        run = f"pytest {' '.join(tests)}" if 0 < len(tests) <= 3 else "pytest"
        say(f"Next: {run} && git add {shown(memory.root)}")


def _whence(plan: Plan) -> str:
    from cas_llm.store.past.telling import told_of

    gone: Gone = plan.gone
    if gone.commit is None:
        places = sorted({one.place for one in plan.files})
        return f", from {' and '.join(places)}"
    return f", {'recorded' if gone.added else 'deleted'} in {told_of(gone.commit)}"


def _stands(one: Standing, root: Path, store: Path | None) -> str:
    name = f"{one.scope or 'shared ' + one.key[:12]}, take {one.take}"
    if one.state == "served":
        return f"{name}: is served again"
    if one.state == "tied":
        first = "this one is served" if one.by == one.path else "the other one is served"
        return f"{name}: ties with another tape of this take, {first}"
    what = one.scope or one.key[:12]
    state = (
        f"is served what take {one.by_take} has no answer to"
        if one.scope
        else f"is superseded still, take {one.by_take} is served"
    )
    return (
        f"{name}: {state}; to be served it first: git rm {shown(root / one.by)}; compare: "
        f"{command('history', what, store=store)}"
    )


def _print_trouble(plan: Plan) -> None:
    from cas_llm.cli.output import say

    for name in plan.nowhere[:_SHOWN]:
        say(f"  {name} is named and nowhere: neither in the trash nor in git", "red")
    for name in plan.left_out[:_SHOWN]:
        say(f"  {name} stays out, as not all that it names is left", "red")
    for name in plan.damaged[:_SHOWN]:
        say(f"  {name} is there and damaged; mend it with: cas-llm verify --repair", "red")
    if plan.nowhere:
        say("  What is nowhere has to be recorded anew: pytest --cas-llm=fallback", "red")
