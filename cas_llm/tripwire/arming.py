"""Installs the patches with the first guard and removes them with the last.

A module that isn't imported yet is patched right after its import, so that arming imports nothing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from cas_llm.tripwire import guards, libraries, sockets, tls
from cas_llm.tripwire.guards import Guard
from cas_llm.tripwire.ledger import Ledger

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec

Patch = Callable[[ModuleType, Ledger], None]

PATCHES: dict[str, Patch] = {
    "socket": sockets.patch_socket,
    "asyncio.base_events": sockets.patch_event_loop,
    "uvloop": sockets.patch_uvloop,
    "ssl": tls.patch_ssl,
    "asyncio.sslproto": tls.patch_asyncio_transport,
    "http.client": libraries.patch_http_client,
    "pycares": libraries.patch_pycares,
    "aiohttp.connector": libraries.patch_aiohttp,
}

_ledger = Ledger()


def arm(guard: Guard) -> None:
    """Ask *guard* about every attempt from now on, before the guards armed earlier.

    All armed guards must agree to an attempt. Arming a guard that is armed already changes nothing.
    """
    guards.push(guard, _install)


def disarm(guard: Guard) -> None:
    """Ask *guard* no more; after the last one every patched attribute is what it was.

    Disarming a guard that isn't armed changes nothing.
    """
    guards.drop(guard, _remove)


def _install() -> None:
    sys.meta_path.insert(0, _finder)
    for name, patch in PATCHES.items():
        module = sys.modules.get(name)
        # A module whose import is under way in another thread is patched when that ends.
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            patch(module, _ledger)


def _remove() -> None:
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    _ledger.restore()


class _PatchAfterImport:
    """Finds nothing itself: adds the patch to the end of what the other finders' loader does."""

    def __init__(self) -> None:
        self._asking = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # Another finder of this kind asks the rest of the path in turn, and so this one again.
        if fullname not in PATCHES or getattr(self._asking, "now", False):
            return None
        self._asking.now = True
        try:
            spec = _spec_of_others(self, fullname, path, target)
        finally:
            self._asking.now = False
        if spec is not None and spec.loader is not None:
            _patch_at_end(spec.loader, PATCHES[fullname])
        return spec


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


def _patch_at_end(loader: Loader, patch: Patch) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        del loader.exec_module
        if guards.guards:
            patch(module, _ledger)

    # On the instance: every import makes a loader of its own, and its class stays as it is.
    loader.exec_module = exec_module  # type: ignore[method-assign]


_finder = _PatchAfterImport()
