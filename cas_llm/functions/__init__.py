"""`@cached`: a function call as a request, keyed, redacted, taped and replayed like any other."""

from __future__ import annotations

from cas_llm.functions.calls import Cached, cached

__all__ = ["Cached", "cached"]
