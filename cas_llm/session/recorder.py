"""One live call as it happens: what came back, until it is an answer in the store.

The adapter tells the recorder each thing once: `head`, `chunk`, then one of `end` (the body is
complete), `close` (the reader left early), `leave` (the reader let it go without a word) or `fail`
(the call broke). Nothing is stored before that, and a broken call leaves nothing behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from cas_llm.providers.base import Provider
from cas_llm.session.encodings import Decoder, decoder_for, names_in
from cas_llm.streams.sse import SSEParser
from cas_llm.wire import Chunk, Headers, Response, header

_STALL_SECONDS = 0.5
_STREAMED = ("text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream")
_STREAMED_KINDS = ("audio/",)

KEPT_HEADERS = frozenset(
    {
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-tokens-remaining",
        "content-disposition",
        "content-language",
        "content-type",
        "etag",
        "link",
        "location",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-amzn-bedrock-input-token-count",
        "x-amzn-bedrock-invocation-latency",
        "x-amzn-bedrock-output-token-count",
        "x-amzn-bedrock-performanceconfig-latency",
        "x-amzn-errortype",
        "x-amzn-requestid",
        "x-request-id",
        "x-should-retry",
    }
)


@dataclass(frozen=True)
class Heard:
    """A finished live call: the decoded response, and how long it took to its first byte and end.

    `complete` is false where the reader left before the end.
    """

    response: Response
    complete: bool
    first_byte: float
    seconds: float


class Recorder:
    """Collects one live response and hands it to *store*, or says *give_up* that it broke.

    `owner` is the scope it is for; `left` says that its reader let it go; `rest` is what an adapter
    sets to give the part of a piece that was read when the reader left.
    """

    def __init__(
        self,
        provider: Provider,
        store: Callable[[Heard], None],
        give_up: Callable[[BaseException | None], None],
        owner: object = None,
    ) -> None:
        self.owner = owner
        self.left = False
        self.rest: Callable[[], bytes] = bytes
        self._provider = provider
        self._store = store
        self._give_up = give_up
        self._began = time.perf_counter()
        self._first = 0.0
        self._status = 0
        self._headers: Headers = ()
        self._pieces: list[tuple[bytes, float]] = []
        self._raw: list[tuple[bytes, float]] = []
        self._decoder: Decoder | None = None
        self._events: SSEParser | None = None
        self._terminal = False
        self._over = False
        self._idle_since: float | None = None
        self._lock = threading.Lock()

    @property
    def over(self) -> bool:
        """Whether the call has ended, one way or another."""
        return self._over

    @property
    def stalled(self) -> bool:
        """Whether the head came in, and nobody has read on for a while."""
        idle = self._idle_since
        return idle is not None and time.perf_counter() - idle > _STALL_SECONDS

    @property
    def idle(self) -> bool:
        """Whether some of the body was read, and nobody waits for more of it."""
        return bool(self._pieces) and self._idle_since is not None

    def reading(self) -> None:
        """The reader asks for the next piece of the body."""
        self._idle_since = None

    def resting(self) -> None:
        """The reader has what it asked for, though that completes no piece."""
        self._idle_since = time.perf_counter()

    def head(self, status: int, headers: Headers, readable: Collection[str] | None = None) -> None:
        """The status line and headers came in; header names in lower case.

        *readable* are the content codings that the HTTP library undoes for the program.
        """
        self._status = status
        self._headers = headers
        self._idle_since = time.perf_counter()
        self._first = self._idle_since - self._began
        self._decoder = decoder_for(header(headers, "content-encoding"), readable)
        if header(headers, "content-type").startswith("text/event-stream"):
            self._events = SSEParser()

    def chunk(self, data: bytes) -> None:
        """A piece of the body came in, encoded as it was sent."""
        self._idle_since = time.perf_counter()
        at = self._idle_since - self._began
        plain = data
        if self._decoder is not None:
            self._raw.append((data, at))
            try:
                plain = self._decoder.feed(data)
            except Exception:  # noqa: BLE001 - every decoder has its own; the encoded bytes stay
                self._give_up_decoding()
                return
        self._take(plain, at)

    def end(self) -> None:
        """The body is complete."""
        self._finish(complete=True)

    def close(self) -> None:
        """The reader is done with the response, whether or not it read all of it."""
        rest = b"" if self._over else self.rest()
        if rest:
            self.chunk(rest)
        self._finish(complete=self._terminal)

    def leave(self) -> None:
        """The reader let the response go, neither read to its end nor closed.

        Said while garbage is collected, possibly in the middle of anything, so that what was read
        is only marked here; `Runtime.settle` ends the call.
        """
        if self._pieces:
            self.left = True
        else:
            self.fail()

    def fail(self, error: BaseException | None = None) -> None:
        """The call broke; nothing is stored."""
        with self._lock:
            if self._over:
                return
            self._over = True
        self._give_up(error)

    def _take(self, plain: bytes, at: float) -> None:
        if not plain:
            return
        self._pieces.append((plain, at))
        if self._events is not None and not self._terminal:
            events = self._events.feed(plain)
            self._terminal = any(self._provider.ends_stream(event) for event in events)

    def _give_up_decoding(self) -> None:
        self._decoder = None
        self._pieces = list(self._raw)
        self._events = None

    def _finish(self, *, complete: bool) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
        seconds = time.perf_counter() - self._began
        encoded = bool(names_in(header(self._headers, "content-encoding")))
        if self._decoder is not None:
            try:
                rest = self._decoder.finish()
                if rest:
                    self._pieces.append((rest, seconds))
                encoded = False
            except Exception:  # noqa: BLE001 - cut short: the encoded bytes are what there is
                self._pieces = list(self._raw)
        body = b"".join(piece for piece, _ in self._pieces)
        self._store(
            Heard(
                response=Response(
                    status=self._status,
                    headers=self._kept(encoded=encoded),
                    body=body,
                    chunks=self._chunks(),
                    incomplete=not complete,
                ),
                complete=complete,
                first_byte=self._first,
                seconds=seconds,
            )
        )

    def _kept(self, *, encoded: bool) -> Headers:
        return tuple(
            (name, value)
            for name, value in self._headers
            if name in KEPT_HEADERS or (encoded and name == "content-encoding")
        )

    def _chunks(self) -> tuple[Chunk, ...]:
        kind = header(self._headers, "content-type").lower()
        if not kind.startswith(_STREAMED + _STREAMED_KINDS):
            return ()
        return tuple(Chunk(len(piece), at) for piece, at in self._pieces)
