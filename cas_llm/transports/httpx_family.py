"""`httpx` and `httpx2`: the transports that open sockets, wrapped as classes.

Wrapping the class reaches clients made before activation, clients behind proxies and mounts, and
every SDK on top. Where somebody else replaced or patched the transport or the pool under it (a
mock), the wrapper stands aside.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from cas_llm import tripwire
from cas_llm.patching import Ledger
from cas_llm.session import Forward, Pass, Serve, policy
from cas_llm.session.actions import Mark
from cas_llm.session.bindings import Binding, current
from cas_llm.session.encodings import SAMPLES
from cas_llm.transports.asking import begin, outcome, outcome_async
from cas_llm.transports.replaced import is_handed_over
from cas_llm.transports.streams import Streams
from cas_llm.wire import Headers, Request

DECIDED = "cas_llm_decided"
"""The extension of a request that a session has decided on: the transport below only sends it."""


class Adapter:
    """The way between one library's transports and a session."""

    def __init__(self, library: ModuleType) -> None:
        self._response = library.Response
        self._readable = readable_codings(library)
        self._streams = Streams(library)

    def wrap(
        self, transport: type, ledger: Ledger, aside: Callable[[Any], bool], *, home: str
    ) -> None:
        """Wrap the sync or async handler of the class *transport*, unless a mock stands there.

        *home* is the package the genuine handler comes from; *aside* says whether a given
        transport object is mocked further down.
        """
        if is_genuine(transport.__dict__.get("handle_request"), home):
            ledger.wrap(transport, "handle_request", lambda call: self.around(call, aside))
        if is_genuine(transport.__dict__.get("handle_async_request"), home):
            ledger.wrap(transport, "handle_async_request", lambda c: self.around_async(c, aside))

    def around(self, call: Callable[..., Any], aside: Callable[[Any], bool]) -> Callable[..., Any]:
        """A handler that asks the session first, and *call* where it does not answer."""

        def handle_request(transport: Any, request: Any) -> Any:
            binding = current()
            if binding is None or aside(transport) or DECIDED in request.extensions:
                return call(transport, request)
            if not _may_count(request, binding):
                return call(transport, request)
            return self.handle(binding, functools.partial(call, transport), request)

        return handle_request

    def around_async(
        self, call: Callable[..., Any], aside: Callable[[Any], bool]
    ) -> Callable[..., Any]:
        """See `around`; *call* gives an awaitable."""

        async def handle_async_request(transport: Any, request: Any) -> Any:
            binding = current()
            if binding is None or aside(transport) or DECIDED in request.extensions:
                return await call(transport, request)
            if not _may_count(request, binding):
                return await call(transport, request)
            return await self.handle_async(binding, functools.partial(call, transport), request)

        return handle_async_request

    def handle(self, binding: Binding, call: Callable[[Any], Any], request: Any) -> Any:
        """The response to *request*: what *binding*'s session has, or what *call* brings."""
        action = outcome(begin(binding, to_wire(request, request.read())))
        if isinstance(action, Serve):
            return self._serve(action, request, self._streams.served(action))
        strip_controls(request)
        if isinstance(action, Pass):
            return call(request)
        return self._forward(call, request, action)

    async def handle_async(self, binding: Binding, call: Callable[[Any], Any], request: Any) -> Any:
        """See `handle`; *call* gives an awaitable."""
        action = await outcome_async(begin(binding, to_wire(request, await request.aread())))
        if isinstance(action, Serve):
            return self._serve(action, request, self._streams.served_async(action))
        strip_controls(request)
        if isinstance(action, Pass):
            return await call(request)
        return await self._forward_async(call, request, action)

    def _serve(self, serve: Serve, request: Any, stream: Any) -> Any:
        return self._response(
            serve.response.status,
            headers=[*serve.response.headers, ("x-cas-llm-key", serve.mark.key)],
            stream=stream,
            request=request,
            extensions={"http_version": b"HTTP/1.1", "cas_llm": serve.mark},
        )

    def _forward(self, call: Callable[[Any], Any], request: Any, action: Forward) -> Any:
        recorder = action.recorder
        allowance = tripwire.allowed(request.url.host)
        allowance.__enter__()
        try:
            response = call(request)
            self._note_head(response, action)
        except BaseException as error:
            recorder.fail(error)
            allowance.__exit__(None, None, None)
            raise
        response.stream = self._streams.live(response.stream, recorder, allowance)
        if _is_read(response):
            with contextlib.closing(response.stream) as whole:
                for _ in whole:
                    pass
        return response

    async def _forward_async(
        self, call: Callable[[Any], Any], request: Any, action: Forward
    ) -> Any:
        recorder = action.recorder
        allowance = tripwire.allowed(request.url.host)
        allowance.__enter__()
        try:
            response = await call(request)
            self._note_head(response, action)
        except BaseException as error:
            recorder.fail(error)
            allowance.__exit__(None, None, None)
            raise
        response.stream = self._streams.live_async(response.stream, recorder, allowance)
        if _is_read(response):
            async with contextlib.aclosing(response.stream) as whole:
                async for _ in whole:
                    pass
        return response

    def _note_head(self, response: Any, action: Forward) -> None:
        headers = wire_headers(response.headers)
        action.recorder.head(response.status_code, headers, self._readable)
        response.extensions = {**response.extensions, "cas_llm": Mark("live")}


def patch_library(module: ModuleType, ledger: Ledger) -> None:
    """Wrap the socket-opening transports of *module*, `httpx` or `httpx2`."""
    adapter = Adapter(module)
    home = module.__name__
    for name in ("HTTPTransport", "AsyncHTTPTransport"):
        adapter.wrap(getattr(module, name), ledger, pool_is_mocked, home=home)


@functools.cache
def readable_codings(library: ModuleType) -> frozenset[str]:
    """The content codings that *library* undoes; it depends on what is installed beside it."""

    def reads(name: str, sample: bytes) -> bool:
        head = {"content-encoding": name}
        try:
            return bool(library.Response(200, headers=head, content=sample).content == b"x")
        except library.DecodingError:
            return False

    return frozenset(name for name, sample in SAMPLES.items() if reads(name, sample))


def is_genuine(handler: Any, home: str) -> bool:
    """Whether *handler* is a function of the package *home* itself, nobody's replacement."""
    if not isinstance(handler, FunctionType):
        return False
    return home in Path(handler.__code__.co_filename).parts


_GENUINE: dict[Any, bool] = {}


def pool_is_mocked(transport: Any) -> bool:
    """Whether the connection pool under *transport* was replaced or patched."""
    pool = getattr(transport, "_pool", None)
    handler = getattr(pool, "handle_request", None) or getattr(pool, "handle_async_request", None)
    function = getattr(handler, "__func__", None)
    if function is None:
        return True
    known = _GENUINE.get(function)
    if known is None:
        known = is_genuine(function, "httpcore") or is_genuine(function, "httpcore2")
        _GENUINE[function] = known
    return not (known or is_handed_over(function))


def to_wire(request: Any, body: bytes) -> Request:
    """The wire value of a library's request."""
    return Request(request.method.upper(), str(request.url), wire_headers(request.headers), body)


def wire_headers(headers: Any) -> Headers:
    """A library's headers with lower-case names."""
    try:
        return tuple(
            [(name.decode("ascii").lower(), value.decode("ascii")) for name, value in headers.raw]
        )
    except UnicodeDecodeError:  # the library's own reading, which is three times as slow
        return tuple((name.lower(), value) for name, value in headers.multi_items())


def strip_controls(request: Any) -> None:
    """Take the per-call controls off; they are not for the provider."""
    for name in policy.CONTROL_HEADERS:
        if name in request.headers:
            del request.headers[name]


def _is_read(response: Any) -> bool:
    """Whether the transport gave a body as a whole, as mocks do, so that nobody will read it."""
    return hasattr(response, "_content")


def _may_count(request: Any, binding: Binding) -> bool:
    """Whether reading the body is worth while; an upload that can't count stays a stream."""
    if binding.session.every_request or hasattr(request, "_content"):
        return True
    return policy.may_count(
        Request(request.method, str(request.url), wire_headers(request.headers)),
        binding.session.settings,
        binding.session.runtime.matched,
    )
