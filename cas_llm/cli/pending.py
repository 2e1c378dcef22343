"""`cas-llm pending`: answers that were paid for and wait for their test: list, accept, drop."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from cas_llm.cli import held, naming
from cas_llm.cli.held import Item
from cas_llm.cli.hints import shown
from cas_llm.cli.options import JsonOption, StoreOption, settings_of
from cas_llm.session.catalogue import age_text, latest_tape
from cas_llm.session.scopes import SHARED
from cas_llm.store import Shared, Store, Tape, pick
from cas_llm.store.pending import Waiting
from cas_llm.store.tape import Turn


class Action(StrEnum):
    """What to do with pending answers."""

    LIST = "list"
    ACCEPT = "accept"
    DROP = "drop"


@dataclass(frozen=True)
class Accepted:
    """What accepting wrote."""

    answers: int
    tapes: tuple[Tape, ...]
    shared: tuple[Shared, ...]


def accept(store: Store, chosen: Sequence[Item]) -> Accepted:
    """Bring the *chosen* answers into the store, without a test that vouches for them.

    A scope gets a new take of its tape of the highest take, with these turns replaced or
    appended; what was recorded outside any scope becomes shared entries. Answers are written
    before what names them, and leave pending last.

    Raises:
        CasLLMError: one of them can't be read; nothing was written.

    """
    held.refuse_broken(chosen)
    scopes: dict[str, list[Item]] = {}
    for item in held.newest(chosen):
        scopes.setdefault(item.waiting.scope, []).append(item)
    digests = {item.waiting.digest for group in scopes.values() for item in group}
    added = [digest for digest in sorted(digests) if not store.objects.has(digest)]
    for digest in added:
        store.promote(digest)
    store.flush()
    tapes, shared = [], []
    for scope, group in scopes.items():
        if scope == SHARED:
            shared += [_share(store, item.waiting) for item in group]
        elif (tape := _new_tape(store, scope, group)) is not None:
            store.add_tape(tape)
            tapes.append(tape)
    store.flush()
    store.pending.release([item.waiting for item in chosen])
    return Accepted(len(added), tuple(tapes), tuple(shared))


def drop(store: Store, chosen: Sequence[Item]) -> None:
    """Forget the *chosen* answers; what they cost is lost."""
    store.pending.release([item.waiting for item in chosen])


def document(item: Item) -> dict[str, Any]:
    """A pending answer as JSON."""
    waiting, answer = item.waiting, item.answer
    return {
        "scope": waiting.scope,
        "key": waiting.key,
        "ordinal": waiting.ordinal,
        "digest": waiting.digest,
        "run": waiting.run,
        "began": datetime.fromtimestamp(waiting.began, UTC).isoformat(timespec="seconds"),
        "captured": waiting.captured,
        "cost_usd": item.cost,
        "ask": list(answer.ask) if answer else [],
        "answer": list(answer.answer) if answer else [],
        "problem": item.problem,
        "at_work": bool(item.worker),
    }


def pending(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.LIST,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Only this request's.", show_default=False)
    ] = "",
    *,
    test: Annotated[str, typer.Option("--test", help="Only this test's.")] = "",
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List, accept or drop answers that wait for their test to pass.

    A passing `pytest --cas-llm=fallback` takes them in by itself, at no cost. `accept` does so
    without a test, `drop` gives them up. What a run holds that still works is left to it.
    """
    from cas_llm.cli.output import counted, print_json, say

    place = Store(settings_of(store).store)
    found = held.items(place)
    if action is Action.LIST:
        chosen = held.select(found, key=key, test=test) if key or test else found
        print_json([document(item) for item in chosen]) if as_json else _print(chosen)
        return
    meant = held.select(found, key=key, test=test, every=every)
    chosen, done = held.free(meant), None
    if action is Action.ACCEPT:
        done = accept(place, chosen)
    else:
        drop(place, chosen)
    if as_json:
        tapes = [tape.path(place.root).as_posix() for tape in done.tapes] if done else []
        answers = [document(item) for item in chosen]
        print_json({"action": action.value, "answers": answers, "tapes": tapes})
    elif done:
        _print_accepted(done, place)
    else:
        _print_dropped(chosen)
    if not as_json and (left := len(meant) - len(chosen)):
        say(f"{counted(left, 'answer')} left to a run that still works")


def _new_tape(store: Store, scope: str, group: Iterable[Item]) -> Tape | None:
    """The scope's next tape, or None if it would say what its last one says."""
    own = store.manifest.tapes_of(scope)
    latest = latest_tape(own)
    turns = list(latest.turns) if latest else []
    for item in group:
        waiting, answer = item.waiting, item.answer
        if answer is None:
            continue
        turn = Turn(waiting.key, waiting.digest, answer.ask, answer.answer)
        held = [n for n, other in enumerate(turns) if other.key == waiting.key]
        if waiting.ordinal <= len(held):
            at = held[waiting.ordinal - 1]
            turns[at] = replace(turns[at], digest=turn.digest, ask=turn.ask, answer=turn.answer)
        else:
            turns.append(turn)
    if latest is not None and list(latest.turns) == turns:
        return None
    take = max((tape.take for tape in own), default=-1) + 1
    return Tape(scope, take, latest.source if latest else "", tuple(turns))


def _share(store: Store, waiting: Waiting) -> Shared:
    """Write the shared entry: a new take where all was asked anew, else one more of the last."""
    entries = store.manifest.shared_of(waiting.key)
    take, run = max((entry.take for entry in entries), default=-1) + 1, waiting.run
    if entries and not waiting.captured:
        current = pick.leading_run(entries)[0]
        take, run = current.take, current.run
    mine = [entry.take for entry in entries if entry.run == run]
    # A run has one take per key, also where its answers are accepted one by one.
    entry = Shared(waiting.key, min(mine) if mine else take, run, waiting.ordinal, waiting.digest)
    store.add_shared(entry)
    return entry


def _print(found: Sequence[Item]) -> None:
    from cas_llm.cli.output import counted, print_table, say
    from cas_llm.prices import money

    if not found:
        say("Nothing waits.")
        return
    now = datetime.now(UTC)
    rows = []
    for item in found:
        began = datetime.fromtimestamp(item.waiting.began, UTC)
        ask = " ".join(item.answer.ask)[:40] if item.answer else ""
        says = " ".join(item.answer.answer)[:60] if item.answer else "cannot be read"
        age, cost = age_text(began, now), money(item.cost)
        key = naming.short(item.waiting.key)
        whose = item.waiting.scope + "   (its run still works)" * bool(item.worker)
        rows.append((key, age, cost, f"{whose}\n> {ask}\n< {says}"))
    print_table(("key", "age", "cost", "for, ask and answer"), rows, right=("age", "cost"))
    say(
        f"{counted(len(found), 'answer')} waiting. Next: pytest --cas-llm=fallback takes in those "
        "whose test passes, at no cost;"
    )
    say("  without a test: cas-llm pending accept KEY|--test ID|--all; give up: … drop …")


def _print_accepted(done: Accepted, store: Store) -> None:
    from cas_llm.cli.output import counted, say

    say(f"accepted {counted(done.answers, 'new answer')}")
    for tape in done.tapes:
        say(f"  {tape.scope}: take {tape.take}, {counted(len(tape.turns), 'turn')}")
    for entry in done.shared:
        say(f"  shared: {naming.short(entry.key)}, take {entry.take}, ask {entry.ordinal}")
    tests = [tape.scope for tape in done.tapes if not tape.scope.startswith("use::")]
    run = f"pytest {shlex.quote(tests[0])}" if len(tests) == 1 else "pytest"
    say(f"Next: {run} && git add {shown(store.root)}")


def _print_dropped(chosen: Sequence[Item]) -> None:
    from cas_llm.cli.output import counted, say
    from cas_llm.prices import about

    paid = sum(item.cost or 0.0 for item in chosen)
    say(f"dropped {counted(len(chosen), 'answer')}; recording them anew costs {about(paid)}")
