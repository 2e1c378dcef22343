"""`cas-llm history`: every answer a prompt or a test ever had, what became of it, what changed.

What is known is put together in `store.past.timeline`; here is how it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli.hints import command
from cas_llm.cli.options import JsonOption, StoreOption, opened

if TYPE_CHECKING:
    from pathlib import Path

    from cas_llm.store.past.timeline import Lived, Named

_LINES = 3
_WIDTH = 100
_STYLES = {"served": "green", "pending": "yellow", "pruned": "dim", "superseded": "dim"}


def history(
    name: Annotated[
        str, typer.Argument(metavar="KEY|TEST", help="A key, or a test; 4 hex digits are enough.")
    ],
    *,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="How many answers to a request, the newest.")
    ] = 10,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every answer a prompt ever had, newest first: those served now, and those long gone.

    For a test, of each of its turns. From the store, what waits, prune's trash and the history of
    all branches. Example: cas-llm history 9f3c; one that is gone comes back with cas-llm restore
    """
    from cas_llm.cli.output import print_json, progress
    from cas_llm.store.past.memory import Memory
    from cas_llm.store.past.timeline import timeline
    from cas_llm.store.past.words import about, nameless

    memory = Memory(opened(store).root)
    with progress("reading the history", None):
        wanted = about(memory, name)
        lived = timeline(memory, wanted)
    if not lived:
        raise nameless(memory, wanted.key, "nothing names it, nor ever did")
    if as_json:
        print_json(
            {
                "store": str(memory.root),
                "key": wanted.key or None,
                "test": wanted.scope or None,
                "shallow": memory.is_shallow,
                "answers": [one for group in _prompts(lived) for one in _documents(group, limit)],
            }
        )
        return
    for group in _prompts(lived):
        _print(group, limit)
    _print_end(memory.is_shallow, lived, store)


def changed(older: Lived | None, newer: Lived) -> str:
    """What is different in *newer*, in one line; empty for the first of all."""
    from cas_llm.keys import shorten_pair

    if older is None:
        return ""
    if not older.document or not newer.document:
        return "one of the two is lost"
    said = []
    for what, old, new in (
        ("model", _model(older), _model(newer)),
        ("status", older.document.get("status"), newer.document.get("status")),
    ):
        if old != new:
            said.append(f"{what} {old or '?'} -> {new or '?'}")
    if older.words == newer.words:
        said.append("the same words")
    else:
        pair = shorten_pair(" ".join(older.words), " ".join(newer.words), 60)
        said.append('"{}" -> "{}"'.format(*pair))
    return "; ".join(said)


def _prompts(lived: Iterable[Lived]) -> list[list[Lived]]:
    return [list(group) for _, group in groupby(lived, key=lambda one: one.key)]


def _documents(group: Sequence[Lived], limit: int) -> list[dict[str, Any]]:
    older = [*group[1:], None]
    return [
        {
            "key": one.key,
            "digest": one.digest,
            "state": one.state,
            "recorded_at": one.recorded_at or None,
            "model": _model(one) or None,
            "cost_usd": _cost(one),
            "status": one.document.get("status"),
            "marks": one.document.get("marks", []),
            "answer": list(one.words),
            "changed": changed(before, one),
            "lost": not one.document,
            "named_by": [_naming_document(named) for named in one.namings],
        }
        for one, before in list(zip(group, older, strict=True))[:limit]
    ]


def _naming_document(named: Named) -> dict[str, Any]:
    from cas_llm.cli.restore import commit_document

    return {
        "path": named.path,
        "state": named.state,
        "scope": named.scope or None,
        "take": named.take,
        "ordinal": named.ordinal,
        "added_in": commit_document(named.added),
        "removed_in": commit_document(named.removed),
    }


def _print(group: Sequence[Lived], limit: int) -> None:
    from cas_llm.cli.output import counted, say
    from cas_llm.keys import short

    asked = next((one.ask for one in group if one.ask), ())
    ask = short(" ".join(asked), _WIDTH - 40)
    say(f'{group[0].key[:12]}  "{ask}"  {counted(len(group), "answer")}', "bold")
    older = [*group[1:], None]
    for one, before in list(zip(group, older, strict=True))[:limit]:
        _print_one(one, changed(before, one))
    if len(group) > limit:
        say(f"  and {len(group) - limit:,} older: --limit {len(group)}")
    say()


def _print_one(one: Lived, difference: str) -> None:
    from cas_llm.cli.output import say
    from cas_llm.keys import short
    from cas_llm.prices import money

    cost = _cost(one)
    about = [one.recorded_at.replace("T", " ").removesuffix("Z"), _model(one)]
    about += [money(cost)] if cost is not None else []
    told = "  ".join(word for word in about if word)
    say(f"  {one.state:<10}  {one.digest[:12]}  {told}", _STYLES.get(one.state, ""))
    for named in one.namings[:_LINES]:
        say(f"      {_told(named)}")
    if len(one.namings) > _LINES:
        say(f"      and {len(one.namings) - _LINES} more: --json")
    for line in one.words[:_LINES]:
        say(f"      < {short(line, _WIDTH - 8)}")
    if not one.document:
        say("      its bytes are neither here nor in git", "red")
    if difference:
        say(f"      changed: {difference}")


def _told(named: Named) -> str:
    from cas_llm.store.past.telling import told_of

    whose = named.scope or "shared"
    if named.state == "pending":
        return f"{whose}: waits for the test to pass (run {named.path})"
    words = [f"{whose}, take {named.take}: {named.state}"]
    if named.removed:
        words.append(f"deleted in {told_of(named.removed)} ({_day(named.removed.committed)})")
    words.append(f"added in {told_of(named.added)}" if named.added else "not committed yet")
    return "; ".join(words)


def _print_end(shallow: bool, lived: Sequence[Lived], store: Path | None) -> None:
    from cas_llm.cli.output import say

    if shallow:
        say("This clone is shallow, there may be more: git fetch --unshallow", "yellow")
    gone = next(
        (one for one in lived if one.state not in {"served", "pending", "superseded"}), None
    )
    if gone is not None:
        restore = command("restore", gone.key[:12], store=store)
        say(f"Next: bring back what is gone: {restore}")
    else:
        say(f"Next: {command('show', lived[0].key[:12], store=store)}")


def _day(when: int) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d")


def _model(one: Lived) -> str:
    found = one.provenance
    return str(found.get("model") or found.get("requested_model") or "")


def _cost(one: Lived) -> float | None:
    found = one.provenance.get("cost_usd")
    return float(found) if isinstance(found, (int, float)) else None
