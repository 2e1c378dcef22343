"""What changed in the answers of a store between two of its states, and how grave it is.

Sits above the store and beside the adapters: reads recordings from disk and from git, compares
them by test and request, and writes nothing. What is done about a change is the command line's.
"""

from __future__ import annotations

from cas_llm.drift.changes import Change, Compared, Sides
from cas_llm.drift.classes import CLASSES
from cas_llm.drift.comparing import compared, of_pending
from cas_llm.drift.said import Said

__all__ = ["CLASSES", "Change", "Compared", "Said", "Sides", "compared", "of_pending"]
