"""What a review decides, done: every deed adds files or moves them where they can come back from.

Part of the command line; prints nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cas_llm.cli import aside, held, pending, reviewing
from cas_llm.cli.hints import shown
from cas_llm.cli.reviewing import PENDING, SHARES, TIE, Item
from cas_llm.drift.sources import opened, uncommitted
from cas_llm.errors import CasLLMError
from cas_llm.store import Shared, Store, Tape, layout
from cas_llm.store.past.memory import Memory
from cas_llm.store.pruning import sweep
from cas_llm.store.pruning.naming import Naming
from cas_llm.store.pruning.sweep import Dead, Plan
from cas_llm.store.pruning.trees import on_disk

_REJECTED = "rejected in a review"


@dataclass(frozen=True)
class Done:
    """What was done about an item, and the command that undoes it; empty where git does."""

    item: Item
    action: str
    what: str
    undo: str


def accept(memory: Memory, item: Item, choice: int = 0, *, base: str = "HEAD") -> Done:
    """Let *item*, which is new since *base*, hold; of a tie the tape number *choice*.

    Raises:
        CasLLMError: it cannot be read or written; nothing is half done.

    """
    store = Store(memory.root)
    undo = f"cas-llm review --reject {shlex.quote(item.name)}"
    if item.kind == PENDING:
        done = pending.accept(store, item.waiting)
        takes = [f"take {tape.take}" for tape in done.tapes]
        takes += [f"shared, take {entry.take}" for entry in done.shared]
        what = f"in the store: {', '.join(takes) or 'as its tape says already'}"
        _mark(memory.root, done.tapes)
        return Done(item, "accepted", what, undo)
    if item.kind == TIE:
        chosen = item.tapes[choice]
        made = replace(chosen, take=_next(store, item.name))
        store.add_tape(made)
        store.flush()
        _mark(memory.root, [made])
        return Done(item, "accepted", f"settled by take {made.take}, without a call", undo)
    reviewing.note(memory.root, [item.seen])
    if item.committed:
        since = f"--base {shlex.quote(base)} " * (base != "HEAD")
        undo = f"cas-llm review {since}--reject {shlex.quote(item.name)}"
        return Done(item, "accepted", "it stays", undo)
    return Done(item, "accepted", f"it stays; commit it: git add {shown(memory.root)}", undo)


def refuse(item: Item, *, accepts: bool) -> None:
    """Raise CasLLMError where *item* cannot be accepted, or rejected, whatever is tried."""
    if accepts:
        held.refuse_broken(item.waiting)
    elif item.kind == TIE and len(item.tapes) > 2:
        raise CasLLMError(
            f"{item.name}: {len(item.tapes)} tapes tie; accept one by its digest: "
            + ", ".join(f"--accept {tape.digest[:12]}" for tape in item.tapes)
        )
    elif item.committed and not _before(item):
        raise CasLLMError(
            f"{item.name}: nothing else was ever answered to these very requests, so that there is "
            "nothing to go back to; ask anew: pytest --cas-llm=capture, or undo the commit: "
            "git revert"
        )


def reject(memory: Memory, item: Item) -> Done:
    """Take *item* back: what was served before is served again.

    Raises:
        CasLLMError: there is nothing before it, or it is a tie of more than two; nothing changed.

    """
    refuse(item, accepts=False)
    if item.kind == PENDING:
        aside.set_aside(Store(memory.root), [one.waiting for one in item.waiting])
        return Done(item, "rejected", "set aside", "cas-llm review --undo")
    if item.kind == TIE:
        return replace(accept(memory, item, 1), action="rejected")
    reviewing.forget(memory.root, [item.seen])
    return _recorded_back(memory, item) if item.committed else _moved(memory, item)


def _moved(memory: Memory, item: Item) -> Done:
    """Move a take that is in no commit to the trash, with what only it names."""
    from cas_llm.cli.verify import checks

    root, disk = memory.root, on_disk(memory.root)
    names = {tape.path(root).relative_to(root).as_posix() for tape in item.tapes}
    if item.kind == SHARES:
        entries = opened(memory, "")[0].after.shared
        names = {name for name, entry in entries.items() if entry in item.entries}
    calls = {(turn.key, turn.digest) for tape in item.tapes for turn in tape.turns}
    calls |= {call for tape in item.tapes for turn in tape.turns for call in turn.within}
    calls |= {(entry.key, entry.digest) for entry in item.entries}
    blobs = Naming([disk], checks().parts_of).files(calls, must_be_there=False)
    # What others name stays, and so does what is committed: `prune` is its only deleter.
    fresh = uncommitted(memory)
    if not names or not names <= fresh:
        raise CasLLMError(
            f"{item.name}: it was committed or taken out meanwhile; nothing was changed. "
            "See what there is now: cas-llm review --list"
        )
    goes = [*sorted(names), *sorted(blobs & fresh)]
    dead = tuple(Dead(name, _REJECTED, (root / name).stat().st_size) for name in goes)
    swept = sweep.sweep(Plan(root, dead, 0), checks().parts_of)
    _without_marks(memory, swept.moved)
    return Done(item, "rejected", _said(memory, item), "cas-llm prune --undo")


def _said(memory: Memory, item: Item) -> str:
    left = Store(memory.root).manifest
    if left.shared_of(item.name) if item.kind == SHARES else left.tapes_of(item.name):
        return "moved to the trash; what was served before is served again"
    return "moved to the trash; it misses until it is recorded again"


def _without_marks(memory: Memory, moved: Collection[str]) -> None:
    """Remove the marks of folders that no commit knows: nobody else's branch can lose them."""
    head = memory.at("HEAD")
    known = {name.rpartition("/")[0] for name in (head.names if head else ())}
    for folder in {name.rpartition("/")[0] for name in moved} - known:
        place = memory.root / folder
        if [path.name for path in place.iterdir()] == [layout.KEEP]:
            (place / layout.KEEP).unlink()
            place.rmdir()


def _recorded_back(memory: Memory, item: Item) -> Done:
    """Write a new take that names the answers from before: what is committed is only added to."""
    store, undo = Store(memory.root), f"cas-llm review --reject {shlex.quote(item.name)}"
    old = _before(item)
    _there(memory, store, old)
    if item.kind == SHARES:
        take = max(entry.take for entry in store.manifest.shared_of(item.name)) + 1
        # The run that recorded them, as `verify` holds an entry to its answers.
        run = store.load(item.before[0]).run
        for number, digest in reversed(list(enumerate(item.before, 1))):
            store.add_shared(Shared(item.name, take, run, number, digest))
        store.flush()
        return Done(item, "rejected", f"the answers from before are take {take}", undo)
    turns = reviewing.turns_with(item.tapes[0], item.changes)
    told = {digest: store.load(digest).answer for _, digest in old}
    shown_turns = tuple(replace(t, answer=told.get(t.digest, t.answer)) for t in turns)
    made = Tape(item.name, _next(store, item.name), item.tapes[0].source, shown_turns)
    store.add_tape(made)
    store.flush()
    _mark(memory.root, [made])
    kept = sum(change.old[0] != change.new[0] for change in item.changes)
    more = f"; {kept} with changed requests stay as they are" if kept else ""
    return Done(item, "rejected", f"the answers from before are take {made.take}{more}", undo)


def _before(item: Item) -> set[tuple[str, str]]:
    """What was answered before to the very requests that *item* answers anew."""
    return {change.old for change in item.changes if change.old[0] == change.new[0]}


def _there(memory: Memory, store: Store, calls: Collection[tuple[str, str]]) -> None:
    """Bring the answers of *calls* back into the store, where they were pruned."""
    from cas_llm.cli.verify import checks
    from cas_llm.drift.shelf import Shelf

    places = [on_disk(memory.root), *memory.near(), memory.of(memory.deletions)]
    wanted = Naming(places, checks().parts_of).files(calls, must_be_there=True)
    missing = {name for name in wanted if not (memory.root / name).exists()}
    found = Shelf(places).files(missing)
    if nowhere := sorted(missing - found.keys()):
        raise CasLLMError(f"{nowhere[0]} is nowhere any more; nothing was changed")
    store.write(dict(sorted(found.items())))


def _next(store: Store, scope: str) -> int:
    return max((tape.take for tape in store.manifest.tapes_of(scope)), default=-1) + 1


def _mark(root: Path, tapes: Sequence[Tape]) -> None:
    reviewing.note(root, [tape.digest for tape in tapes])
