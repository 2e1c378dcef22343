"""The answers that wait for their test, compared with those the test is served now.

Part of the command line; writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from cas_llm.cli.held import Item, items, newest
from cas_llm.drift import Change, Compared, of_pending
from cas_llm.drift.causes import causes
from cas_llm.drift.sources import opened
from cas_llm.store import Store
from cas_llm.store.past.memory import Memory
from cas_llm.store.tape import Turn


def turns(found: Iterable[Item]) -> dict[str, list[Turn]]:
    """The newest answer to each ask, by scope, in the order they were recorded."""
    scopes: dict[str, list[Turn]] = {}
    for item in newest(found):
        waiting, answer = item.waiting, item.answer
        asked = (answer.ask, answer.answer) if answer else ((), ())
        scopes.setdefault(waiting.scope, []).append(Turn(waiting.key, waiting.digest, *asked))
    return scopes


def changes(memory: Memory) -> tuple[Change, ...]:
    """How each answer that waits differs from the one it would take the place of."""
    sides, shelf = opened(memory, "")
    return of_pending(sides.after, turns(items(Store(memory.root))), shelf)


def compared(memory: Memory) -> Compared:
    """The same as a comparison, to be told as any other is."""
    found = changes(memory)
    there = tuple(change for change in found if change.old[1])
    added: dict[str, tuple[Change, ...]] = {}
    for change in found:
        if not change.old[1]:
            added[change.name] = (*added.get(change.name, ()), change)
    recorded = {change.new[1]: change.after for change in found if change.after}
    return Compared(
        changes=there,
        causes=causes(there),
        added=added,
        recorded=tuple(said for said in recorded.values() if said),
    )
