"""Transports that speak httpx's interface over aiohttp: the SDKs' aiohttp clients and litellm's."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from cas_llm.patching import Ledger
from cas_llm.transports.asking import settled
from cas_llm.transports.httpx_family import Adapter, is_genuine
from cas_llm.transports.replaced import is_handed_over

_CLASSES = ("AiohttpTransport", "LiteLLMAiohttpTransport")
_STAND_INS = frozenset({"aioresponses", "vcr"})


def patch_transport(module: ModuleType, ledger: Ledger) -> None:
    """Wrap the transports that *module* defines, for the library they are built on."""
    home = module.__name__.partition(".")[0]
    for name in _CLASSES:
        transport = getattr(module, name, None)
        if isinstance(transport, type) and transport.__module__ == module.__name__:
            library = _library_of(transport)
            if library is not None:
                _Outer(library).wrap(transport, ledger, _session_is_mocked, home=home)


class _Outer(Adapter):
    """The adapter whose requests aiohttp's own is not asked about again."""

    def around_async(
        self, call: Callable[..., Any], aside: Callable[[Any], bool]
    ) -> Callable[..., Any]:
        """See `Adapter.around_async`."""

        async def send(transport: Any, request: Any) -> Any:
            with settled():
                sent: Awaitable[Any] = call(transport, request)
                return await sent

        return super().around_async(send, aside)


def _library_of(transport: type) -> ModuleType | None:
    """`httpx` or `httpx2`: whichever the transport's base classes come from."""
    for base in transport.__mro__:
        name = base.__module__.partition(".")[0]
        if name in {"httpx", "httpx2"}:
            return sys.modules.get(name)
    return None


def _session_is_mocked(transport: Any) -> bool:  # noqa: ARG001 - one signature for all adapters
    return session_is_mocked()


def session_is_mocked() -> bool:
    """Whether somebody else answers for aiohttp's sessions, rather than watch them."""
    client = sys.modules.get("aiohttp.client")
    request = getattr(getattr(client, "ClientSession", None), "_request", None)
    return client is not None and not is_handed_over(request) and _is_mock(request)


@lru_cache(maxsize=64)
def _is_mock(function: Any) -> bool:
    """Whether *function* stands in for aiohttp's own; a tracing tool's wrapper leads to that."""
    while not is_genuine(function, "aiohttp"):
        home = getattr(getattr(function, "__code__", None), "co_filename", None)
        if not isinstance(home, str) or not _STAND_INS.isdisjoint(Path(home).parts):
            return True
        function = getattr(function, "__wrapped__", None)
    return False
