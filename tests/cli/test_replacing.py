"""Another text in every shape of answer, plain and streamed."""

from __future__ import annotations

import json

import pytest

from cas_llm.cli.replacing import checked, cut, laid_out, with_text
from cas_llm.errors import CasLLMError
from cas_llm.providers import provider_for
from cas_llm.wire import Chunk

CHAT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "old"}}]}
RESPONSES = {
    "output": [
        {"type": "reasoning", "summary": []},
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "old", "annotations": []},
                {"type": "output_text", "text": " more", "annotations": []},
            ],
        },
    ]
}
MESSAGES = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "old"}],
}
GEMINI = {
    "candidates": [
        {"content": {"parts": [{"text": "hm", "thought": True}, {"text": "old"}], "role": "model"}}
    ]
}


def sse(*events: object, named: bool = False) -> bytes:
    """An event stream of *events*."""
    lines = []
    for event in events:
        if named:
            lines.append(f"event: {event['type']}\n")
        data = event if isinstance(event, str) else json.dumps(event)
        lines.append(f"data: {data}\n\n")
    return "".join(lines).encode()


def delta(**members: object) -> dict[str, object]:
    """A chat chunk."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": members}]}


STREAMS = {
    "openai chat": (
        "openai",
        sse(delta(role="assistant", content=""), delta(content="o"), delta(content="ld"), "[DONE]"),
    ),
    "openai responses": (
        "openai",
        sse(
            {"type": "response.output_text.delta", "output_index": 0, "delta": "ol"},
            {"type": "response.output_text.delta", "output_index": 0, "delta": "d"},
            {"type": "response.output_text.done", "output_index": 0, "text": "old"},
            {"type": "response.completed", "response": {"status": "completed", **RESPONSES}},
            named=True,
        ),
    ),
    "anthropic": (
        "anthropic",
        sse(
            {"type": "message_start", "message": {**MESSAGES, "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": MESSAGES["content"][1]},
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": "er"},
            },
            {"type": "message_stop"},
            named=True,
        ),
    ),
    "gemini": ("gemini", sse(GEMINI, GEMINI)),
}


@pytest.mark.parametrize(
    ("family", "shape"),
    [("openai", CHAT), ("openai", RESPONSES), ("anthropic", MESSAGES), ("gemini", GEMINI)],
    ids=["chat", "responses", "messages", "generateContent"],
)
def test_a_whole_answer_says_the_new_text(family: str, shape: dict[str, object]) -> None:
    """Only what the assistant said changes; thoughts and all other members stay."""
    body = with_text(json.dumps(shape).encode(), "Grüße\nnew", stream=False)
    provider = provider_for(family)
    assert provider.text(provider.message(body, "application/json")) == "Grüße\nnew"
    assert json.dumps(json.loads(body)).count("hm") == json.dumps(shape).count("hm")


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says_the_new_text(name: str) -> None:
    """The first delta carries the text, the others are empty, every event stays."""
    family, old = STREAMS[name]
    body = with_text(old, "new", stream=True)
    provider = provider_for(family)
    assert provider.text(provider.message(body, "text/event-stream")) == "new"
    assert body.count(b"data:") == old.count(b"data:")
    assert body.count(b"event:") == old.count(b"event:")


def test_an_answer_that_only_calls_tools_can_be_given_a_text() -> None:
    """A chat message's null content is a place for a text."""
    shape = {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": []}}]}
    body = with_text(json.dumps(shape).encode(), "new", stream=False)
    assert json.loads(body)["choices"][0]["message"]["content"] == "new"


@pytest.mark.parametrize("body", [b'{"data":[]}', b"plain", b"", b"[1]", b"data: x\n\n"])
def test_an_answer_without_a_place_for_text_is_refused(body: bytes) -> None:
    """The error says how to change such a body all the same."""
    for stream in (False, True):
        with pytest.raises(CasLLMError, match="--file FILE"):
            with_text(body, "new", stream=stream)


def test_a_json_body_must_stay_json() -> None:
    """What an editor left half done is refused, and layout alone is no change."""
    old = b'{"a": 1}'
    with pytest.raises(CasLLMError, match="not valid JSON"):
        checked(old, b'{"a": ')
    assert checked(old, laid_out(old)) == old
    assert checked(old, b'{"a":\n 2}') == b'{"a":2}'
    assert checked(b"text", b"other {") == b"other {"


def test_an_edited_stream_keeps_its_pieces_and_their_times() -> None:
    """Lengths add up to the new body, times stay, pieces before the change stay as they are."""
    _, old = STREAMS["openai chat"]
    size = len(old) // 4
    chunks = tuple(Chunk(size, n / 10) for n in range(4))
    chunks = (*chunks, Chunk(len(old) - 4 * size, 0.5))
    for text in ("", "x", "a much longer text than there was " * 20):
        body = with_text(old, text, stream=True)
        pieces = cut(chunks, old, body)
        assert sum(piece.length for piece in pieces) == len(body)
        assert all(piece.length > 0 for piece in pieces)
        assert {piece.at for piece in pieces} <= {chunk.at for chunk in chunks}
        assert pieces[0] == chunks[0]
    assert cut(chunks, old, old) == chunks
    assert cut((), old, b"new") == ()


def test_media_cannot_go_to_an_editor() -> None:
    """Bytes that are no text are refused with the way to give them."""
    with pytest.raises(CasLLMError, match="--file"):
        laid_out(b"\xff\xfe")
