"""A provider on loopback that says what a test tells it to, byte for byte.

Standard library only, one thread per connection, keep-alive. `ScriptedProvider` answers the common
LLM APIs by itself (see `support.answers`), each time with a fresh number, so that a live answer
can never be mistaken for a replayed one. A script takes over where a test needs exact chunk
boundaries, a delay, a content coding or a connection that breaks.
"""

from __future__ import annotations

import itertools
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Received:
    """One request as it arrived: header names in lower case, the body whole.

    `number` counts the requests of this provider from 1; `connection` tells which connection
    carried it, so that a test can see keep-alive at work. `saying` is set by a script that hands the
    request on to `support.answers` with the words of the answer.
    """

    number: int
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    connection: int
    saying: str | None = None

    @property
    def json(self) -> Any:
        """The body as JSON; an empty body is an empty object."""
        return json.loads(self.body or b"{}")

    def __str__(self) -> str:
        return f"{self.method} {self.path} #{self.number}"


@dataclass(frozen=True)
class Reply:
    """What goes back; `chunks` take the place of `body` and are sent in the chunked coding.

    `wait` is the time in seconds before the status line, `delay` the time between two chunks.
    `close_after` cuts the connection after so many bytes of the body: with `reset` by a TCP reset,
    else by an orderly close.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    body: bytes = b""
    chunks: tuple[bytes, ...] | None = None
    wait: float = 0.0
    delay: float = 0.0
    close_after: int | None = None
    reset: bool = False

    @classmethod
    def of(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        """A JSON reply; `x_name="v"` becomes the header ``x-name: v``."""
        extra = tuple((name.replace("_", "-"), text) for name, text in headers.items())
        return cls(
            status=status,
            headers=(("content-type", "application/json"), *extra),
            body=json.dumps(value, ensure_ascii=False).encode(),
        )

    @classmethod
    def sse(cls, events: list[Any], *, done: bool = False, named: bool = False) -> Reply:
        """An event stream, one chunk per event; `named` adds ``event:`` lines from the type."""
        chunks = []
        for event in events:
            name = f"event: {event['type']}\n" if named else ""
            chunks.append(f"{name}data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())
        if done:
            chunks.append(b"data: [DONE]\n\n")
        head = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
        return cls(headers=head, chunks=tuple(chunks))

    def encoded(self, coding: str) -> Reply:
        """The same reply in a content coding (gzip, br, zstd); each chunk stays readable alone."""
        compress, flush, finish = _coder(coding)
        headers = (*self.headers, ("content-encoding", coding))
        if self.chunks is None:
            return replace(self, headers=headers, body=compress(self.body) + finish())
        pieces = [compress(chunk) + flush() for chunk in self.chunks]
        pieces.append(finish())
        return replace(self, headers=headers, chunks=tuple(piece for piece in pieces if piece))


def _coder(
    coding: str,
) -> tuple[Callable[[bytes], bytes], Callable[[], bytes], Callable[[], bytes]]:
    if coding == "gzip":
        gzip = zlib.compressobj(wbits=31)
        return gzip.compress, lambda: gzip.flush(zlib.Z_SYNC_FLUSH), gzip.flush
    if coding == "br":
        import brotli

        br = brotli.Compressor()
        return br.process, br.flush, br.finish
    if coding == "zstd":
        import zstandard

        zstd = zstandard.ZstdCompressor().compressobj()
        return zstd.compress, lambda: zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK), zstd.flush
    raise ValueError(f"unknown content coding {coding!r}: gzip, br or zstd")


Script = Callable[[Received], Reply | None]


@dataclass
class ScriptedProvider:
    """A running provider: ``with ScriptedProvider() as p: OpenAI(base_url=p.url)``.

    `calls` holds every request in the order of arrival. Requests are numbered from 1.
    """

    calls: list[Received] = field(default_factory=list)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    _script: Script | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.provider = self
        # shutdown() waits for one poll, and the standard half a second would be paid per test.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), name="scripted-provider", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.cut()
        self._thread.join(5)

    @property
    def port(self) -> int:
        """The port the provider listens on."""
        return self._server.server_address[1]

    @property
    def root(self) -> str:
        """The base URL without a path, as Anthropic's and Gemini's SDKs want it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL with ``/v1``, as OpenAI's SDK wants it."""
        return f"{self.root}/v1"

    @property
    def count(self) -> int:
        """How many requests have arrived."""
        return len(self.calls)

    @property
    def connections(self) -> int:
        """How many connections have carried at least one request."""
        return len({call.connection for call in self.calls})

    def script(self, script: Script | None) -> None:
        """Ask *script* for every reply from now on; where it says None, the default answers."""
        self._script = script

    def clear(self) -> None:
        """Forget the calls; numbers go on, so answers stay unique."""
        with self._lock:
            self.calls.clear()

    def _arrived(self, **facts: Any) -> Received:
        with self._lock:
            received = Received(number=next(self._numbers), **facts)
            self.calls.append(received)
        return received

    def _reply(self, received: Received) -> Reply:
        from support.answers import answer

        script = self._script
        scripted = script(received) if script is not None else None
        return scripted if scripted is not None else answer(received, self.files)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    provider: ScriptedProvider

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.open: set[socket.socket] = set()
        self.accepted = 0

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.accepted += 1
        self.open.add(connection)
        return connection, (address, self.accepted)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """Close what keep-alive holds open, so that no thread outlives its test."""
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what many tests are about, not an error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        url = urlsplit(self.path)
        received = self.server.provider._arrived(
            method=self.command,
            path=url.path,
            query=tuple(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._body(),
            connection=self.client_address[1],
        )
        try:
            reply = self.server.provider._reply(received)
        except Exception as error:  # a broken script must show in the client
            reply = Reply.of({"error": {"message": f"the script failed: {error!r}"}}, status=500)
        self._send(reply)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.wait)
        bodyless = self.command == "HEAD" or reply.status in {204, 304}
        framing = (
            ("transfer-encoding", "chunked")
            if reply.chunks is not None
            else ("content-length", str(len(reply.body)))
        )
        headers = reply.headers if bodyless else (*reply.headers, framing)
        phrase = self.responses.get(reply.status, ("Scripted",))[0]
        lines = [f"HTTP/1.1 {int(reply.status)} {phrase}"]
        lines += [f"{name}: {value}" for name, value in headers]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        if bodyless:
            self.wfile.write(head)
        elif reply.chunks is None:
            self.wfile.write(head + reply.body[: reply.close_after])
        else:
            self._send_chunks(head, reply)
        if reply.close_after is not None:
            self._cut(reply.reset)

    def _send_chunks(self, head: bytes, reply: Reply) -> None:
        self.wfile.write(head)
        left = reply.close_after
        for number, chunk in enumerate(reply.chunks or ()):
            if number:
                time.sleep(reply.delay)
            piece = chunk if left is None else chunk[:left]
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    return
        if left is None:
            self.wfile.write(b"0\r\n\r\n")

    def _cut(self, reset: bool) -> None:
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.open.discard(self.connection)
            self.connection.close()
        self.close_connection = True
