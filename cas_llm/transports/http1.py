"""Bodies as `http.client` reads them: a recorded one as wire bytes, a live one overheard.

Both stand where `http.client.HTTPResponse` has the file of its socket, the one place that is the
same under every version of urllib3: what decodes, splits and buffers a body above it is the
library's own. Nothing here opens a socket or reads what the program doesn't ask for.
"""

from __future__ import annotations

import http.client
import io
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from cas_llm.session.actions import Serve
from cas_llm.session.recorder import Recorder
from cas_llm.transports.asking import is_in_pieces, reason, served_headers
from cas_llm.transports.streams import pieces


def replayed(serve: Serve, method: str) -> http.client.HTTPResponse:
    """The response that a server would have sent for *serve*, its head read."""
    response = http.client.HTTPResponse(_RecordedSocket(_wire(serve, method)), method=method)  # type: ignore[arg-type]
    response.begin()
    return response


def _wire(serve: Serve, method: str) -> Iterator[bytes]:
    """The bytes on the wire: the head, then a block for each piece."""
    lines = [f"HTTP/1.1 {serve.response.status} {reason(serve)}"]
    lines += [f"{name}: {value}" for name, value in served_headers(serve, method)]
    yield ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
    in_pieces = is_in_pieces(serve)
    for piece, wait in pieces(serve):
        if wait:
            time.sleep(wait)
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece) if in_pieces else piece
    if serve.read_on is not None:
        raise serve.read_on()
    if in_pieces:
        yield b"0\r\n\r\n"


class _RecordedSocket:
    """As much of a socket as `http.client.HTTPResponse` and botocore want."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Recorded(self._blocks, self))

    def settimeout(self, _seconds: float | None) -> None:
        """Nothing is waited for."""


class _Recorded(io.RawIOBase):
    """Gives the rest of one block at a time, so that nothing is made before it is asked for."""

    def __init__(self, blocks: Iterator[bytes], sock: _RecordedSocket) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")
        self._sock = sock  # where botocore looks for it

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class LiveFile:
    """The file of a live response: hands on what is read, and tells the recorder of it."""

    def __init__(
        self, response: http.client.HTTPResponse, recorder: Recorder, release: Callable[[], None]
    ) -> None:
        self._file: Any = response.fp
        self._response = weakref.ref(response)  # which has this file, and must not live on by it
        self._recorder = recorder
        self._release = release
        self._cut = False
        self._body: _Chunked | _Plain = _Chunked() if response.chunked else _Plain(response.length)
        recorder.rest = self._body.rest
        if self._body.complete:
            recorder.end()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int | None = -1) -> bytes:
        """See `io.BufferedReader.read`."""
        data: bytes = self._reading(self._file.read, size)
        self._note(data, at_end=size is None or size < 0 or len(data) < size)
        return data

    def read1(self, size: int = -1) -> bytes:
        """See `io.BufferedReader.read1`."""
        data: bytes = self._reading(self._file.read1, size)
        self._note(data, at_end=not data and size != 0)
        return data

    def readinto(self, buffer: Any) -> int:
        """See `io.BufferedReader.readinto`."""
        count: int = self._reading(self._file.readinto, buffer)
        self._note(bytes(memoryview(buffer)[:count]), at_end=count < len(buffer))
        return count

    def readline(self, limit: int = -1) -> bytes:
        """See `io.BufferedReader.readline`."""
        line: bytes = self._reading(self._file.readline, limit)
        self._note(line, at_end=not line)
        return line

    def close(self) -> None:
        """Close the file; a body that was not read to its end was left by its reader."""
        try:
            self._file.close()
        finally:
            self._leave()

    def _reading(self, call: Callable[[Any], Any], wanted: Any) -> Any:
        self._recorder.reading()
        try:
            return call(wanted)
        except BaseException as error:
            self._recorder.fail(error)
            raise

    def _note(self, data: bytes, *, at_end: bool) -> None:
        self._recorder.resting()
        for piece in self._body.pieces(data):
            self._recorder.chunk(piece)
        if at_end:
            self._body.at_end()
            self._cut = not self._body.complete
        if self._body.complete:
            self._recorder.end()

    def _leave(self) -> None:
        if sys.is_finalizing():
            return
        if self._cut or self._body.broken:
            self._recorder.fail()
        elif not self._recorder.over:
            response = self._response()
            # Python closes what it collects, too, and says so on the object.
            if response is None or getattr(response, "_finalizing", False):
                self._recorder.leave()
            else:
                self._recorder.close()
        self._release()


class _Plain:
    """A body of *length* bytes, or where that is None up to the end of the connection."""

    broken = False

    def __init__(self, length: int | None) -> None:
        self._left = length
        self.complete = length == 0

    def pieces(self, data: bytes) -> list[bytes]:
        """The pieces of the body that *data* completes."""
        if self._left is not None:
            self._left -= len(data)
            self.complete = self._left <= 0
        return [data] if data else []

    def at_end(self) -> None:
        """The connection gives no more."""
        self.complete = self.complete or self._left is None

    def rest(self) -> bytes:
        """What has come of a piece that is not complete; it is given once."""
        return b""


class _Chunked:
    """A body in the chunked coding, its chunks as the server cut them."""

    def __init__(self) -> None:
        self.complete = False
        self.broken = False
        self._line = b""
        self._left = 0
        self._piece = bytearray()

    def pieces(self, data: bytes) -> list[bytes]:
        """See `_Plain.pieces`."""
        found = []
        while data and not self.complete:
            if self._left:
                taken, data = data[: self._left], data[self._left :]
                self._piece += taken
                self._left -= len(taken)
                if not self._left:
                    found.append(self.rest())
            else:
                line, newline, data = data.partition(b"\n")
                self._line += line
                if newline:
                    self._begin(self._line)
                    self._line = b""
        return found

    def at_end(self) -> None:
        """See `_Plain.at_end`; the last chunk says so itself."""

    def rest(self) -> bytes:
        """See `_Plain.rest`."""
        piece, self._piece = bytes(self._piece), bytearray()
        return piece

    def _begin(self, line: bytes) -> None:
        size = line.partition(b";")[0].strip()
        # The empty line is the one that ends a chunk.
        if size:
            try:
                self._left = int(size, 16)
            except ValueError:
                self.broken = True  # the library will say so
            self.complete = not (self._left or self.broken)
