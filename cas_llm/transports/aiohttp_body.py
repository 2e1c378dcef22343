"""Bodies as aiohttp's readers see them: a live one that is overheard, and a recorded one.

Both fetch their next piece when somebody reads and there is none left, so that every way of
reading (`read`, `readline`, `iter_any`, `iter_chunks`) is aiohttp's own. Only `aiohttp_client`
uses it; nothing here decides anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpVersion11
from aiohttp.streams import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy

from cas_llm.session.actions import Serve
from cas_llm.session.recorder import Recorder
from cas_llm.transports.asking import is_in_pieces, reason, served_headers
from cas_llm.transports.streams import in_thread, pieces

_LIMIT = 2**16


class _NoProtocol:
    """What a reader would slow down; here it fetches only what is wanted."""

    connected = True
    _reading_paused = False

    def pause_reading(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing comes unasked."""

    resume_reading = pause_reading


class _FetchedBody(StreamReader):
    """A reader that fetches what it has none of; `_fetch` is what a subclass defines."""

    def __init__(self, limit: int, *, timer: Any = None) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(_NoProtocol(), limit, timer=timer, loop=loop)  # type: ignore[arg-type]

    async def _wait(self, func_name: str) -> None:
        if self._exception is not None:
            raise self._exception
        await self._fetch(func_name)

    async def wait_eof(self) -> None:
        """See `StreamReader.wait_eof`; what is left is fetched, since nothing comes unasked."""
        while not self._eof:
            await self._wait("wait_eof")

    async def _fetch(self, func_name: str) -> None:
        raise NotImplementedError

    def _take(self, piece: bytes, *, ends_chunk: bool) -> None:
        if piece:
            self.feed_data(piece, len(piece))
        if ends_chunk:
            self.end_http_chunk_receiving()


class LiveBody(_FetchedBody):
    """Hands on what comes out of *inner* and tells the recorder of it."""

    def __init__(
        self, inner: StreamReader, recorder: Recorder, release: Callable[[], None]
    ) -> None:
        limit = getattr(inner, "_low_water", _LIMIT)
        super().__init__(limit)
        self._inner = inner
        self._recorder = recorder
        self._release = release
        self.begin_http_chunk_receiving()

    @property
    def has_come(self) -> bool:
        """Whether there is nothing left to fetch."""
        return self._inner.at_eof()

    async def _fetch(self, func_name: str) -> None:  # noqa: ARG002 - the name is for messages
        self._recorder.reading()
        try:
            piece, ends_chunk = await self._inner.readchunk()
        except Exception as error:
            # A cancelled reader leaves early, it does not break the call.
            self._recorder.fail(error)
            raise
        if piece:
            self._recorder.chunk(piece)
        if self._inner.at_eof() or not (piece or ends_chunk):
            self._take(piece, ends_chunk=ends_chunk)
            await self.settle()
        else:
            self._take(piece, ends_chunk=ends_chunk)

    async def settle(self) -> None:
        """The body is complete."""
        if not self._recorder.over:
            await in_thread(self._recorder.end)
        self._release()
        if not self._eof:
            self.feed_eof()

    async def leave(self) -> None:
        """The reader is done, whether or not it read all of it."""
        if not self._recorder.over:
            await in_thread(self._recorder.close)

    def set_exception(self, exc: Any, *cause: Any) -> None:
        """See `StreamReader.set_exception`; aiohttp calls it when the response is let go."""
        super().set_exception(exc, *cause)
        if self._inner.exception() is None:
            self._inner.set_exception(exc, *cause)
        self._recorder.close()
        self._release()

    def __del__(self) -> None:
        # Nobody closed it; whoever waits for the answer must not wait for ever.
        self._recorder.leave()
        self._release()


class _ServedBody(_FetchedBody):
    """Plays a recorded body back."""

    def __init__(self, serve: Serve, limit: int, timer: Any) -> None:
        super().__init__(limit, timer=timer)
        self._pieces = pieces(serve)
        self._read_on = serve.read_on
        self._in_chunks = is_in_pieces(serve)
        if self._in_chunks:
            self.begin_http_chunk_receiving()

    async def _fetch(self, func_name: str) -> None:  # noqa: ARG002 - the name is for messages
        piece, wait = next(self._pieces, (b"", 0.0))
        if piece:
            with self._timer:
                await asyncio.sleep(wait)
            self._take(piece, ends_chunk=self._in_chunks)
        elif self._read_on is not None:
            raise self._read_on()
        else:
            self.feed_eof()


class _Nowhere(asyncio.Transport):
    """Takes what is written and sends it nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = False

    def write(self, data: Any) -> None:
        """Forget *data*."""

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True

    abort = close


class _ServedHandler(ResponseHandler):
    """The protocol of a connection that has one response to give."""

    def __init__(self, message: Any, body: StreamReader) -> None:
        super().__init__(asyncio.get_running_loop())
        self.transport = _Nowhere()
        self._served = (message, body)

    def set_response_params(self, **_params: Any) -> None:
        """Nothing is parsed, and nothing takes its time."""

    async def read(self) -> Any:
        return self._served


class ServedConnection(Connection):
    """A connection that leads nowhere and gives the answer of *serve* to *req*."""

    def __init__(self, connector: Any, req: Any, serve: Serve) -> None:
        session = getattr(req, "_session", None)
        limit = getattr(session, "_read_bufsize", None) or _LIMIT
        body = _ServedBody(serve, limit, getattr(req, "_timer", None))
        headers = served_headers(serve, req.method)
        message = SimpleNamespace(
            version=HttpVersion11,
            code=serve.response.status,
            reason=reason(serve),
            headers=CIMultiDictProxy(CIMultiDict(headers)),
            raw_headers=tuple((name.encode(), value.encode()) for name, value in headers),
        )
        handler = _ServedHandler(message, body)
        super().__init__(connector, req.connection_key, handler, asyncio.get_running_loop())

    def close(self) -> None:
        """See `Connection.close`; the connector knows nothing of this one."""
        self._notify_release()
        self._protocol = None

    release = close

    def __del__(self, *_args: Any) -> None:
        """Nothing is held."""
