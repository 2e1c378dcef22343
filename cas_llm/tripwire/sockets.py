"""Name look-up and connect: the socket module, asyncio's event loop, uvloop's.

A selector loop of asyncio, trio, anyio, urllib3 and httpcore all come to `socket.getaddrinfo` and
`socket.socket.connect`; the loops' own methods are patched because uvloop resolves and connects
below Python, and because asyncio's race between addresses swallows what a connect raises.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any

from cas_llm.patching import Ledger
from cas_llm.tripwire.guards import (
    CONNECT,
    LOOK_UP,
    TLS_SET_UP,
    check,
    check_address,
    plain_host,
    remember,
)

Call = Callable[..., Any]
AsyncCall = Callable[..., Coroutine[Any, Any, Any]]


def patch_socket(module: ModuleType, ledger: Ledger) -> None:
    """Patch the look-ups of *module* (`socket`) and the connects of its socket class."""
    ledger.wrap(module, "getaddrinfo", _getaddrinfo)
    ledger.wrap(module, "gethostbyname", _gethostbyname)
    ledger.wrap(module, "gethostbyname_ex", _gethostbyname_ex)
    ledger.wrap(module, "create_connection", _create_connection)
    ledger.wrap(module.socket, "connect", _connect)
    ledger.wrap(module.socket, "connect_ex", _connect)


def patch_event_loop(module: ModuleType, ledger: Ledger) -> None:
    """Patch what every event loop of asyncio inherits from *module* (`asyncio.base_events`)."""
    ledger.wrap(module.BaseEventLoop, "create_connection", _loop_create_connection)


def patch_uvloop(module: ModuleType, ledger: Ledger) -> None:
    """Patch `uvloop.Loop`, the Python class over uvloop's own, which can't be changed.

    Its `sock_connect` calls the socket's own `connect`.
    """
    ledger.wrap(module.Loop, "getaddrinfo", _loop_getaddrinfo)
    ledger.wrap(module.Loop, "create_connection", _loop_create_connection)


def is_address(host: str) -> bool:
    """Whether *host* is an IP literal, so that nothing has to be looked up."""
    return ":" in host or (host.replace(".", "").isdigit() and host.count(".") == 3)


def number(port: object) -> int | None:
    """*port* as a number, if it is one."""
    if isinstance(port, int):
        return port
    return int(port) if isinstance(port, (str, bytes)) and port.isdigit() else None


def look_up(host: object, port: object = None) -> None:
    """Ask the guards about a look-up of *host*; an IP literal isn't one."""
    name = plain_host(host)
    if name and not is_address(name):
        check(name, number(port), LOOK_UP)


def _getaddrinfo(original: Call) -> Call:
    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        look_up(host, port)
        found = original(host, port, *args, **kwargs)
        remember(host, (entry[4][0] for entry in found))
        return found

    return getaddrinfo


def _gethostbyname(original: Call) -> Call:
    def gethostbyname(hostname: Any) -> Any:
        look_up(hostname)
        found = original(hostname)
        remember(hostname, (found,))
        return found

    return gethostbyname


def _gethostbyname_ex(original: Call) -> Call:
    def gethostbyname_ex(hostname: Any) -> Any:
        look_up(hostname)
        found = original(hostname)
        remember(hostname, found[2])
        return found

    return gethostbyname_ex


def _create_connection(original: Call) -> Call:
    def create_connection(address: Any, *args: Any, **kwargs: Any) -> Any:
        _ask_about(address)
        return original(address, *args, **kwargs)

    return create_connection


def _connect(original: Call) -> Call:
    def connect(self: Any, address: Any) -> Any:
        _ask_about(address)
        return original(self, address)

    return connect


def _loop_create_connection(original: AsyncCall) -> AsyncCall:
    async def create_connection(
        self: Any, protocol_factory: Any, host: Any = None, port: Any = None, **kwargs: Any
    ) -> Any:
        if host:
            _ask_about((host, port))
        if kwargs.get("ssl"):
            # Asked here, because a failure during the handshake is also reported to the loop.
            check(kwargs.get("server_hostname") or host, number(port), TLS_SET_UP)
        return await original(self, protocol_factory, host, port, **kwargs)

    return create_connection


def _loop_getaddrinfo(original: AsyncCall) -> AsyncCall:
    async def getaddrinfo(self: Any, host: Any, port: Any, **kwargs: Any) -> Any:
        look_up(host, port)
        found = await original(self, host, port, **kwargs)
        remember(host, (entry[4][0] for entry in found))
        return found

    return getaddrinfo


def _ask_about(address: Any) -> None:
    """Ask about a socket address; those of Unix sockets and other families aren't tuples."""
    if not isinstance(address, tuple) or len(address) < 2:
        return
    host, port = plain_host(address[0]), number(address[1])
    if is_address(host):
        check_address(host, port)
    else:
        check(host, port, CONNECT)
