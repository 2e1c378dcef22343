"""Transports that speak httpx's interface over aiohttp: the SDKs' aiohttp clients and litellm's."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from cas_llm.patching import Ledger
from cas_llm.transports.httpx_family import Adapter, is_genuine

_CLASSES = ("AiohttpTransport", "LiteLLMAiohttpTransport")


def patch_transport(module: ModuleType, ledger: Ledger) -> None:
    """Wrap the transports that *module* defines, for the library they are built on."""
    home = module.__name__.partition(".")[0]
    for name in _CLASSES:
        transport = getattr(module, name, None)
        if isinstance(transport, type) and transport.__module__ == module.__name__:
            library = _library_of(transport)
            if library is not None:
                Adapter(library).wrap(transport, ledger, _session_is_mocked, home=home)


def _library_of(transport: type) -> ModuleType | None:
    """`httpx` or `httpx2`: whichever the transport's base classes come from."""
    for base in transport.__mro__:
        name = base.__module__.partition(".")[0]
        if name in {"httpx", "httpx2"}:
            return sys.modules.get(name)
    return None


def _session_is_mocked(transport: Any) -> bool:  # noqa: ARG001 - one signature for all adapters
    aiohttp = sys.modules.get("aiohttp")
    request = getattr(getattr(aiohttp, "ClientSession", None), "_request", None)
    return request is not None and not is_genuine(request, "aiohttp")
