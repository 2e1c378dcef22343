"""Mend a store in the middle of a merge: both sides' recordings stay, each under its own bytes.

A file's name says its bytes, so that no recording is ever really in conflict. `plan` finds what is
not as it must be, `apply` writes the work tree. Git's index is left to whoever merges.
"""

from __future__ import annotations

from cas_llm import gitrepo
from cas_llm.store import layout
from cas_llm.store.files import Writer, cannot_write
from cas_llm.store.past.memory import Memory
from cas_llm.store.past.merged import ASIDE, REPLACED, Mending, Resolution, read_or_none
from cas_llm.store.pruning.naming import RecordParts


def plan(memory: Memory, parts_of: RecordParts) -> Resolution | None:
    """What is to be done about the merge that goes on; None where none does.

    Raises:
        FormatTooNew: a side was written by a later version.

    """
    if memory.top is None:
        return None
    merge = gitrepo.merging(memory.top)
    conflicts = gitrepo.sides_in_index(memory.top, memory.folder)
    if merge is None and not conflicts:
        return None
    return Mending(memory, merge, conflicts).resolution(parts_of)


def apply(memory: Memory, found: Resolution) -> None:
    """Write what *found* says, what is named before what names it.

    Raises:
        StoreError: a file could not be written; the merge can be mended again.

    """
    root = memory.root
    writer = Writer(root / layout.LOCAL / "tmp", durable=True)
    path = root
    try:
        for step in found.steps:
            path = root / step.path
            there = read_or_none(path)
            if there is not None and there != step.data and step.what in {REPLACED, ASIDE}:
                writer.add(root / layout.LOCAL / "bad" / path.name, there)
            if step.data is not None and there != step.data:
                writer.replace(path, step.data)
            elif step.what == ASIDE:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
