"""Anthropic, Gemini, Cohere and Bedrock answers are read, from streams as from whole bodies."""

import base64
import json

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from cas_llm.providers import Usage, provider_for
from cas_llm.streams.sse import Event

ANTHROPIC, GEMINI = provider_for("anthropic"), provider_for("gemini")
COHERE, BEDROCK = provider_for("cohere"), provider_for("bedrock")


def stream(*events):
    return "".join(f"event: {e.get('type')}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


def started(index, **block):
    return {"type": "content_block_start", "index": index, "content_block": block}


def added(index, **delta):
    return {"type": "content_block_delta", "index": index, "delta": delta}


MESSAGE = [
    {
        "type": "message_start",
        "message": {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1},
        },
    },
    started(0, type="thinking", thinking="", signature=""),
    added(0, type="thinking_delta", thinking="hmm"),
    added(0, type="signature_delta", signature="sig"),
    {"type": "content_block_stop", "index": 0},
    started(1, type="text", text=""),
    added(1, type="text_delta", text="Hel"),
    added(1, type="text_delta", text="lo"),
    {"type": "content_block_stop", "index": 1},
    started(2, type="tool_use", id="t", name="f", input={}),
    added(2, type="input_json_delta", partial_json='{"a": '),
    added(2, type="input_json_delta", partial_json='"b"}'),
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
]


def test_a_message_stream_is_assembled_as_the_sdk_does():
    """The assembled message equals the one that Anthropic's SDK accumulates."""
    adapter = TypeAdapter(RawMessageStreamEvent)
    snapshot, buffers = None, {}
    for event in MESSAGE:
        snapshot = accumulate_event(
            event=adapter.validate_python(event), current_snapshot=snapshot, json_bufs=buffers
        )
    theirs = snapshot.model_dump(exclude_none=True, warnings=False)
    ours = ANTHROPIC.message(stream(*MESSAGE), "text/event-stream")
    assert {k: v for k, v in ours.items() if v is not None} == theirs


def test_a_message_shows_text_calls_and_usage():
    """Thoughts are left out; cached tokens count as input."""
    message = ANTHROPIC.message(stream(*MESSAGE), "text/event-stream")
    assert ANTHROPIC.answer(message) == ("Hello", 'f(a="b")')
    assert ANTHROPIC.usage(message) == Usage(input=7, output=9, cached_input=2)
    assert ANTHROPIC.text(message) == "Hello"
    cut = ANTHROPIC.message(stream(*MESSAGE[:11]), "text/event-stream")
    assert ANTHROPIC.answer(cut) == ("Hello", "f()")


def test_a_user_turn_shows_tool_results_part_by_part():
    """A turn of tool results and text is shown in its order."""
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "7"}]}
    content = [
        result,
        {"type": "image", "source": {"type": "base64", "data": "A"}},
        {"type": "text", "text": "ok?"},
    ]
    body = {"messages": [{"role": "user", "content": content}]}
    assert ANTHROPIC.ask(body) == ("tool: 7", "[image]", "ok?")


@pytest.mark.parametrize(
    ("family", "last", "other"),
    [
        ("anthropic", "message_stop", "message_delta"),
        ("cohere", "message-end", "content-end"),
        ("openai", "response.completed", "response.created"),
    ],
)
def test_each_family_has_its_last_event(family, last, other):
    """The last event is known by name, or by the type inside where no name was sent."""
    provider = provider_for(family)
    assert provider.ends_stream(Event(last, "{}"))
    assert provider.ends_stream(Event("", json.dumps({"type": last})))
    assert not provider.ends_stream(Event(other, "{}"))
    assert not provider.ends_stream(Event("", json.dumps({"type": other})))


PIECES = [
    {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "why", "thought": True}]}, "index": 0}
        ]
    },
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hel"}]}, "index": 0}]},
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "lo"}]}, "index": 0}]},
    {
        "candidates": [
            {
                "content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 4,
            "candidatesTokenCount": 2,
            "thoughtsTokenCount": 3,
        },
        "modelVersion": "gemini-x",
    },
]


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
def test_a_gemini_stream_comes_as_events_or_as_a_list(kind):
    """Both forms of streamGenerateContent give the same answer."""
    body = stream(*PIECES) if "event" in kind else json.dumps(PIECES).encode()
    message = GEMINI.message(body, kind)
    assert GEMINI.text(message) == "Hello"
    assert GEMINI.answer(message) == ("Hello", "f(a=1)")
    assert GEMINI.usage(message) == Usage(input=4, output=5, reasoning=3)
    assert GEMINI.resolved_model(message) == "gemini-x"
    assert not any(GEMINI.ends_stream(Event("", json.dumps(piece))) for piece in PIECES)


def test_a_gemini_request_shows_its_last_turn_and_its_model():
    """Function responses are tool results; the model stands in the path."""
    response = {"functionResponse": {"name": "f", "response": {"result": 7}}}
    contents = [
        {"role": "user", "parts": [{"text": "q"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
        {"role": "user", "parts": [response]},
    ]
    assert GEMINI.ask({"contents": contents}) == ("tool: 7",)
    assert GEMINI.ask({"requests": [{"content": {"parts": [{"text": "embed"}]}}]}) == ("embed",)
    assert GEMINI.requested_model({}, "/v1beta/models/gemini-y:generateContent") == "gemini-y"


def test_a_cohere_stream_is_assembled():
    """Text and tool calls of a version 2 stream have the shape of a whole answer."""
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = [{"function": {"arguments": text}} for text in ('{"a":', "1}")]
    events = [
        {"type": "message-start", "id": "i", "delta": {"message": {"role": "assistant"}}},
        {
            "type": "content-start",
            "index": 0,
            "delta": {"message": {"content": {"type": "text", "text": ""}}},
        },
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}},
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}},
        *(
            {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": m}}}
            for m in more
        ),
        {
            "type": "message-end",
            "delta": {
                "finish_reason": "MAX_TOKENS",
                "usage": {"billed_units": {"input_tokens": 3, "output_tokens": 1}},
            },
        },
    ]
    message = COHERE.message(stream(*events), "text/event-stream")
    assert message["message"]["content"] == [{"type": "text", "text": "Hi"}]
    assert COHERE.answer(message) == ("Hi", "f(a=1)", "finish: MAX_TOKENS")
    assert COHERE.usage(message) == Usage(input=3, output=1)


def frame(event):
    payload = json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode()
    size = (16 + len(payload)).to_bytes(4, "big")
    return size + bytes(8) + payload + bytes(4)


def test_a_bedrock_stream_is_taken_out_of_its_frames():
    """Frames hold Anthropic's events; a cut-off frame is left out."""
    body = b"".join(frame(event) for event in MESSAGE)
    kind = "application/vnd.amazon.eventstream"
    assert BEDROCK.answer(BEDROCK.message(body, kind)) == ("Hello", 'f(a="b")')
    assert BEDROCK.text(BEDROCK.message(body[:-600], kind)) == "Hello"
    assert (
        BEDROCK.requested_model({}, "/model/us.anthropic.claude-x%3A0/invoke")
        == "us.anthropic.claude-x:0"
    )


def test_converse_is_read_too():
    """The converse shapes of requests and answers have lines and a usage."""
    told = {"toolResult": {"content": [{"json": {"n": 1}}]}}
    assert BEDROCK.ask({"messages": [{"role": "user", "content": [told]}]}) == ('tool: [{"n": 1}]',)
    said = [{"text": "Hi"}, {"toolUse": {"name": "f", "input": {"a": 1}}}]
    answer = {
        "output": {"message": {"content": said}},
        "usage": {"inputTokens": 2, "outputTokens": 1},
    }
    assert BEDROCK.answer(answer) == ("Hi", "f(a=1)")
    assert BEDROCK.usage(answer) == Usage(input=2, output=1)


def test_a_converse_stream_is_put_together():
    """Its events have no type: text and calls are told by their blocks, cut off or not."""
    call = {"toolUse": {"toolUseId": "t", "name": "f"}}
    events = [
        {"role": "assistant"},
        {"contentBlockIndex": 0, "delta": {"text": "Hel"}},
        {"contentBlockIndex": 0, "delta": {"text": "lo"}},
        {"contentBlockIndex": 0},
        {"contentBlockIndex": 1, "start": call},
        {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a":'}}},
        {"contentBlockIndex": 1, "delta": {"toolUse": {"input": " 1}"}}},
        {"stopReason": "tool_use"},
        {"usage": {"inputTokens": 2, "outputTokens": 1}},
    ]
    kind = "application/vnd.amazon.eventstream"
    whole = BEDROCK.message(b"".join(map(frame, events)), kind)
    assert BEDROCK.answer(whole) == ("Hello", "f(a=1)")
    assert BEDROCK.usage(whole) == Usage(input=2, output=1)
    assert BEDROCK.text(BEDROCK.message(b"".join(map(frame, events[:2])), kind)) == "Hel"
