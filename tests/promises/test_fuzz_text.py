"""Text under fire: event streams, multipart bodies and redaction, whatever comes in.

All fuzz tests together make 6,000 executions, under ``CAS_LLM_THOROUGH`` a million; each prints its
count.
"""

from __future__ import annotations

import base64
import json
import random
import re
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st
from support.fuzzing import bent, fuzz
from support.secret_deltas import DELTAS
from support.secrets import FORMAT, GRAMMARS

from cas_llm.keys import key_record
from cas_llm.keys.forms import fields
from cas_llm.redact import Redactor
from cas_llm.redact.encoded import decoded, unescaped
from cas_llm.redact.placeholders import PLACEHOLDER
from cas_llm.streams.sse import SSEParser, parse_events
from cas_llm.wire import Chunk, Request

LINES = (
    b"data: ",
    b"data:",
    b"event: ",
    b"id: ",
    b": ",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\xef\xbb\xbf",
)
STREAMS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n',
    b'event: content_block_delta\r\ndata: {"type":"a",\r\ndata: "text":"\xc3\xa9"}\r\n\r\n',
    b": keep-alive\n\nid: 7\rdata: a\rdata: b\r\revent: ping\n\ndata: cut o",
)
SECRETS = [grammar.secret(seed) for grammar in GRAMMARS if grammar.by == FORMAT for seed in (0, 1)]
SHORT = [secret for secret in SECRETS if len(secret.text) < 200]
WORDS = (
    "key",
    "is",
    "=",
    "in",
    "é",
    "sk-",
    "Bearer",
    "eyJ",
    "://",
    "x" * 30,
    "Cookie:",
    "%2F",
    "&amp;",
)
GLUE = (
    *WORDS,
    " ",
    "\n",
    '"',
    "\\",
    "\\n",
    "\\u00",
    "\\u002d",
    "%",
    "&#45;",
    "+",
    "/",
    "-",
    "_",
    "[",
)
GLUE = (
    *GLUE,
    "[cas-llm:",
    "[cas-llm:jwt:1]",
    "-----BEGIN " + "PRIVATE KEY-----",
    "\x1b[31m",
    "\ud83d",
)
BOUNDARY = "multipart/form-data; boundary=b0"


def pieces_of(data: bytes, rng: random.Random) -> list[bytes]:
    """*data* cut at random places, empty pieces included."""
    edges = sorted(rng.choices(range(len(data) + 1), k=rng.randrange(8)))
    return [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]


def test_the_events_of_a_stream_do_not_depend_on_its_chunks() -> None:
    """Any bytes, cut anywhere, are the events of the whole; events written anew are read again."""
    rng = random.Random(1)

    def check(body: bytes) -> None:
        whole = parse_events(body)
        parser = SSEParser()
        events = [event for piece in pieces_of(body, rng) for event in parser.feed(piece)]
        assert events + parser.close() == whole
        end = rng.choice(("\n", "\r\n", "\r"))
        text = ""
        for event in whole:
            text += f"id: {event.id}{end}"
            text += f"event: {event.event}{end}" if event.event else ""
            text += "".join(f"data: {line}{end}" for line in _lines_of(event.data)) + end
        again = parse_events(text.encode())
        assert again == [event for event in whole if event.data or event.event or again]

    documents = st.sampled_from(STREAMS) | st.lists(st.sampled_from(LINES), max_size=30).map(
        b"".join
    )
    fuzz(check, documents, lambda d, rng: bent(d, rng, LINES), share=0.12, what="event streams")


def _lines_of(data: str) -> list[str]:
    return data.split("\n")


def multipart(parts: list[tuple[str, bytes]], boundary: str = "b0") -> bytes:
    mark = f"--{boundary}".encode()
    body = b"".join(
        mark
        + b"\r\ncontent-disposition: form-data; "
        + head.encode()
        + b"\r\n\r\n"
        + data
        + b"\r\n"
        for head, data in parts
    )
    return body + mark + b"--\r\n"


def key_of(body: bytes, boundary: str = "b0") -> Any:
    kind = f"multipart/form-data; boundary={boundary}"
    request = Request("POST", "https://api.openai.com/v1/files", (("content-type", kind),), body)
    return key_record(request, "openai", redact=Redactor().text)


def test_a_multipart_body_is_its_parts() -> None:
    """Never an error; under another boundary the same key, with another byte in a part another."""
    forms = st.lists(
        st.tuples(
            st.sampled_from(
                ['name="a"', 'name="b"; filename="x.txt"', 'name="c"; filename="y.bin"']
            ),
            st.binary(max_size=20) | st.sampled_from([b"hi", b"\r\n", b"--b", b"a\r\n\r\nb"]),
        ),
        min_size=1,
        max_size=4,
    ).map(multipart)
    tokens = (
        b"--b0",
        b"--b0--",
        b"\r\n",
        b"\r\n\r\n",
        b"content-type: text/plain",
        b"; name=",
        b'"',
    )

    def check(body: bytes) -> None:
        record = key_of(body)
        found = fields(body, BOUNDARY)
        if found is None:
            assert "bytes" in json.loads(record.data)
            return
        assert len(json.loads(record.data).get("multipart", [])) == len(found)
        if b"b0" in body.replace(b"\r\n--b0", b"").removeprefix(b"--b0") or b"other" in body:
            return
        moved = body.replace(b"--b0", b"--other")
        assert key_of(moved, "other").key == record.key
        if found and found[0].data:
            data = found[0].data
            changed = bytes([data[0] ^ 1]) + data[1:]
            other = body.replace(b"\r\n\r\n" + data, b"\r\n\r\n" + changed, 1)
            if fields(other, BOUNDARY) not in (None, found):
                assert key_of(other).key != record.key

    fuzz(check, forms, lambda d, rng: bent(d, rng, tokens), share=0.06, what="multipart bodies")


def glued(tokens: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """The *tokens* with a few more, fewer or others, and here and there a piece of a secret."""
    made = list(tokens)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(made) + 1)
        secret = rng.choice(SHORT).text
        cut = rng.randrange(len(secret) + 1)
        new = rng.choice((rng.choice(GLUE), secret, secret[:cut], secret[cut:]))
        made[at : at + rng.randrange(2)] = [new]
    return tuple(made[:24])


MESS = st.lists(st.sampled_from([*GLUE, *(secret.text for secret in SHORT)]), max_size=9).map(tuple)


def test_redaction_is_idempotent_on_any_text() -> None:
    """A second pass finds nothing, JSON stays JSON, and what was found leads into the text."""
    redactor = Redactor({"A_TOKEN": 'p"q\\s w+/Zebra9'})

    def check(tokens: tuple[str, ...]) -> None:
        text = "".join(tokens)
        for given in (text, json.dumps({"a": text, text: [text]}), quote(text, errors="replace")):
            done = redactor.text(given)
            assert redactor.text(done) == done
            assert redactor.find(done) is None
            assert (redactor.text(given) is given) == (done == given)
            for reading in unescaped(given):
                low, high = reading.span(0, len(reading.text))
                assert (low, high) == (0, len(given)) or low <= high <= len(given)
            said = decoded(given)
            assert said is None or len(said.starts) == len(said.shifts) == len(said.lines)
        json.loads(redactor.text(json.dumps({"a": text, text: [text]})))

    fuzz(check, MESS, glued, share=0.05, what="texts redacted twice")


def test_only_secrets_are_taken_out_and_all_of_them() -> None:
    """Between blanks, in quotes, in JSON, in base64: the rest stays, so unequal stays unequal."""
    redactor = Redactor()
    plain = tuple(word for word in WORDS if redactor.text(f" {word} word ") == f" {word} word ")
    plain = tuple(word for word in plain if word not in {"Bearer", "Cookie:", "://", "eyJ", "sk-"})

    def check(tokens: tuple[str, ...]) -> None:
        secrets = [token for token in tokens if token in KNOWN]
        text = " ".join(tokens)
        spoken = [token for token in tokens if token not in KNOWN]
        for given, read in (
            (text, str),
            (json.dumps({"a": text}), lambda done: json.loads(done)["a"]),
            (json.dumps({"a": json.dumps([text])}), lambda d: json.loads(json.loads(d)["a"])[0]),
        ):
            done = read(redactor.text(given))
            assert [word for word in PLACEHOLDER.sub("", done).split(" ") if word] == spoken
            assert len(re.findall(r"\[cas-llm:", done)) == len(secrets)
        for secret in secrets[:2]:
            coded = base64.b64encode(f"{' '.join(spoken)} {secret} end".encode()).decode()
            for start in range(len(secret) - 13):
                window = secret[start : start + 14]
                assert window not in done
            assert "[cas-llm:" in redactor.text(f"see {coded}.")

    def change(tokens: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
        made = [*tokens, rng.choice((rng.choice(plain), rng.choice(sorted(KNOWN))))]
        rng.shuffle(made)
        return tuple(made[: rng.randrange(1, 12)])

    documents = st.lists(st.sampled_from([*plain, *sorted(KNOWN)]), max_size=8).map(tuple)
    fuzz(check, documents, change, share=0.06, what="texts whose every word is known")


KNOWN = {secret.text for secret in SHORT}


def test_deltas_say_what_the_whole_text_would() -> None:
    """However a text is cut into deltas and chunks, secrets go, the rest stays, the stream parses."""
    redactor = Redactor()
    kinds = sorted(DELTAS)

    def check(case: tuple[str, tuple[str, ...], int]) -> None:
        kind, tokens, seed = case
        rng = random.Random(seed)
        text = " ".join((*tokens, "end"))
        cuts = [piece.decode() for piece in pieces_of(text.encode(), rng)]
        events = [DELTAS[kind](0, cut) for cut in cuts]
        body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
        chunks = tuple(Chunk(len(piece), 0.1) for piece in pieces_of(body, rng) if piece)
        done, cut_anew, found = redactor.body(body, "text/event-stream", chunks)
        assert sum(chunk.length for chunk in cut_anew) == len(done)
        assert redactor.body(done, "text/event-stream", cut_anew)[0] is done
        empty = [DELTAS[kind](0, "") for _ in cuts]
        said = [json.loads(event.data) for event in parse_events(done)]
        read = "".join(_said(value, blank) for value, blank in zip(said, empty, strict=True))
        # A stream that repeats itself takes two rounds, and the second one counts on.
        assert PLACEHOLDER.sub("[]", read) == PLACEHOLDER.sub("[]", redactor.text(text))
        assert bool(found) == any(token in KNOWN for token in tokens)

    def change(
        case: tuple[str, tuple[str, ...], int], rng: random.Random
    ) -> tuple[str, tuple[str, ...], int]:
        return rng.choice(kinds), case[1], rng.randrange(2**32)

    words = st.sampled_from(["key", "is", "in", "of", *sorted(KNOWN)])
    documents = st.tuples(
        st.sampled_from(kinds), st.lists(words, max_size=5).map(tuple), st.integers(0, 2**32)
    )
    fuzz(check, documents, change, share=0.06, what="texts cut into deltas")


def _said(value: Any, blank: Any) -> str:
    """The one string of *value* that is empty in *blank*."""
    if isinstance(value, str):
        return value if blank == "" else ""
    if isinstance(value, dict):
        return "".join(_said(inner, blank[name]) for name, inner in value.items())
    if isinstance(value, list):
        return "".join(_said(inner, other) for inner, other in zip(value, blank, strict=True))
    return ""
