"""What runs on this machine used of a store, as it lies in its local folder; reads nothing else."""

from __future__ import annotations

from pathlib import Path

from cas_llm.store import layout
from cas_llm.store.pruning.live import UNKNOWN, CompleteRun


def last_run(root: Path) -> CompleteRun:
    """What runs on this machine know of the store at *root*; nothing where there were none."""
    if not (root / layout.LOCAL / "usage.json").is_file():
        return UNKNOWN
    from cas_llm.session import usage
    from cas_llm.store import Store

    return usage.read(Store(root)).complete_run()
