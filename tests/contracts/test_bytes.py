"""Replayed body bytes are the decoded bytes that came in, whatever they are."""

import gzip
import hashlib
import json
import random
import zlib
from itertools import pairwise

import brotli
import httpx
import httpx2
import pytest
import zstandard
from support.provider import Reply

import cas_llm

JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream"),)
TEXT = (("content-type", "text/plain"),)
RAW = (("content-type", "application/octet-stream"),)
GREETING = {"id": "1", "choices": [{"message": {"role": "assistant", "content": "héllo 🎈"}}]}
GREETED = json.dumps(GREETING, ensure_ascii=False).encode()


def bare_deflate(data):
    """Deflate without zlib's wrapping, as some servers send it."""
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


def framed_zstd(data):
    """Two zstd frames one after the other, which is one body."""
    half = len(data) // 2
    return zstandard.compress(data[:half]) + zstandard.compress(data[half:])


CODINGS = {
    "gzip": ("gzip", gzip.compress),
    "gzip of two members": ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
    "zstd of two frames": ("zstd", framed_zstd),
    "gzip within br": ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
    "identity": ("identity", bytes),
    "unknown": ("rot13", bytes),
}

BODIES = {
    "compact JSON": (JSON, b'{"a":[1,2,{"b":null}],"c":"\xc3\xa9"}'),
    "spaced JSON": (JSON, b'{"a": [1, 2, {"b": null}], "c": "\xc3\xa9"}'),
    "pretty JSON": (JSON, json.dumps(GREETING, indent=2).encode()),
    "JSON with a tail": (JSON, b' {"a": 1}\r\n\r\n'),
    "JSON of tabs": (JSON, json.dumps(GREETING, indent="\t").encode() + b"\n"),
    "escaped JSON": (JSON, b'{"a": "\\u00e9 \\/ \\ud83c\\udf88"}'),
    "duplicate names": (JSON, b'{"a": 1, "a": 2, "b": {"c": 1, "c": 1}}'),
    "1e400": (JSON, b'{"a": 1e400, "b": -1e400, "c": 1e-400}'),
    "huge integers": (
        JSON,
        b'{"a": 18446744073709551616, "b": -9223372036854775809, "c": ' + b"9" * 5000 + b"}",
    ),
    "floats in other words": (JSON, b'{"a": 1.0, "b": 1E5, "c": -0.0, "d": 1.10, "e": -0}'),
    "NaN": (JSON, b'{"a": NaN, "b": Infinity}'),
    "lone surrogates": (JSON, b'{"a": "\\ud800", "b": "\\udc00\\ud800"}'),
    "NUL": (JSON, b'{"a": "\\u0000"}'),
    "a key of our own": (JSON, b'{"$cas:int": "1", "$cas:part": {"digest": "x"}}'),
    "JSON with a mark": (JSON, b'\xef\xbb\xbf{"a": 1}'),
    "UTF-16 JSON": (JSON, '{"a": 1}'.encode("utf-16")),
    "half a JSON": (JSON, b'{"a": [1, 2'),
    "deep JSON": (JSON, b"[" * 3000 + b"]" * 3000),
    "just a number": (JSON, b"1"),
    "invalid UTF-8": (TEXT, b"caf\xe9 \xff\xfe \xc3"),
    "line ends of all sorts": (TEXT, "a\rb\r\nc\n\nd\u2028e\x0bf\x85g".encode()),
    "blank ends": (TEXT, b"\n\n a \t\n\n"),
    "empty": (JSON, b""),
    "empty text": (TEXT, b""),
    "binary": (RAW, bytes(range(256)) * 64),
    "binary said to be JSON": (JSON, bytes(range(256))),
    "a picture": ((("content-type", "image/png"),), b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20),
    "no type": ((), b"whatever\x00"),
    "ten megabytes": (RAW, random.Random(1).randbytes(10 << 20)),
    "ten megabytes of JSON": (JSON, json.dumps({"a": ["word " * 20] * 100_000}).encode()),
}

STREAMS = {
    "LF": b'data: {"a": 1}\n\ndata: [DONE]\n\n',
    "CRLF": b'event: x\r\ndata: {"a": 1}\r\n\r\ndata: [DONE]\r\n\r\n',
    "CR": b'data: {"a": 1}\r\rdata: [DONE]\r\r',
    "mixed": b": comment\r\n\ndata:{}\r\rdata: [DONE]\n\n",
    "no end": b'data: {"a": 1}\n\ndata: {"b": 2}',
    "after the end": b"data: [DONE]\n\n: bye\n\n",
    "invalid UTF-8": b'data: {"a": "\xff\xfe"}\n\ndata: [DONE]\n\n',
    "cut characters": 'data: {"a": "🎈🎈é"}\n\ndata: [DONE]\n\n'.encode(),
    "odd numbers": b'data: {"a": 1e400, "a": 18446744073709551617}\n\ndata: [DONE]\n\n',
    "nothing": b"",
}

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda module: module.__name__)


def asked(library, provider, *, stream=False):
    """Status, type and decoded body of one chat request."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    with library.stream("POST", f"{provider.url}/chat/completions", json=body) as response:
        pieces = list(response.iter_bytes())
        kind = response.headers.get("content-type")
        return response.status_code, kind, pieces if stream else b"".join(pieces)


def replays_identically(library, provider, store, *, stream=False):
    """Record once, replay once, and give what both said."""
    with cas_llm.use("fallback", store=store):
        recorded = asked(library, provider, stream=stream)
    with cas_llm.use("replay", store=store):
        replayed = asked(library, provider, stream=stream)
    assert provider.count == 1
    assert replayed == recorded
    return recorded


def sound(store):
    """Every object's and request's name is the SHA-256 of its bytes."""
    for folder in ("objects", "requests"):
        for path in (store / folder).glob("*/*"):
            if not path.name.startswith("."):
                name = path.parent.name + path.name.partition(".")[0]
                assert hashlib.sha256(path.read_bytes()).hexdigest() == name


@LIBRARIES
@pytest.mark.parametrize("what", BODIES)
def test_a_body_replays_byte_for_byte(provider, store, library, what):
    """JSON that no parser keeps, text that is none, nothing at all: the bytes are what they were."""
    headers, body = BODIES[what]
    provider.script(lambda _: Reply(headers=headers, body=body))
    assert replays_identically(library, provider, store)[2] == body
    sound(store)


@pytest.mark.parametrize("what", BODIES)
def test_a_body_sent_in_chunks_replays_byte_for_byte(provider, store, what):
    """The chunked coding changes nothing."""
    headers, body = BODIES[what]
    step = max(1, len(body) // 3)
    chunks = tuple(body[at : at + step] for at in range(0, len(body), step))
    provider.script(lambda _: Reply(headers=headers, chunks=chunks))
    assert replays_identically(httpx, provider, store)[2] == body


@LIBRARIES
@pytest.mark.parametrize("coding", CODINGS)
def test_an_encoded_body_replays_as_what_it_decodes_to(provider, store, library, coding):
    """What the program reads is the same, live and replayed, for every content coding."""
    name, encode = CODINGS[coding]
    headers = (*JSON, ("content-encoding", name))
    encoded = encode(GREETED)  # once: gzip writes the second into its bytes
    provider.script(lambda _: Reply(headers=headers, body=encoded))
    body = replays_identically(library, provider, store)[2]
    # A library without a decoder gives the program the encoded bytes; then so does the replay.
    # httpx reads the first of several gzip members only.
    assert body in {GREETED, encoded, GREETED[:9]}
    sound(store)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_a_decoded_answer_lies_readable_in_the_store(provider, store, coding):
    """A reviewer reads the text, not base64; and without the coding's header."""
    name, encode = CODINGS[coding]
    headers = (*JSON, ("content-encoding", name))
    provider.script(lambda _: Reply(headers=headers, body=encode(GREETED)))
    replays_identically(httpx, provider, store)
    text = "".join(path.read_text("utf-8") for path in (store / "objects").glob("*/*.json"))
    assert "héllo 🎈" in text
    assert "content-encoding" not in text


def test_an_encoded_body_that_is_damaged_fails_alike(provider, store):
    """The program gets the library's decoding error again, not another one and no answer."""
    headers = (*JSON, ("content-encoding", "gzip"))
    provider.script(lambda _: Reply(headers=headers, body=b"not gzip at all"))
    for mode in ("fallback", "replay"):
        with cas_llm.use(mode, store=store), pytest.raises(httpx.DecodingError):
            asked(httpx, provider)


@LIBRARIES
@pytest.mark.parametrize("what", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_event_stream_replays_byte_for_byte(provider, store, library, what, size):
    """Line ends, cut characters, what stands after the end: all bytes, in the same pieces."""
    body = STREAMS[what]
    chunks = tuple(body[at : at + size] for at in range(0, len(body), size))
    provider.script(lambda _: Reply(headers=SSE, chunks=chunks))
    pieces = replays_identically(library, provider, store, stream=True)[2]
    assert b"".join(pieces) == body


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_an_encoded_event_stream_replays_byte_for_byte(provider, store, coding):
    """A stream compressed chunk by chunk still comes back in readable pieces."""
    events = [{"type": "x", "text": f"word {number} 🎈"} for number in range(5)]
    plain = Reply.sse(events, done=True)
    provider.script(lambda _: plain.encoded(coding))
    pieces = replays_identically(httpx, provider, store, stream=True)[2]
    assert b"".join(pieces) == b"".join(plain.chunks)


@pytest.mark.parametrize("body", [b"", b"\x00\xff", b'{"a": 1, "a": 2}', b'{"a": NaN}', b"caf\xe9"])
def test_requests_without_a_canonical_form_are_keyed_by_their_bytes(provider, store, body):
    """A body no JSON rule fits is recorded and replayed; one byte more is another request."""
    provider.script(lambda received: Reply(headers=TEXT, body=b"%d" % received.number))
    headers = {"content-type": "application/json", "user-agent": "OpenAI/Python 3.52"}

    def post(data):
        url = f"{provider.url}/chat/completions"
        return httpx.post(url, content=data, headers=headers).content

    with cas_llm.use("fallback", store=store):
        assert [post(body), post(body + b" ")] == [b"1", b"2"]
    with cas_llm.use("replay", store=store):
        assert [post(body + b" "), post(body)] == [b"2", b"1"]


def test_a_streamed_upload_is_recorded_whole(provider, store):
    """A request body that comes from a generator is keyed and sent complete."""

    def upload():
        whole = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
        yield from (whole[a:b] for a, b in pairwise([0, 5, 30, len(whole)]))

    def post():
        headers = {"content-type": "application/json"}
        url = f"{provider.url}/chat/completions"
        return httpx.post(url, content=upload(), headers=headers).content

    with cas_llm.use("fallback", store=store):
        recorded = post()
    assert provider.calls[0].json["model"] == "m"
    with cas_llm.use("replay", store=store):
        assert post() == recorded
    assert provider.count == 1
