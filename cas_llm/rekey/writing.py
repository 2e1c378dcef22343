"""Writing a plan: records first, then what names them, so that whatever stops it loses nothing.

Adds files only. A scope whose new take is there replays from it, any other one as before, and
planning and writing again finishes.
"""

from __future__ import annotations

from collections.abc import Callable

from cas_llm.keys import KeyRecord
from cas_llm.rekey.plan import Plan
from cas_llm.store import Store, layout


def write(store: Store, plan: Plan, *, seen: Callable[[int], None] = lambda _: None) -> None:
    """Write *plan* into *store*; *seen* is told how many files were written.

    Raises:
        StoreError: the file system refused; what was written stays and does no harm.

    """
    store.prepare()
    for record in plan.records.values():
        store.write(_files(record))
        seen(1)
    # On the disk before a tape names them, also where the machine stops.
    store.flush()
    for tape in plan.tapes:
        store.add_tape(tape)
        seen(1)
    for entry in plan.shared:
        store.add_shared(entry)
        seen(1)
    for waiting, record in plan.waiting:
        store.pending.rekey(waiting, record.key, _files(record))
    store.flush()


def _files(record: KeyRecord) -> dict[str, bytes]:
    """The store paths and bytes of a key record, its parts first."""
    files = {
        layout.sharded(layout.OBJECTS, digest, part.ext): part.data
        for digest, part in record.parts.items()
    }
    return files | {layout.sharded(layout.REQUESTS, record.key): record.data}
