"""Where a test's or a fixture's function stands: its file and first line."""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Callable
from typing import Any

import pytest

FOREIGN = frozenset({"site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox"})
"""Folders whose code is not the project's own, though they may lie in it."""

_DEFINITION = re.compile(r"\s*(async\s+)?def\s")
_LONGEST_DECORATION = 500


def origin_of(item: pytest.Item) -> tuple[str, int] | None:
    """File and first line of the test's own function; None for a test that has none."""
    function = getattr(item, "function", None)
    return None if function is None else origin_of_function(function)


def origin_of_function(function: Callable[..., Any]) -> tuple[str, int] | None:
    """File and first line of *function* under all that wraps it."""
    inner = inspect.unwrap(function)
    # hypothesis keeps the user's own function here, not in `__wrapped__`.
    inner = getattr(getattr(inner, "hypothesis", None), "inner_test", inner)
    code = getattr(inner, "__code__", None)
    return None if code is None else (code.co_filename, code.co_firstlineno)


def definition_of(path: str, first: int) -> int:
    """The line of the ``def`` of a function whose text, decorators and all, begins at *first*."""
    if not linecache.getline(path, first).lstrip().startswith("@"):
        return first
    for number in range(first, first + _LONGEST_DECORATION):
        if _DEFINITION.match(linecache.getline(path, number)):
            return number
    return first
