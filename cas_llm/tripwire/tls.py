"""TLS set-up and TLS write, judged by the server name the connection was made for.

This is where a connection shows that was pooled before the guard was armed, made through a proxy,
or whose name was looked up out of sight. Never looks at the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from cas_llm.patching import Ledger
from cas_llm.tripwire.guards import TLS_SET_UP, TLS_WRITE, check

Call = Callable[..., Any]

_write_of_ssl_object: Call


def patch_ssl(module: ModuleType, ledger: Ledger) -> None:
    """Patch set-up in `SSLContext` and writes of `SSLSocket` and `SSLObject` of *module* (`ssl`).

    `SSLSocket.sendall` and `sendfile` come to `send`.
    """
    global _write_of_ssl_object  # noqa: PLW0603
    ledger.wrap(module.SSLContext, "wrap_socket", _wrap_socket)
    ledger.wrap(module.SSLContext, "wrap_bio", _wrap_bio)
    ledger.wrap(module.SSLSocket, "send", _write)
    ledger.wrap(module.SSLSocket, "write", _write)
    write = module.SSLObject.write
    if isinstance(write, FunctionType) and not write.__closure__:
        # uvloop takes the bound method once per connection, so the function itself must change.
        _write_of_ssl_object = ledger.recode(write, _asking_write())
    else:
        ledger.wrap(module.SSLObject, "write", _write)


def patch_asyncio_transport(module: ModuleType, ledger: Ledger) -> None:
    """Patch writes to a TLS transport of *module* (`asyncio.sslproto`).

    What `SSLObject.write` raises below it ends the connection instead of reaching the writer.
    """
    ledger.wrap(module._SSLProtocolTransport, "write", _transport_write)  # noqa: SLF001
    ledger.wrap(module._SSLProtocolTransport, "writelines", _transport_write)  # noqa: SLF001


def write_ssl_object(ssl_object: Any, data: Any) -> Any:
    """Write *data* as `SSLObject.write` does, after asking."""
    if not ssl_object.server_side:
        check(ssl_object.server_hostname, None, TLS_WRITE)
    return _write_of_ssl_object(ssl_object, data)


def _asking_write() -> CodeType:
    # Runs with the globals of the ssl module, hence the import inside.
    def write(self: Any, data: Any) -> Any:
        from cas_llm.tripwire.tls import write_ssl_object

        return write_ssl_object(self, data)

    return write.__code__


def _wrap_socket(original: Call) -> Call:
    def wrap_socket(  # noqa: PLR0917 - as in the ssl module
        self: Any,
        sock: Any,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: Any = None,
        session: Any = None,
    ) -> Any:
        if not server_side:
            check(server_hostname, None, TLS_SET_UP)
        return original(
            self,
            sock,
            server_side,
            do_handshake_on_connect,
            suppress_ragged_eofs,
            server_hostname,
            session,
        )

    return wrap_socket


def _wrap_bio(original: Call) -> Call:
    def wrap_bio(  # noqa: PLR0917 - as in the ssl module
        self: Any,
        incoming: Any,
        outgoing: Any,
        server_side: bool = False,
        server_hostname: Any = None,
        session: Any = None,
    ) -> Any:
        if not server_side:
            check(server_hostname, None, TLS_SET_UP)
        return original(self, incoming, outgoing, server_side, server_hostname, session)

    return wrap_bio


def _write(original: Call) -> Call:
    def write(self: Any, data: Any, *args: Any) -> Any:
        if self._sslobj is not None and not self.server_side:
            check(self.server_hostname, None, TLS_WRITE)
        return original(self, data, *args)

    return write


def _transport_write(original: Call) -> Call:
    def write(self: Any, data: Any) -> Any:
        ssl_object = self.get_extra_info("ssl_object")
        if ssl_object is not None and not ssl_object.server_side:
            check(ssl_object.server_hostname, None, TLS_WRITE)
        return original(self, data)

    return write
