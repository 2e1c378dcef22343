"""What the command line's tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cas_llm.cli.catalogue import catalogue
from cas_llm.store import Store, layout


@pytest.fixture
def damage() -> Callable[[Store, str], Path]:
    """Damages the answer to the request whose last turn is a text; gives its file."""

    def damaged(store: Store, text: str) -> Path:
        entries = catalogue(store).entries
        digest = next(entry.digest for entry in entries if entry.ask == (text,))
        path = layout.object_path(store.root, digest)
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-9])
        return path

    return damaged
