"""One client of `httpx` or `httpx2` at a time: for the clients that are recorded wherever they are.

Nothing is patched. The client's own transports are put inside one that asks a session about each
request that names where it belongs, and hands every other request on untouched.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from cas_llm.session.bindings import Binding
from cas_llm.transports.asking import settled
from cas_llm.transports.httpx_family import DECIDED, Adapter, is_genuine, pool_is_mocked

EXTENSION = "cas_llm_binding"
"""The extension of a request that says, when called, which session and scope it belongs to."""

_OURS = Adapter.handle.__code__.co_filename
Bind = Callable[[], Binding]


def watch(client: Any) -> None:
    """Put each transport of *client* inside one that heeds `EXTENSION`; twice is the same as once.

    The client may be anybody's: requests that carry no such extension pass as before.
    """
    recorded = _recorded(_library_of(client), hasattr(client, "aclose"))
    client._transport = recorded(client._transport)  # noqa: SLF001 - httpx has no other way
    client._mounts = {  # noqa: SLF001
        pattern: mount and recorded(mount)
        for pattern, mount in client._mounts.items()  # noqa: SLF001
    }


def _library_of(client: Any) -> str:
    """`httpx` or `httpx2`: whichever the client's class comes from."""
    for base in type(client).__mro__:
        name = base.__module__.partition(".")[0]
        if name in {"httpx", "httpx2"}:
            return name
    raise TypeError(f"http_client must be a client of httpx or httpx2, not {type(client)!r}")


@lru_cache
def _recorded(name: str, is_async: bool) -> Callable[[Any], Any]:
    """What puts a transport of the library *name* inside a recording one, unless it is in one."""
    library: Any = importlib.import_module(name)
    adapter = Adapter(library)

    class RecordedTransport(library.BaseTransport):  # type: ignore[misc]
        """Asks a session before the transport inside does."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def handle_request(self, request: Any) -> Any:
            with _decided(request) as bind:
                if bind is None or _is_mocked(self.inner, library):
                    return self.inner.handle_request(request)
                return adapter.handle(bind(), self._send, request)

        def _send(self, request: Any) -> Any:
            with settled():
                return self.inner.handle_request(request)

        def close(self) -> None:
            self.inner.close()

    class RecordedAsyncTransport(library.AsyncBaseTransport):  # type: ignore[misc]
        """Asks a session before the transport inside does."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def handle_async_request(self, request: Any) -> Any:
            with _decided(request) as bind:
                if bind is None or _is_mocked(self.inner, library):
                    return await self.inner.handle_async_request(request)
                return await adapter.handle_async(bind(), self._send, request)

        async def _send(self, request: Any) -> Any:
            with settled():
                return await self.inner.handle_async_request(request)

        async def aclose(self) -> None:
            await self.inner.aclose()

    # Some transports are both sync and async, so the client says which is wanted.
    wanted: Any = RecordedAsyncTransport if is_async else RecordedTransport
    return lambda transport: transport if isinstance(transport, wanted) else wanted(transport)


@contextmanager
def _decided(request: Any) -> Iterator[Bind | None]:
    """What `EXTENSION` of *request* holds; below, the request passes for one that is decided on.

    Afterwards its extensions are what they were: the client gives them to the next hop of a
    redirect, which must be asked about like any other request.
    """
    given = request.extensions
    bind: Bind | None = given.get(EXTENSION)
    if bind is not None:
        rest = {name: value for name, value in given.items() if name != EXTENSION}
        request.extensions = {**rest, DECIDED: True}
    try:
        yield bind
    finally:
        request.extensions = given


def _is_mocked(transport: Any, library: Any) -> bool:
    """Whether somebody else stands in a transport that would open sockets.

    A transport of another class is what its owner wants to be asked, so it is recorded.
    """
    if not isinstance(transport, (library.HTTPTransport, library.AsyncHTTPTransport)):
        return False
    return pool_is_mocked(transport) or not _is_own(type(transport), library.__name__)


def _is_own(transport: type, home: str) -> bool:
    """Whether the class's handler is the library's, or this package's around it."""
    for name in ("handle_request", "handle_async_request"):
        handler: Any = getattr(transport, name, None)
        if getattr(handler, "__code__", None) and handler.__code__.co_filename == _OURS:
            handler = getattr(handler, "__wrapped__", None)
        if handler is not None and not is_genuine(handler, home):
            return False
    return True
