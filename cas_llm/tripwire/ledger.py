"""Replaces attributes of foreign modules and classes, and puts them back exactly.

Knows nothing of sockets or guards. What was inherited before is inherited again afterwards: the
replacement is deleted, not overwritten with the inherited value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from types import CodeType, FunctionType
from typing import Any

_ABSENT = object()


class Ledger:
    """The replacements made so far, in order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Callable[..., Any]]) -> None:
        """Replace ``owner.name`` by ``make(original)``; nothing happens if there is no such name.

        What somebody else put over the replacement since then is left alone on `restore`.
        """
        original = getattr(owner, name, None)
        if original is None:
            return
        own = vars(owner).get(name, _ABSENT)
        replacement = make(original)
        update_wrapper(replacement, original)
        setattr(owner, name, replacement)

        def undo() -> None:
            if vars(owner).get(name) is not replacement:
                return
            if own is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, own)

        self._undo.append(undo)

    def recode(self, function: FunctionType, code: CodeType) -> FunctionType:
        """Give *function* the body *code*; return a twin that still has the original one.

        Unlike `wrap` this reaches bound methods that were taken before.
        """
        before = function.__code__
        twin = FunctionType(before, function.__globals__, function.__name__, function.__defaults__)
        function.__code__ = code

        def undo() -> None:
            if function.__code__ is code:
                function.__code__ = before

        self._undo.append(undo)
        return twin

    def restore(self) -> None:
        """Put everything back, last replacement first."""
        while self._undo:
            self._undo.pop()()
