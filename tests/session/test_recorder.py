"""One live call as it happens: chunks, encodings, early close, failure."""

import gzip
import zlib

import pytest

from cas_llm.providers import provider_for
from cas_llm.session.encodings import decoder_for
from cas_llm.session.recorder import Recorder

SSE = (("content-type", "text/event-stream"),)
JSON = (("content-type", "application/json"),)


class Listener:
    """Keeps what a recorder hands on."""

    def __init__(self, family="openai"):
        self.heard, self.failed = [], []
        self.recorder = Recorder(provider_for(family), self.heard.append, self.failed.append)

    def hear(self, headers, *chunks, status=200):
        self.recorder.head(status, headers)
        for chunk in chunks:
            self.recorder.chunk(chunk)
        return self

    @property
    def response(self):
        return self.heard[0].response


def test_chunks_of_a_stream_keep_their_boundaries_and_order_in_time():
    """Lengths sum up to the body; offsets never go back."""
    listener = Listener().hear(SSE, b"data: 1\n\n", b"da", b"ta: 2\n\n", b"")
    listener.recorder.end()
    response = listener.response
    assert [chunk.length for chunk in response.chunks] == [9, 2, 7]
    assert response.body == b"data: 1\n\ndata: 2\n\n"
    times = [chunk.at for chunk in response.chunks]
    assert times == sorted(times)
    assert 0 <= listener.heard[0].first_byte <= listener.heard[0].seconds


def test_a_whole_body_has_no_chunks():
    """How a JSON answer was cut up on the wire says nothing."""
    listener = Listener().hear(JSON, b'{"a":', b"1}")
    listener.recorder.end()
    assert (listener.response.chunks, listener.response.body) == ((), b'{"a":1}')


@pytest.mark.parametrize(
    ("family", "last"),
    [
        ("openai", b"data: [DONE]\n\n"),
        ("anthropic", b'event: message_stop\ndata: {"type": "message_stop"}\n\n'),
    ],
)
def test_a_stream_closed_after_its_terminal_event_is_complete(family, last):
    """The SDKs close there without reading on; the event may come in two pieces."""
    listener = Listener(family).hear(SSE, b'data: {"x": 1}\n\n', last[:9], last[9:])
    listener.recorder.close()
    assert listener.heard[0].complete
    assert not listener.response.incomplete


def test_a_stream_closed_early_is_marked_incomplete():
    """What was read is stored, and says that there was more."""
    listener = Listener().hear(SSE, b'data: {"x": 1}\n\n')
    listener.recorder.close()
    assert listener.response.incomplete
    assert listener.response.body == b'data: {"x": 1}\n\n'


def test_an_event_that_only_quotes_the_end_is_none():
    """[DONE] inside a string ends nothing."""
    listener = Listener().hear(SSE, b'data: {"x": "[DONE]"}\n\n')
    listener.recorder.close()
    assert listener.response.incomplete


def test_a_broken_call_stores_nothing():
    """The error goes to whoever waits; what comes after is ignored."""
    listener = Listener().hear(SSE, b"data: 1\n\n")
    error = OSError("reset")
    listener.recorder.fail(error)
    listener.recorder.end()
    listener.recorder.close()
    assert (listener.heard, listener.failed) == ([], [error])
    assert listener.recorder.over


def test_the_first_end_is_the_only_one():
    """Readers close after the end, and drain twice."""
    listener = Listener().hear(JSON, b"{}")
    for _ in range(2):
        listener.recorder.end()
        listener.recorder.close()
    listener.recorder.fail(OSError())
    assert (len(listener.heard), listener.failed) == (1, [])


def test_only_listed_headers_are_kept():
    """No cookie, no organisation, no date; the content encoding goes with the encoding."""
    headers = (
        *JSON,
        ("set-cookie", "a=b"),
        ("openai-organization", "org"),
        ("date", "now"),
        ("x-request-id", "r"),
        ("content-encoding", "gzip"),
        ("content-length", "5"),
    )
    listener = Listener().hear(headers, gzip.compress(b"{}"))
    listener.recorder.end()
    assert listener.response.headers == (*JSON, ("x-request-id", "r"))
    assert listener.response.body == b"{}"


def encoded(coding, data):
    """*data* in a content coding."""
    if coding in {"gzip", "x-gzip"}:
        return gzip.compress(data)
    if coding == "deflate":
        return zlib.compress(data)
    if coding == "bare deflate":
        inner = zlib.compressobj(wbits=-15)
        return inner.compress(data) + inner.flush()
    if coding == "br":
        return pytest.importorskip("brotli").compress(data)
    return pytest.importorskip("zstandard").ZstdCompressor().compress(data)


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "bare deflate", "br", "zstd"])
def test_every_encoding_is_undone_in_pieces_of_any_size(coding, size):
    """Byte by byte or as a whole, the same body comes out."""
    plain = b'{"text": "' + bytes(range(32, 127)) * 20 + b'"}'
    data = encoded(coding, plain)
    headers = (*JSON, ("content-encoding", coding.removeprefix("bare ")))
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    listener = Listener().hear(headers, *pieces)
    listener.recorder.end()
    assert listener.response.body == plain
    assert listener.response.header("content-encoding") == ""


def test_damaged_encoding_keeps_the_bytes_and_the_header():
    """What cannot be decoded comes back as it came in."""
    headers = (*JSON, ("content-encoding", "gzip"))
    listener = Listener().hear(headers, b"\x1f\x8bnot gzip", b" at all")
    listener.recorder.end()
    assert listener.response.body == b"\x1f\x8bnot gzip at all"
    assert listener.response.header("content-encoding") == "gzip"


@pytest.mark.parametrize("encoding", ["", "identity", "snappy", "gzip, snappy"])
def test_an_encoding_that_is_none_or_unknown_has_no_decoder(encoding):
    """An unknown one is stored encoded, with its header."""
    assert decoder_for(encoding) is None


def test_an_unknown_encoding_is_stored_with_its_header():
    """The client that asked for it can read it again."""
    listener = Listener().hear((*JSON, ("content-encoding", "snappy")), b"xyz")
    listener.recorder.end()
    assert listener.response.body == b"xyz"
    assert listener.response.header("content-encoding") == "snappy"
