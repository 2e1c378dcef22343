"""Bodies of one HTTP library: a live one that is recorded as it is read, and a replayed one.

Made for `httpx` and `httpx2` alike: both name their stream classes the same, but neither accepts
the other's. Each body has one cursor, because a reader may iterate it a second time to drain it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

from cas_llm.session.actions import Serve
from cas_llm.session.recorder import Recorder


def pieces(serve: Serve) -> Iterator[tuple[bytes, float]]:
    """The chunks of a served body, each with the seconds to wait before it."""
    body = serve.response.body
    if not serve.response.chunks:
        if body:
            yield body, 0.0
        return
    at = 0
    waits = serve.delays or (0.0,) * len(serve.response.chunks)
    for chunk, wait in zip(serve.response.chunks, waits, strict=True):
        yield body[at : at + chunk.length], wait
        at += chunk.length


async def in_thread(call: Callable[[], None]) -> None:
    """Run *call* off the event loop, to its end even if the task is cancelled meanwhile."""
    import anyio
    from anyio import to_thread

    with anyio.CancelScope(shield=True):
        await to_thread.run_sync(call)


async def pause(seconds: float) -> None:
    """Sleep without blocking the loop, asyncio's or trio's."""
    import anyio

    await anyio.sleep(seconds)


class Streams:
    """The four stream classes of one library."""

    def __init__(self, library: ModuleType) -> None:
        self.live = _live(library.SyncByteStream)
        self.live_async = _live_async(library.AsyncByteStream)
        self.served = _served(library.SyncByteStream)
        self.served_async = _served_async(library.AsyncByteStream)


def _live(base: Any) -> Any:
    class LiveStream(base):  # type: ignore[misc]
        """Hands each chunk on as it comes, and tells the recorder of it."""

        def __init__(
            self, inner: Any, recorder: Recorder, allowance: AbstractContextManager[Any]
        ) -> None:
            self._inner = inner
            self._recorder = recorder
            self._allowance = allowance
            self._chunks: Any = None

        def __iter__(self) -> Iterator[bytes]:
            if self._chunks is None:
                self._chunks = iter(self._inner)
            try:
                while True:
                    self._recorder.reading()
                    chunk = next(self._chunks, None)
                    if chunk is None:
                        break
                    self._recorder.chunk(chunk)
                    yield chunk
            except GeneratorExit:
                raise
            except BaseException as error:
                self._recorder.fail(error)
                raise
            self._recorder.end()

        def close(self) -> None:
            try:
                self._inner.close()
            finally:
                self._recorder.close()
                self._allowance.__exit__(None, None, None)

        def __del__(self) -> None:
            # Nobody closed it; whoever waits for the answer must not wait for ever.
            self._recorder.leave()

    return LiveStream


def _live_async(base: Any) -> Any:
    class LiveAsyncStream(base):  # type: ignore[misc]
        """Hands each chunk on as it comes, and tells the recorder of it."""

        def __init__(
            self, inner: Any, recorder: Recorder, allowance: AbstractContextManager[Any]
        ) -> None:
            self._inner = inner
            self._recorder = recorder
            self._allowance = allowance
            self._chunks: Any = None

        async def __aiter__(self) -> AsyncIterator[bytes]:
            if self._chunks is None:
                self._chunks = self._inner.__aiter__()
            try:
                while True:
                    self._recorder.reading()
                    chunk = await anext(self._chunks, None)
                    if chunk is None:
                        break
                    self._recorder.chunk(chunk)
                    yield chunk
            except GeneratorExit:
                raise
            except BaseException as error:
                if not isinstance(error, Exception):
                    # A cancelled reader leaves early, it does not break the call.
                    raise
                self._recorder.fail(error)
                raise
            await in_thread(self._recorder.end)

        async def aclose(self) -> None:
            try:
                await self._inner.aclose()
            finally:
                if not self._recorder.over:
                    await in_thread(self._recorder.close)
                self._allowance.__exit__(None, None, None)

        def __del__(self) -> None:
            # As above; also where a loop was closed under a stream.
            self._recorder.leave()

    return LiveAsyncStream


def _served(base: Any) -> Any:
    class ServedStream(base):  # type: ignore[misc]
        """Plays a recorded body back."""

        def __init__(self, serve: Serve) -> None:
            self._pieces = pieces(serve)
            self._read_on = serve.read_on
            self._closed = False

        def __iter__(self) -> Iterator[bytes]:
            for piece, wait in self._pieces:
                if wait:
                    time.sleep(wait)
                yield piece
            if self._read_on is not None and not self._closed:
                raise self._read_on()

        def close(self) -> None:
            self._closed = True

    return ServedStream


def _served_async(base: Any) -> Any:
    class ServedAsyncStream(base):  # type: ignore[misc]
        """Plays a recorded body back."""

        def __init__(self, serve: Serve) -> None:
            self._pieces = pieces(serve)
            self._read_on = serve.read_on
            self._closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece, wait in self._pieces:
                if wait:
                    await pause(wait)
                yield piece
            if self._read_on is not None and not self._closed:
                raise self._read_on()

        async def aclose(self) -> None:
            self._closed = True

    return ServedAsyncStream
