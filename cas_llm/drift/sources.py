"""Where the two states of a store come from: a commit, or nothing, and the work tree.

Reads git and the disk; a tape that both have is read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cas_llm.drift.changes import Sides
from cas_llm.drift.shelf import Shelf
from cas_llm.store import Store, layout
from cas_llm.store.past.entries import About, entries, is_tape, shared_at
from cas_llm.store.past.memory import Memory
from cas_llm.store.pruning.live import Entries
from cas_llm.store.pruning.trees import Tree, on_disk
from cas_llm.store.tape import Tape


def opened(memory: Memory, commit: str) -> tuple[Sides, Shelf]:
    """The store at *commit* and as its files are now; an empty *commit* held nothing."""
    disk = on_disk(memory.root)
    past = memory.at(commit) if commit else None
    before = past.names if past else frozenset()
    here = entries(disk, About())
    gone = entries(past, About(), past.names - disk.names) if past else Entries()
    tapes: Mapping[str, Tape] = {**here.tapes, **gone.tapes}
    kept = Entries(
        {name: tape for name, tape in tapes.items() if name in before},
        {name: one for name in before if (one := shared_at(name)) is not None},
    )
    damaged = {name for name in (*disk.names, *before) if is_tape(name)} - tapes.keys()
    places = [disk, *([past] if past else []), *_pending(memory.root)]
    return Sides(kept, here, tuple(sorted(damaged))), Shelf(places)


def _pending(root: Path) -> list[Tree]:
    """The answers that wait, a place for each run."""
    pending = Store(root).pending
    runs = dict.fromkeys(waiting.run for waiting in pending.all())
    return [on_disk(pending.root / run, "pending", near=False) for run in runs]


def uncommitted(memory: Memory) -> frozenset[str]:
    """The store paths of the recordings that HEAD does not hold."""
    head = memory.at("HEAD")
    recordings = {n for n in on_disk(memory.root).names if layout.is_blob(n) or layout.is_entry(n)}
    return frozenset(recordings - (head.names if head else frozenset()))
