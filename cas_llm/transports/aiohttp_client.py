"""`aiohttp`: what a session gets from its connector, and what it reads from it.

The connector is asked once for each attempt, redirects and middleware included, so that all of
the session's work on the response stays aiohttp's. In a hit the connection is one that leads
nowhere and has the answer; in a live call it is the connector's own, and the body is overheard.
Where somebody else put a mock in the session's or the connector's place, the adapter stands aside.
"""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from types import ModuleType
from typing import Any

from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_reqrep import ClientResponse

from cas_llm import tripwire
from cas_llm.patching import Ledger
from cas_llm.session import Forward, Pass, Serve, policy
from cas_llm.session.bindings import Binding, current
from cas_llm.transports.aiohttp_body import LiveBody, ServedConnection
from cas_llm.transports.asking import begin, is_settled, outcome_async
from cas_llm.transports.httpx_family import is_genuine
from cas_llm.transports.over_aiohttp import session_is_mocked
from cas_llm.wire import Headers, Request

_EXCHANGE = "_cas_llm_exchange"
_DECODES = "_cas_llm_decodes"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
AsyncCall = Callable[..., Awaitable[Any]]


def patch_connector(module: ModuleType, ledger: Ledger) -> None:
    """Wrap the connectors of *module* (`aiohttp.connector`) and the responses over them.

    The tripwire's own wrapper of the same method must be on already: it asks about connections.
    """
    if not is_genuine(inspect.unwrap(module.BaseConnector.connect), "aiohttp"):
        return
    ledger.wrap(module.BaseConnector, "connect", _connect)
    ledger.wrap(module.ResponseHandler, "set_response_params", _set_response_params)
    ledger.wrap(ClientResponse, "start", _start)
    ledger.wrap(ClientResponse, "__aexit__", _aexit)


def _connect(call: AsyncCall) -> AsyncCall:
    async def connect(connector: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        binding = current()
        if binding is None or is_settled() or _is_mocked(connector) or "upgrade" in req.headers:
            return await call(connector, req, *args, **kwargs)
        asked = Request(req.method.upper(), str(req.url), _wire_headers(req.headers))
        if not _may_count(asked, req.body, binding):
            return await call(connector, req, *args, **kwargs)
        action = await outcome_async(begin(binding, replace(asked, body=await _whole(req))))
        if isinstance(action, Serve):
            return ServedConnection(connector, req, action)
        for name in policy.CONTROL_HEADERS:
            req.headers.popall(name, None)
        if isinstance(action, Pass):
            return await call(connector, req, *args, **kwargs)
        exchange = _Exchange(action, asked.host)
        try:
            connection = await call(connector, req, *args, **kwargs)
        except BaseException as error:
            exchange.give_up(error)
            raise
        setattr(connection, _EXCHANGE, exchange)
        connection.add_callback(exchange.connection_is_over)
        return connection

    return connect


class _Exchange:
    """One live request from its connection to its response's head."""

    def __init__(self, action: Forward, host: str) -> None:
        self.sent = False
        self._recorder = action.recorder
        self._held = ExitStack()
        self._held.enter_context(tripwire.allowed(host))

    def give_up(self, error: BaseException | None = None) -> None:
        """The call broke before there was a response."""
        self._recorder.fail(error)
        self._held.close()

    def connection_is_over(self) -> None:
        """The connection was closed or handed back: after the body, or before all was sent."""
        if self.sent:
            self._held.close()
        else:
            self.give_up()

    async def begin(self, response: Any, *, decodes: bool) -> None:
        """The head of *response* came in; its body is overheard from now on."""
        headers = _wire_headers(response.headers)
        if decodes:
            # What comes out of aiohttp's parser is decoded.
            headers = tuple(pair for pair in headers if not _is_decoded(*pair))
        self._recorder.head(response.status, headers, ())
        body = LiveBody(response.content, self._recorder, self._held.close)
        response.content = body
        if response.status in _REDIRECTS:
            # aiohttp throws it away unread; the hop is recorded whole.
            await body.wait_eof()
        elif body.has_come:
            await body.settle()


def _set_response_params(call: Callable[..., Any]) -> Callable[..., Any]:
    def set_response_params(handler: Any, *args: Any, **kwargs: Any) -> Any:
        setattr(handler, _DECODES, kwargs.get("auto_decompress", True))
        return call(handler, *args, **kwargs)

    return set_response_params


def _start(call: AsyncCall) -> AsyncCall:
    async def start(response: Any, connection: Any) -> Any:
        exchange: _Exchange | None = connection.__dict__.pop(_EXCHANGE, None)
        if exchange is None:
            return await call(response, connection)
        decodes = getattr(connection.protocol, _DECODES, True)
        exchange.sent = True
        try:
            started = await call(response, connection)
            await exchange.begin(response, decodes=decodes)
        except BaseException as error:
            exchange.give_up(error)
            raise
        return started

    return start


def _aexit(call: AsyncCall) -> AsyncCall:
    async def __aexit__(response: Any, *about: Any) -> Any:  # noqa: N807 - wraps that method
        if isinstance(response.content, LiveBody):
            # Here it can be written off the loop; the release that follows can't wait.
            await response.content.leave()
        return await call(response, *about)

    return __aexit__


def _may_count(asked: Request, body: Any, binding: Binding) -> bool:
    """Whether reading the body is worth while; an upload that can't count stays a stream."""
    session = binding.session
    if session.every_request or isinstance(body, bytes | payload.BytesPayload):
        return True
    return policy.may_count(asked, session.settings, session.runtime.matched)


async def _whole(req: Any) -> bytes:
    """All of a request's body; one that can be read only once is replaced by its bytes."""
    body = req.body
    if isinstance(body, payload.BytesPayload):
        return bytes(body._value)  # noqa: SLF001 - as_bytes is of aiohttp 3.12
    if not isinstance(body, payload.Payload):
        return bytes(body or b"")
    collected = _Collector()
    await body.write(collected)
    if hasattr(body, "close"):
        await body.close()
    again = payload.BytesIOPayload(io.BytesIO(collected.data))
    setattr(req, "_body" if hasattr(type(req), "_body") else "body", again)
    return bytes(collected.data)


class _Collector(AbstractStreamWriter):
    """Keeps what a body writes."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, chunk: Any) -> None:
        self.data += chunk

    async def write_eof(self, chunk: bytes = b"") -> None:
        self.data += chunk

    async def drain(self) -> None:
        """Nothing waits to be sent."""

    def enable_compression(self, *_args: Any, **_kwargs: Any) -> None:
        """A body is compressed on its way out, not here."""

    def enable_chunking(self) -> None:
        """A body is cut on its way out, not here."""

    async def write_headers(self, status_line: str, headers: Any) -> None:
        """There are none."""


def _wire_headers(headers: Any) -> Headers:
    return tuple((name.lower(), value) for name, value in headers.items())


def _is_decoded(name: str, value: str) -> bool:
    return name == "content-encoding" and value.strip().lower() in _decoded_codings()


@lru_cache(maxsize=1)
def _decoded_codings() -> frozenset[str]:
    """The content codings that aiohttp's parser undoes, or fails at."""
    compression = sys.modules.get("aiohttp.compression_utils")
    zstd = {"zstd"} if hasattr(compression, "ZSTDDecompressor") else set()
    return frozenset({"gzip", "deflate", "br", *zstd})


def _is_mocked(connector: Any) -> bool:
    """Whether somebody else answers for the session, or in place of the connector's sockets."""
    return session_is_mocked() or not _opens_sockets(type(connector))


def _opens_sockets(connector: type) -> bool:
    """Whether the class is, or is built on, a connector of aiohttp's that connects."""
    for base in connector.__mro__:
        if base.__module__ == "aiohttp.connector" and "_create_connection" in vars(base):
            create = vars(base)["_create_connection"]
            return base.__name__ != "BaseConnector" and is_genuine(create, "aiohttp")
    return False
