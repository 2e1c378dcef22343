"""Which HTTP libraries a call goes through, seen from their front doors."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from importlib import import_module

import pytest

_DOORS = (
    ("httpx", "Client", "send"),
    ("httpx", "AsyncClient", "send"),
    ("httpx2", "Client", "send"),
    ("httpx2", "AsyncClient", "send"),
    ("aiohttp", "ClientSession", "_request"),
    ("requests", "Session", "send"),
)


@contextlib.contextmanager
def speaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The names of the libraries that send something while the block lasts."""
    heard: set[str] = set()
    with monkeypatch.context() as patch:
        for library, owner, door in _DOORS:
            try:
                target = getattr(import_module(library), owner)
            except ImportError:
                continue
            original = getattr(target, door)

            @functools.wraps(original)
            def opened(*args, _call=original, _library=library, **kwargs):
                heard.add(_library)
                return _call(*args, **kwargs)

            patch.setattr(target, door, opened)
        yield heard
