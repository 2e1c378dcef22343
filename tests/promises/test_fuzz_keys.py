"""Keys under fire: whatever comes in, equal requests are one key and unequal ones stay two.

All fuzz tests together make 6,000 executions, under ``CAS_LLM_THOROUGH`` a million; each prints its
count.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, unquote_to_bytes

import pytest
from hypothesis import strategies as st
from support.fuzzing import bent, fuzz
from support.json_texts import BYTES, NUMBERS, meaning, respelled, texts, written

from cas_llm.digest import digest_of
from cas_llm.keys import (
    NotCanonical,
    Rules,
    canonical,
    compare,
    key_record,
    load_record,
    parse,
    parts_of,
    rederive,
    restore,
    shorten_pair,
)
from cas_llm.keys.canonical import _parse_exactly
from cas_llm.keys.normalise import normaliser
from cas_llm.keys.parts import split
from cas_llm.keys.rules import is_credential
from cas_llm.redact import Redactor
from cas_llm.wire import Request

URL = "https://api.openai.com/v1/chat/completions"
MEDIA = base64.b64encode(bytes(range(96))).decode()
LONG = ("line\n" * 6, "x" * 2049, "é" * 1025, MEDIA, f"data:image/png;base64,{MEDIA}", MEDIA[:-1])
BODY_BYTES = (
    *BYTES,
    *(json.dumps(text).encode() for text in LONG),
    *(json.dumps({"media_type": "image/png", "data": text}).encode() for text in LONG),
    json.dumps({"tools": [{"name": f"t{n}", "parameters": {}} for n in range(80)]}).encode(),
    b'{"tools":',
    b'"stream":false,',
    b'"tools":[{"$cas:part":1}],',
)
FAMILIES = (
    b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":false,"temperature":0.10}',
    b'{"model":"m","input":[{"type":"input_text","text":"hi"}],"tools":[{"type":"function"}]}',
    b'{"model":"c","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":'
    b'{"type":"base64","media_type":"image/png","data":"' + MEDIA.encode() + b'"}}]}]}',
    b'{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"'
    b"" + MEDIA.encode() + b'"}},{"functionCall":{"args":{"a":1.0}}}]}]}',
    b'{"model":"e","input":["a","b"],"encoding_format":"float","logit_bias":{"50256":-100}}',
    b'{"tool_call_id":"call_1","content":"{\\"at\\": \\"2026-01-02T03:04:05Z\\", \\"n\\": 1.50}"}',
)
NORMALISERS = (
    "trim",
    "whitespace",
    "casefold",
    "newlines",
    "uuid",
    "tool-call-id",
    "tool-order",
    "time:$.a",
    "time:$[*]",
    "regex:[0-9]+=>n",
    "ignore:$.a",
    "ignore:$[*].a",
    "elide:stream",
    "elide:a=1",
)
TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "multipart/mixed; boundary=b",
    "text/plain",
    "application/octet-stream",
    "",
)
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89PNG\r\n--b\r\n"
    b'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'
)


class _OneToOne:
    """Sees to it that two names of one thing, and two things of one name, don't occur."""

    def __init__(self) -> None:
        self.there: dict[bytes, bytes] = {}
        self.back: dict[bytes, bytes] = {}

    def note(self, meant: object, name: bytes) -> None:
        told = bytes.fromhex(digest_of(repr(meant).encode("utf-8", "surrogatepass"))[:32])
        named = bytes.fromhex(digest_of(name)[:32])
        assert self.there.setdefault(told, named) == named, f"one meaning, two names: {name!r}"
        assert self.back.setdefault(named, told) == told, f"two meanings, one name: {name!r}"


def _bend_text(data: bytes, rng: random.Random) -> bytes:
    """*data* broken a little, or spelled in another way."""
    told = meaning(data) if rng.random() < 0.4 else None
    if told is not None:
        return respelled(told, rng).encode()
    return bent(data, rng, BYTES)


def _bend_body(data: bytes, rng: random.Random) -> bytes:
    told = meaning(data) if rng.random() < 0.3 else None
    if told is not None:
        return respelled(told, rng).encode()
    return bent(data, rng, BODY_BYTES)


def _post(body: bytes, content_type: str = "application/json", url: str = URL) -> Request:
    headers = (("content-type", content_type),) if content_type else ()
    return Request("POST", url, headers, body)


def _assert_whole(found: Any) -> None:
    """A record gives its own key again and names its parts, neither more nor fewer."""
    record = load_record(found.data)
    assert rederive(found.data) == found.key == digest_of(found.data)
    assert parts_of(record) == {digest: part.ext for digest, part in found.parts.items()}
    assert all(digest_of(part.data) == digest for digest, part in found.parts.items())


def test_a_text_is_read_exactly_or_refused():
    """A JSON text gives its one canonical form, by the fast and the slow road, or `NotCanonical`."""
    seen = _OneToOne()

    def check(data: bytes) -> None:
        told = meaning(data)
        try:
            value = parse(data)
        except NotCanonical:
            assert told is None
            return
        assert told is not None
        form = canonical(value)
        assert form == written(told).encode() + b"\n"
        assert canonical(parse(form)) == form
        assert canonical(value, plain=False) == form == canonical(_parse_exactly(data))
        if b"cas:" not in form:  # a user's own tag is escaped when the body is split
            seen.note(told, form)

    fuzz(check, texts(), _bend_text, share=0.32, what="JSON texts to their canonical form")


def test_two_bodies_have_one_key_exactly_when_they_say_the_same():
    """A body's key is its meaning: equal however spelled, unequal wherever a value differs.

    A body without a meaning is its bytes. `stream: false` at the top is its absence.
    """
    seen = _OneToOne()

    def check(body: bytes) -> None:
        found = key_record(_post(body), "openai")
        _assert_whole(found)
        told: Any = meaning(body)
        if told is None:
            told = ("bytes", body)
        elif told[0] == "object":
            told = tuple(m for m in told if m != ("stream", ("constant", "False")))
        seen.note(told, found.key.encode())

    bodies = texts(12) | st.sampled_from(FAMILIES)
    fuzz(check, bodies, _bend_body, share=0.12, what="JSON bodies to their key")


def test_a_form_and_a_query_have_one_key_exactly_when_they_say_the_same():
    """Pairs are what they decode to; a query's in any order, a form's in their own."""
    forms, queries = _OneToOne(), _OneToOne()
    pieces = (b"&", b"=", b"+", b"%20", b"%2B", b"%ff", b"%FF", b"%25ff", b"%", b"%zz", b"%C3%A9")
    pieces += ("é".encode(), b"\xe9", b"\xff", b"a", b"api_key=1", b"page_token=2", b";", b"\0")

    def check(data: bytes) -> None:
        record = key_record(_post(data, TYPES[1]), "openai")
        _assert_whole(record)
        pairs = None
        if data.isascii():
            pairs = [
                tuple(unquote_to_bytes(t.replace("+", " ")) for t in pair) for pair in _cut(data)
            ]
            if any(_undecodable(t) for pair in pairs for t in pair):
                pairs = None
        told = ("bytes", data) if pairs is None or not data else ("form", pairs)
        forms.note(told, record.key.encode())
        text = data.decode("latin-1").replace("#", "")
        query = key_record(_post(b"", "", f"{URL}?{text}"), "openai")
        _assert_whole(query)
        sent = _post(b"", "", f"{URL}?{text}").parts.query
        queries.note(_query_meaning(sent), query.key.encode())

    fuzz(
        check,
        st.lists(st.sampled_from(pieces), max_size=12).map(b"".join),
        lambda data, rng: bent(data, rng, pieces),
        share=0.06,
        what="forms and queries to their key",
    )


def _cut(data: bytes) -> list[tuple[str, ...]]:
    return [piece.partition("=")[::2] for piece in data.decode().split("&") if piece]


def _undecodable(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _query_meaning(text: str) -> Any:
    pieces = [piece for piece in text.split("&") if piece]
    asked = [piece for piece in pieces if not is_credential(_name_of(piece))]
    try:
        pairs = parse_qsl("&".join(asked), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        return "as sent", sorted(piece.partition("=")[::2] for piece in asked)
    return sorted(pairs)


def _name_of(piece: str) -> str:
    return unquote_plus(piece.partition("=")[0])


def test_what_is_split_is_put_together_again():
    """A body comes back from its record and parts, the user's own `$cas:` members included."""

    def check(body: bytes) -> None:
        try:
            value = parse(body)
        except NotCanonical:
            return
        before = canonical(value)
        record, parts = split(value)
        assert canonical(value) == before, "the body itself is left alone"
        again = restore(parse(canonical(record)), lambda digest: parts[digest].data)
        assert canonical(_with_media(again, parts, value)) == before
        assert canonical(split(value)[0]) == canonical(record)

    fuzz(check, texts(12) | st.sampled_from(FAMILIES), _bend_body, share=0.05, what="splits")


def _with_media(again: Any, parts: Any, like: Any) -> Any:
    """*again* with the markers that `restore` leaves, media's, made text where *like* has text."""
    if isinstance(again, dict) and isinstance(like, str):
        url_safe = "base64url" in again
        prefix = again["base64url" if url_safe else "base64"]
        code = base64.urlsafe_b64encode if url_safe else base64.b64encode
        return prefix + code(parts[again["$cas:part"]].data).decode()
    if isinstance(again, dict) and isinstance(like, dict) and again.keys() == like.keys():
        return {name: _with_media(again[name], parts, like[name]) for name in again}
    if isinstance(again, list) and isinstance(like, list) and len(again) == len(like):
        return [_with_media(*pair) for pair in zip(again, [parts] * len(like), like, strict=True)]
    return again


def test_a_normaliser_is_idempotent_and_blind_to_spelling():
    """Normalising twice is normalising once, and the order of members doesn't show in it."""
    normalisers = [normaliser(rule) for rule in NORMALISERS]
    bits = (*BODY_BYTES, b"2026-01-02T03:04:05Z", b"12:34", b"1:2:3", b"\\r\\n", "İ".encode())
    bits += (b'"id":"c1",', b'"tool_call_id":"c1",', b'"type":"tool_use",', b"-0000-4000-8000-")
    bits += (b"0a1b2c3d-0000-4000-8000-00000000abcd", b'"{\\"a\\":1}"', b'"a":', b'"[1]"')
    count = 0

    def check(body: bytes) -> None:
        nonlocal count
        told = meaning(body)
        if told is None:
            return
        value, other = parse(body), parse(respelled(told, random.Random(len(body))).encode())
        for rule in random.Random(len(body)).sample(normalisers, 4):
            once = rule(value)
            form = canonical(once)
            assert canonical(rule(once)) == form
            assert canonical(rule(other)) == form
            count += 1

    fuzz(
        check,
        texts(12) | st.sampled_from(FAMILIES),
        lambda data, rng: bent(data, rng, bits) if rng.random() < 0.7 else _bend_body(data, rng),
        share=0.04,
        what="bodies to normalisers",
    )
    print(f"{count} of them valid: body and normaliser")
    assert count


def test_any_request_has_a_key():
    """Whatever method, path, headers, coding and body: a whole record that is the same each time.

    Redacting what was redacted changes nothing more.
    """
    redactor = Redactor({"TOKEN": "hunter2hunter2"})
    names = ("anthropic-beta", "openai-beta", "api-version", "range", "x-portkey-config", "cookie")

    def check(request: Request) -> None:
        for rules in (Rules(), Rules(("trim", "uuid", "tool-order"), "space")):
            found, again = (
                key_record(request, "openai@host", rules, redactor.text) for _ in range(2)
            )
            assert found == again
            _assert_whole(found)
            assert b"hunter2hunter2" not in found.data
            assert all(b"hunter2hunter2" not in part.data for part in found.parts.values())

    def bend(request: Request, rng: random.Random) -> Request:
        body = _bend_body(request.body, rng)
        if rng.random() < 0.2:
            cut = rng.randrange(len(body) + 1)
            body = body[:cut] + b"hunter2hunter2" + body[cut:]
        headers = [("content-type", rng.choice(TYPES))] if rng.random() < 0.9 else []
        if rng.random() < 0.2:
            headers.append(("content-encoding", rng.choice(("gzip", "deflate", "br"))))
            body = gzip.compress(body) if rng.random() < 0.7 else body
        if rng.random() < 0.5:
            value = bent(b"a, b ,hunter2hunter2", rng, BYTES).decode("utf-8", "replace")
            headers.append((rng.choice(names), value))
        url = request.url
        if rng.random() < 0.5:
            url = URL + bent(b"/a?b=c&d", rng, BYTES).decode("utf-8", "replace")
        return Request(rng.choice(("POST", "GET", "put")), url, tuple(headers), body)

    bodies = texts(12) | st.sampled_from([*FAMILIES, MULTIPART]) | st.binary(max_size=64)
    paths = st.text(max_size=12).map(lambda text: f"{URL}/{text}")
    requests = st.builds(_post, bodies, st.sampled_from(TYPES), paths)
    fuzz(check, requests, bend, share=0.08, what="whole requests to their key")


def test_two_records_are_compared_without_an_error():
    """What differs is found between any two bodies, nothing where nothing does, in short lines."""

    def check(pair: tuple[bytes, bytes]) -> None:
        old, new = (key_record(_post(body), "openai") for body in pair)
        parts = {**old.parts, **new.parts}
        found = compare(
            load_record(old.data), load_record(new.data), lambda digest: parts[digest].data
        )
        assert bool(found) == (old.key != new.key)
        for difference in found:
            for text in shorten_pair(difference.old, difference.new, 40):
                assert len(text) <= 40

    def bend(pair: tuple[bytes, bytes], rng: random.Random) -> tuple[bytes, bytes]:
        return pair[0], _bend_body(pair[1] if rng.random() < 0.3 else pair[0], rng)

    bodies = texts(12) | st.sampled_from(FAMILIES)
    pairs = st.tuples(bodies, bodies)
    fuzz(check, pairs, bend, share=0.02, what="pairs of records compared")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_compared_with_any_other(number):
    """The difference of two numbers is told, however large they are."""
    records = [
        load_record(key_record(_post(f'{{"n": {n}}}'.encode()), "openai").data)
        for n in ("1700000000", number)
    ]
    assert compare(*records, lambda _: None)
