"""The file of a live response: it hands on what is read, and tells the recorder where it ends."""

import gc
import http.client
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas_llm.session.actions import Mark, Serve
from cas_llm.transports.http1 import LiveFile, replayed
from cas_llm.wire import Chunk, Response

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


class Noting:
    """A recorder that remembers what it was told."""

    def __init__(self):
        self.chunks = []
        self.said = []

    @property
    def over(self):
        return bool(self.said)

    def reading(self):
        """A reader asks for more."""

    def resting(self):
        """A reader has what it asked for."""

    def chunk(self, data):
        self.chunks.append(data)

    def _say(self, word):
        if not self.said:
            self.said.append(word)

    def end(self):
        self._say("end")

    def close(self):
        self._say("close")

    def leave(self):
        self._say("leave")

    def fail(self, _error=None):
        self._say("fail")


class Wire:
    """A socket from which a response is read."""

    def __init__(self, data):
        self.data = data

    def makefile(self, _mode):
        return io.BufferedReader(io.BytesIO(self.data))


def overheard(data):
    """A response on the wire with a recorder's file in it, the recorder, and what was released."""
    response = http.client.HTTPResponse(Wire(data))
    response.begin()
    recorder, released = Noting(), []
    response.fp = LiveFile(response, recorder, lambda: released.append(True))
    return response, recorder, released


def chunked(*chunks):
    """*chunks* in the chunked coding."""
    body = b"".join(b"%x;x=y\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return HEAD + b"transfer-encoding: chunked\r\n\r\n" + body + b"0\r\ntrailer: t\r\n\r\n"


def counted(body, length=None):
    """*body* with a content length."""
    return HEAD + b"content-length: %d\r\n\r\n" % (len(body) if length is None else length) + body


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=6),
)
def test_chunks_are_the_servers_however_they_are_read(chunks, sizes):
    """Reading in any steps gives the recorder the chunks that were sent, and the end once."""
    response, recorder, released = overheard(chunked(*chunks))
    read, step = b"", 0
    while piece := response.read(sizes[step % len(sizes)]):
        read += piece
        step += 1
    assert read == b"".join(chunks)
    assert (recorder.chunks, recorder.said, released) == (chunks, ["end"], [True])


@pytest.mark.parametrize("body", [b"", b"abc\r\n0\r\n\r\n"])
def test_a_counted_body_ends_with_its_last_byte(body):
    """No further read is needed to know it."""
    response, recorder, _ = overheard(counted(body))
    assert response.read(len(body)) == body
    assert recorder.said == ["end"]
    assert b"".join(recorder.chunks) == body


def test_a_body_without_a_length_ends_with_the_connection():
    """Only the end of the connection tells."""
    response, recorder, _ = overheard(HEAD + b"\r\nabc")
    assert (response.read(2), recorder.said) == (b"ab", [])
    assert (response.read(2), response.read(2), recorder.said) == (b"c", b"", ["end"])


@pytest.mark.parametrize(
    "data",
    [
        counted(b"abc", 10),
        chunked(b"abc")[:-25],
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_body_that_is_cut_short_fails(data):
    """Whatever http.client makes of it, nothing may be stored."""
    response, recorder, released = overheard(data)
    with pytest.raises(http.client.HTTPException):
        response.read()
    response.close()
    assert (recorder.said, released[:1]) == (["fail"], [True])


def test_readers_of_all_kinds_are_heard():
    """read1, readinto, readline and peek come to the same body."""
    response, recorder, _ = overheard(counted(b"ab\ncdef"))
    buffer = bytearray(2)
    assert response.readline() == b"ab\n"
    assert response.peek(1)[:1] == b"c"
    assert response.readinto(buffer) == 2
    assert (response.read1(1), response.read()) == (b"e", b"f")
    assert (b"".join(recorder.chunks), recorder.said) == (b"ab\ncdef", ["end"])


def test_leaving_early_gives_what_was_read_of_a_chunk():
    """The rest of the chunk was never asked for."""
    response, recorder, released = overheard(chunked(b"abc", b"defg"))
    assert response.read(5) == b"abcde"
    response.close()
    assert (recorder.chunks, recorder.said, released) == ([b"abc"], ["close"], [True])
    assert (recorder.rest(), recorder.rest()) == (b"de", b"")


def test_a_response_that_is_collected_says_so():
    """A collector runs in the middle of anything: nothing is written there."""
    response, recorder, released = overheard(chunked(b"abc", b"defg"))
    response.read(3)
    del response
    gc.collect()
    assert (recorder.said, released) == (["leave"], [True])


def test_what_is_collected_in_a_circle_says_so_too():
    """There the response is gone before its file hears of it."""
    response, recorder, _ = overheard(chunked(b"abc", b"defg"))
    response.read(3)
    response.itself = response
    del response
    gc.collect()
    assert recorder.said == ["leave"]


def serve(body, *lengths, read_on=None, status=200):
    """What a session serves."""
    chunks = tuple(Chunk(length, 0.0) for length in lengths)
    head = (("content-type", "text/event-stream"), ("content-length", "999"), ("x", "é"))
    response = Response(status, head, body, chunks, incomplete=read_on is not None)
    return Serve(response, Mark("hit", "k" * 64), read_on=read_on)


def test_a_replayed_response_is_framed_anew():
    """The framing of the answer that was recorded is not that of the replay."""
    response = replayed(serve(b"abcd", 1, 3), "POST")
    assert response.getheader("transfer-encoding") == "chunked"
    assert response.getheader("content-length") is None
    assert response.getheader("x-cas-llm-key") == "k" * 64
    assert (response.reason, response.getheader("x")) == ("OK", "é")
    assert (response.read1(9), response.read1(9), response.read()) == (b"a", b"bcd", b"")


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 204), ("POST", 304)])
def test_a_replayed_response_without_a_body_says_no_length(method, status):
    """There is none to say."""
    response = replayed(serve(b"", status=status), method)
    assert (response.read(), response.getheader("content-length")) == (b"", None)


def test_reading_on_is_the_error_it_is_given():
    """Not an end, which the program would take for the provider's."""

    class ReadOnError(Exception):
        """Somebody read on."""

    response = replayed(serve(b"ab", 2, read_on=ReadOnError), "POST")
    assert response.read(2) == b"ab"
    with pytest.raises(ReadOnError):
        response.read(1)
