"""Replaces attributes of foreign modules and classes, also of modules not imported yet.

Standard library only; knows nothing of what the replacements do. Everything is put back exactly:
what was inherited before is inherited again, and what somebody else put over a replacement since
then is left alone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec

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


Patch = Callable[[ModuleType, Ledger], None]


class Patches:
    """A table of modules and what to patch in each, put on and taken off as a whole.

    A module that isn't imported yet is patched right after its import, so that installing imports
    nothing.
    """

    def __init__(self, table: Mapping[str, Patch]) -> None:
        self.table = table
        self.installed = False
        self._ledger = Ledger()
        self._finder = _PatchAfterImport(self)

    def install(self) -> None:
        """Patch what is imported, and from now on what will be."""
        self.installed = True
        sys.meta_path.insert(0, self._finder)
        for name in self.table:
            module = sys.modules.get(name)
            # A module whose import is under way in another thread is patched when that ends.
            if module is not None and not getattr(module.__spec__, "_initializing", False):
                self.apply(name, module)

    def remove(self) -> None:
        """Put everything back as it was."""
        self.installed = False
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        self._ledger.restore()

    def apply(self, name: str, module: ModuleType) -> None:
        """Patch *module*, which was imported as *name*."""
        self.table[name](module, self._ledger)


class _PatchAfterImport:
    """Finds nothing itself: adds the patch to the end of what the other finders' loader does."""

    def __init__(self, patches: Patches) -> None:
        self._patches = patches
        self._asking = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # Another finder of this kind asks the rest of the path in turn, and so this one again.
        if fullname not in self._patches.table or getattr(self._asking, "now", False):
            return None
        self._asking.now = True
        try:
            spec = _spec_of_others(self, fullname, path, target)
        finally:
            self._asking.now = False
        if spec is not None and spec.loader is not None:
            self._patch_at_end(spec.loader, fullname)
        return spec

    def _patch_at_end(self, loader: Loader, name: str) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            loader.__dict__.pop("exec_module", None)
            if self._patches.installed:
                self._patches.apply(name, module)

        # On the instance: every import makes a loader of its own, and its class stays as it is.
        loader.exec_module = exec_module  # type: ignore[method-assign]


def _spec_of_others(
    finder: object, fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    for other in tuple(sys.meta_path):
        if other is finder or not hasattr(other, "find_spec"):
            continue
        spec = other.find_spec(fullname, path, target)
        if spec is not None:
            return spec
    return None
