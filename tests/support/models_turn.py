"""One local model at a time, however many workers run tests.

A model computes on every core and waits for its threads by spinning: two of them on one machine
take many times as long as one after the other.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def models_turn() -> Iterator[None]:
    """No other test that asks for its turn runs a model during the block."""
    if sys.platform == "win32":
        yield
        return
    place = Path(tempfile.gettempdir(), f"cas-llm-tests-model-{os.getuid()}.lock")
    with place.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
