"""What `Redactor.body` takes out of answers: JSON, streams, text, bytes."""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Callable
from typing import Any

import pytest

from cas_llm.redact import Finding, Redactor
from cas_llm.wire import Chunk

ALNUM = string.ascii_letters + string.digits
SECRET = "sk-" + "proj-" + "".join(random.Random(4).choices(ALNUM, k=40)) + "7"
TOLD = "[cas-llm:openai-key:1]"

Shape = tuple[Callable[[str], dict[str, Any]], Callable[[dict[str, Any]], str]]

SHAPES: dict[str, Shape] = {
    "openai chat": (
        lambda t: {"id": "c", "choices": [{"index": 0, "delta": {"content": t}}]},
        lambda e: e["choices"][0]["delta"]["content"],
    ),
    "openai tool call": (
        lambda t: {
            "choices": [
                {"index": 0, "delta": {"tool_calls": [{"index": 1, "function": {"arguments": t}}]}}
            ]
        },
        lambda e: e["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"],
    ),
    "anthropic": (
        lambda t: {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": t},
        },
        lambda e: e["delta"]["text"],
    ),
    "responses": (
        lambda t: {
            "type": "response.output_text.delta",
            "item_id": "m",
            "output_index": 0,
            "content_index": 0,
            "delta": t,
        },
        lambda e: e["delta"],
    ),
    "gemini": (
        lambda t: {"candidates": [{"content": {"parts": [{"text": t}], "role": "model"}}]},
        lambda e: e["candidates"][0]["content"]["parts"][0]["text"],
    ),
}


def stream(events: list[dict[str, Any]], end: str = "\n\n") -> list[bytes]:
    return [f"data: {json.dumps(event)}{end}".encode() for event in events]


def read(body: bytes) -> list[dict[str, Any]]:
    lines = body.decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def cut(parts: list[bytes]) -> tuple[Chunk, ...]:
    return tuple(Chunk(len(part), index / 10) for index, part in enumerate(parts))


@pytest.mark.parametrize("name", SHAPES)
def test_a_secret_split_over_two_deltas_is_replaced_at_every_split(name: str) -> None:
    """The placeholder stands where it starts; the stream parses and adds up to the same text."""
    make, take = SHAPES[name]
    text = f"Key: {SECRET}, ok"
    for at in range(len(text) + 1):
        parts = stream([make("é"), make(text[:at]), make(text[at:]), make("!")])
        body, chunks, found = Redactor().body(b"".join(parts), "text/event-stream", cut(parts))
        events = read(body)
        assert "".join(map(take, events)) == f"éKey: {TOLD}, ok!"
        assert len(events) == 4
        assert sum(chunk.length for chunk in chunks) == len(body)
        assert [finding.kind for finding in found] == ["openai-key"]
        assert body.startswith(parts[0])
        assert body.endswith(parts[3])


@pytest.mark.parametrize("name", SHAPES)
def test_a_secret_in_many_deltas_is_replaced(name: str) -> None:
    """One character a delta, between other events, with other line ends."""
    make, take = SHAPES[name]
    events = [make(char) for char in f"a\n{SECRET}\nb {SECRET}"]
    parts = stream(events, "\r\n\r\n")
    parts.insert(9, b": keep-alive\r\n\r\n")
    body, chunks, found = Redactor().body(b"".join(parts), "text/event-stream", cut(parts))
    assert "".join(map(take, read(body))) == f"a\n{TOLD}\nb {TOLD}"
    assert sum(chunk.length for chunk in chunks) == len(body)
    assert b": keep-alive\r\n\r\n" in body
    assert found[0].path.startswith("event 2 $.")


def test_deltas_of_different_fields_are_not_joined() -> None:
    """Two choices in turn hold a secret each, and neither is mixed with the other's text."""
    other = SECRET[::-1].replace("-jorp-ks", "")
    other = "gsk" + "_" + other + other
    events = []
    for a, b in zip(SECRET.ljust(len(other)), other, strict=True):
        events += [
            {"choices": [{"index": 0, "delta": {"content": a}}]},
            {"choices": [{"index": 1, "delta": {"content": b}}]},
        ]
    body, _, found = Redactor().body(b"".join(stream(events)), "text/event-stream", ())
    texts = ["", ""]
    for event in read(body):
        choice = event["choices"][0]
        texts[choice["index"]] += choice["delta"]["content"]
    assert texts[0].strip() == TOLD
    assert texts[1] == "[cas-llm:groq-key:2]"
    assert len(found) == 2


def test_a_secret_glued_to_a_word_is_replaced_whole() -> None:
    """A delta that starts with a key after a letter doesn't leave the key's tail in the next."""
    make, take = SHAPES["openai chat"]
    parts = stream([make("the"), make(SECRET[:30]), make(SECRET[30:] + " end")])
    body, _, _ = Redactor().body(b"".join(parts), "text/event-stream", ())
    assert "".join(map(take, read(body))) == f"the{TOLD} end"


def test_cumulative_events_keep_their_text() -> None:
    """Where each event repeats the text so far, each is searched alone."""
    make, take = SHAPES["gemini"]
    texts = [f"Your key is {SECRET}", f"Your key is {SECRET} and", f"Your key is {SECRET} and more"]
    body, _, _ = Redactor().body(
        b"".join(stream([make(t) for t in texts])), "text/event-stream", ()
    )
    assert [take(event) for event in read(body)] == [t.replace(SECRET, TOLD) for t in texts]


def test_events_over_several_data_lines_are_read_as_one() -> None:
    """The lines of one event are one JSON text."""
    make, take = SHAPES["anthropic"]
    whole = json.dumps(make(f"x {SECRET}"), indent=1)
    raw = "event: e\n" + "".join(f"data: {line}\n" for line in whole.split("\n")) + "\n"
    body, _, _ = Redactor().body(raw.encode(), "text/event-stream", ())
    joined = "\n".join(line[6:] for line in body.decode().splitlines() if line[:5] == "data:")
    assert take(json.loads(joined)) == f"x {TOLD}"


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json"])
def test_json_lines_are_a_stream_too(kind: str) -> None:
    """A secret split over two lines is found."""
    raw = "".join(
        json.dumps({"message": {"content": part}}) + "\n" for part in ("a ", SECRET[:9], SECRET[9:])
    )
    body, _, _ = Redactor().body(raw.encode(), kind, ())
    assert [json.loads(line)["message"]["content"] for line in body.splitlines()] == [
        "a ",
        TOLD,
        "",
    ]


def test_a_json_array_is_a_stream_too() -> None:
    """Gemini without alt=sse streams the elements of one array."""
    make, take = SHAPES["gemini"]
    raw = json.dumps([make(SECRET[:20]), make(SECRET[20:])], indent=2).encode()
    parts = [raw[:100], raw[100:150], raw[150:]]
    body, chunks, _ = Redactor().body(raw, "application/json", cut(parts))
    assert [take(event) for event in json.loads(body)] == [TOLD, ""]
    assert sum(chunk.length for chunk in chunks) == len(body)


def test_token_lists_do_not_spell_the_secret_again() -> None:
    """Log probabilities repeat the text as tokens and as bytes."""
    tokens = ["k: ", *(SECRET[i : i + 4] for i in range(0, len(SECRET), 4))]
    answer = {
        "choices": [
            {
                "index": 0,
                "message": {"content": f"k: {SECRET}"},
                "logprobs": {
                    "content": [
                        {"token": t, "bytes": list(t.encode()), "top_logprobs": [{"token": t}]}
                        for t in tokens
                    ]
                },
            }
        ]
    }
    body, _, _ = Redactor().body(json.dumps(answer).encode(), "application/json", ())
    choice = json.loads(body)["choices"][0]
    assert choice["message"]["content"] == f"k: {TOLD}"
    content = choice["logprobs"]["content"]
    assert "".join(item["token"] for item in content) == f"k: {TOLD}"
    assert [item["bytes"] for item in content] == [None] * len(tokens)
    assert [item["top_logprobs"] for item in content] == [[]] * len(tokens)


def test_only_the_secret_of_a_json_body_changes() -> None:
    """Spaces, number forms, doubled names and the rest of the bytes stay; the path is told."""
    raw = f'{{ "n":1.0,"n":1e2, "t" : ["é\\u0041", "{SECRET}"]}}\n'.encode()
    body, _, found = Redactor().body(raw, "application/json", ())
    assert body == raw.replace(SECRET.encode(), TOLD.encode())
    assert found == (Finding("openai-key", "$.t[1]"),)
    assert str(found[0]) == "openai-key at $.t[1]"


def test_a_finding_never_holds_the_value() -> None:
    """A secret as a member name is not in the path."""
    raw = json.dumps({SECRET: {"a": SECRET}}).encode()
    _, _, found = Redactor().body(raw, "application/json", ())
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b'{"a": "b"}', "application/json"),
        (b"data: {}\n\ndata: [DONE]\n\n", "text/event-stream"),
        (b"data: \xff\xfe {\n\n", "text/event-stream"),
        (b"\xff\x00" + SECRET.encode(), "image/png"),
        (b"plain", "text/plain; charset=utf-8"),
        (b"[" * 3000, "application/json"),
    ],
)
def test_a_clean_body_is_the_same_object(body: bytes, kind: str) -> None:
    """Body and chunks come back as they are, formats in binary bodies too."""
    chunks = (Chunk(len(body), 0.1),)
    done = Redactor().body(body, kind, chunks)
    assert done[0] is body
    assert done[1] is chunks
    assert done[2] == ()


def test_a_named_value_goes_from_bytes_too() -> None:
    """What isn't text is searched for the literal values."""
    value = "Zebra!" + "9" * 3 + "q"
    raw = b"\xff\xfe" + value.encode() + b"\x80" * 5
    body, chunks, found = Redactor({"A_TOKEN": value}).body(
        raw, "audio/mpeg", (Chunk(4, 0.0), Chunk(len(raw) - 4, 0.1))
    )
    assert body == b"\xff\xfe[cas-llm:env:A_TOKEN:1]" + b"\x80" * 5
    assert sum(chunk.length for chunk in chunks) == len(body)
    assert found == (Finding("env:A_TOKEN", "$"),)


def test_broken_utf8_stays_broken() -> None:
    """Bytes that are no UTF-8 come back as they were around the placeholder."""
    body, _, _ = Redactor().body(b"\xff " + SECRET.encode() + b" \xfe", "text/plain", ())
    assert body == b"\xff " + TOLD.encode() + b" \xfe"


def test_a_rule_never_breaks_an_event() -> None:
    """Where a user's rule reaches over strings and numbers, each event stays valid JSON."""
    make, take = SHAPES["openai chat"]
    parts = stream([{**make(f"a {SECRET[:9]}"), "n": 12345}, {**make(SECRET[9:]), "n": 12345}])
    for rule in (r"\d{5}", r'"n": \d+', r'index": 0, "d', r'"choices".*'):
        redactor = Redactor(rules=[("mine", rule)])
        body, chunks, found = redactor.body(b"".join(parts), "text/event-stream", cut(parts))
        assert len(read(body)) == 2
        assert SECRET[9:20] not in body.decode()
        assert sum(chunk.length for chunk in chunks) == len(body)
        assert found
    assert take(make("x")) == "x"


def test_a_long_clean_stream_is_read_in_good_time() -> None:
    """Four thousand deltas take less time than the call took by far."""
    words = [
        "The",
        "quick",
        "brown",
        "fox",
        "jumps",
        "over",
        "the",
        "lazy",
        "dog",
        "and",
        "task-based",
        "risk-free",
        "ventures.",
        "",
    ]
    make, _ = SHAPES["openai chat"]
    raw = b"".join(stream([make(words[i % len(words)]) for i in range(4000)]))
    began = time.perf_counter()
    assert Redactor().body(raw, "text/event-stream", ())[0] is raw
    took = time.perf_counter() - began
    print(f"{took * 1e3:.0f} ms for {len(raw)} bytes")
    assert took < 2
