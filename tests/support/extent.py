"""How much a slow test does: enough for each change, or all that a promise was proved with once.

``CAS_LLM_THOROUGH=1`` asks for all of it, which takes about an hour: ``make test-thorough``.
"""

from __future__ import annotations

import os

THOROUGH = bool(os.environ.get("CAS_LLM_THOROUGH"))


def extent(bounded: int, full: int) -> int:
    """*full* where all is asked for, else *bounded*."""
    return full if THOROUGH else bounded
