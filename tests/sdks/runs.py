"""A session that is a run of its own, as in a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import cas_llm
from cas_llm.session import Session
from cas_llm.session.runtime import forget


@contextlib.contextmanager
def run(mode: str, store: Path) -> Iterator[Session]:
    """Record or replay with nothing kept from before but what is on disk."""
    session = None
    try:
        with cas_llm.use(mode, store=store, name="contract") as session:
            yield session
    finally:
        if session is not None:
            forget(session.runtime)
            session.runtime.store.close()
