"""How a hook ends before its time: whatever ends it, what it started ends with it.

A program that is told to end by SIGTERM or SIGHUP leaves its children running and its temporary
folders lying, unless it takes the signal for what Ctrl-C is. Nothing is imported for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def as_interrupt() -> Iterator[None]:
    """Within the context SIGTERM and SIGHUP raise `KeyboardInterrupt`, as SIGINT does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(one, signal.signal(one, _interrupt)) for one in _SIGNALS]
    try:
        yield
    finally:
        for one, handler in before:
            signal.signal(one, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as they are called
    raise KeyboardInterrupt
