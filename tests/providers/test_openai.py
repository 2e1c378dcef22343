"""The OpenAI family is read and assembled as its own SDK does."""

import json

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from cas_llm.providers import Usage, provider_for
from cas_llm.streams.sse import Event

OPENAI = provider_for("openai")


def chunk(*choices, **more):
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "m-1",
        "choices": list(choices),
        **more,
    }


def delta(index=0, finish=None, **delta):
    return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}


def tool(index, **function):
    more = {name: function.pop(name) for name in ("id", "type") if name in function}
    return {"index": index, **more, "function": function}


def stream(*chunks, done=True):
    text = "".join(f"data: {json.dumps(c)}\n\n" for c in chunks)
    return (text + "data: [DONE]\n\n" * done).encode()


TEXT = [
    chunk(delta(role="assistant", content="", refusal=None), usage=None),
    chunk(delta(content="Hel")),
    chunk(delta(content="lo")),
    chunk(delta(finish="stop")),
    chunk(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
]
TOOLS = [
    chunk(
        delta(
            role="assistant",
            content=None,
            tool_calls=[tool(0, id="a", type="function", name="f", arguments="")],
        )
    ),
    chunk(delta(tool_calls=[tool(0, arguments='{"x":')])),
    chunk(
        delta(
            tool_calls=[
                tool(0, arguments=" 1}"),
                tool(1, id="b", type="function", name="g", arguments="{"),
            ]
        )
    ),
    chunk(delta(tool_calls=[tool(1, arguments="}")])),
    chunk(delta(finish="tool_calls")),
]
TWO = [
    chunk(delta(0, role="assistant", content="a"), delta(1, role="assistant", content="x")),
    chunk(delta(1, content="y")),
    chunk(delta(0, content="b")),
    chunk(delta(0, finish="stop"), delta(1, finish="length")),
]
REFUSAL = [
    chunk(delta(role="assistant", content=None, refusal="I ")),
    chunk(delta(refusal="won't")),
    chunk(delta(finish="stop")),
]


def without_none(value):
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None and k != "parsed"}
    return [without_none(v) for v in value] if isinstance(value, list) else value


def by_the_sdk(chunks):
    state = ChatCompletionStreamState()
    for value in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(value))
    answer = state.current_completion_snapshot.model_dump(warnings=False)
    for choice in answer["choices"]:
        for call in choice["message"].get("tool_calls") or []:
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
    return without_none(answer)


@pytest.mark.parametrize(
    "chunks", [TEXT, TOOLS, TWO, REFUSAL], ids=["text", "tools", "two", "refusal"]
)
def test_a_chat_stream_is_assembled_as_the_sdk_does(chunks):
    """The assembled answer equals the SDK's own, tool calls and several choices included."""
    ours = OPENAI.message(stream(*chunks), "text/event-stream")
    assert without_none(ours) == by_the_sdk(chunks)
    assert ours["object"] == "chat.completion"


def test_a_cut_off_stream_gives_what_had_arrived():
    """Without its end a stream still shows its text and calls."""
    body = stream(*TOOLS[:2], done=False)[:-9]
    assert OPENAI.answer(OPENAI.message(body, "text/event-stream")) == ("f()",)
    body = stream(*TEXT[:3], done=False)
    assert OPENAI.text(OPENAI.message(body, "text/event-stream")) == "Hello"


def test_an_answer_shows_text_calls_refusal_and_finish():
    """Each thing the model did is a line, in the answer's order."""
    show = lambda chunks: OPENAI.answer(OPENAI.message(stream(*chunks), "text/event-stream"))  # noqa: E731
    assert show(TEXT) == ("Hello",)
    assert show(TOOLS) == ("f(x=1)", "g()")
    assert show(TWO) == ("ab", "xy", "finish: length")
    assert show(REFUSAL) == ("refusal: I won't",)


RESPONSE = {
    "id": "r",
    "object": "response",
    "model": "m-2",
    "status": "completed",
    "output": [
        {"type": "reasoning", "id": "rs", "summary": []},
        {
            "type": "function_call",
            "name": "f",
            "arguments": '{"city": "Rome", "n": 2}',
            "call_id": "x",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi"}],
        },
    ],
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
    },
}
PIECES = [
    {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": []}},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"type": "function_call", "name": "f", "arguments": ""},
    },
    {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a":'},
    {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "1}"},
    {
        "type": "response.output_item.added",
        "output_index": 1,
        "item": {"type": "message", "role": "assistant", "content": []},
    },
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Hi "},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "there"},
]


def test_a_response_reads_like_its_stream():
    """The last event of a Responses stream is the answer."""
    done = {"type": "response.completed", "response": RESPONSE}
    message = OPENAI.message(stream(*PIECES, done, done=False), "text/event-stream")
    assert message == RESPONSE
    assert OPENAI.answer(message) == ('f(city="Rome", n=2)', "Hi")
    assert OPENAI.usage(message) == Usage(9, 7, 4, 3)
    assert OPENAI.resolved_model(message) == "m-2"


def test_a_cut_off_response_is_built_from_its_deltas():
    """What had arrived of text and arguments is shown, and that it never ended."""
    message = OPENAI.message(stream(*PIECES, done=False), "text/event-stream")
    assert OPENAI.answer(message) == ("f(a=1)", "Hi there", "finish: in_progress")
    assert OPENAI.text(message) == "Hi there"


def test_only_last_events_end_a_stream():
    """The SDKs close a stream at these events and at no others."""
    for name in ("response.completed", "response.failed", "response.incomplete", "error"):
        assert OPENAI.ends_stream(Event(name, "{}"))
        assert OPENAI.ends_stream(Event("", json.dumps({"type": name})))
    assert OPENAI.ends_stream(Event("", "[DONE]"))
    talk = chunk(delta(content='"response.completed" [DONE]'))
    assert not OPENAI.ends_stream(Event("", json.dumps(talk)))
    assert not OPENAI.ends_stream(Event("response.created", "{}"))


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ({"messages": [turn("system", "s"), turn("user", "hi\n\nyou")]}, ("hi", "you")),
        (
            {
                "messages": [
                    turn("user", "q"),
                    turn("assistant", None),
                    turn("tool", "1"),
                    turn("tool", "2"),
                ]
            },
            ("tool: 1", "tool: 2"),
        ),
        ({"messages": [turn("user", "q"), turn("assistant", "a")]}, ("q",)),
        (
            {
                "messages": [
                    turn(
                        "user",
                        [
                            {"type": "text", "text": "see "},
                            {
                                "type": "image_url",
                                "image_url": {"url": "data:image/png;base64,AAAA"},
                            },
                        ],
                    )
                ]
            },
            ("see [image]",),
        ),
        ({"input": "hi"}, ("hi",)),
        ({"input": ["a", "b"], "model": "e"}, ("a", "b")),
        ({"input": [1, 2, 3], "model": "e"}, ("[3 tokens]",)),
        (
            {
                "input": [
                    turn("user", "q"),
                    {"type": "function_call"},
                    {"type": "function_call_output", "output": "7"},
                ]
            },
            ("tool: 7",),
        ),
        ({"prompt": "a cat"}, ("a cat",)),
        ({}, ()),
        (None, ()),
    ],
)
def test_an_ask_shows_what_is_new(body, lines):
    """The last user turn or the tool results since the model spoke, and nothing older."""
    assert OPENAI.ask(body) == lines


def test_the_deployment_is_the_model_where_the_body_names_none():
    """Azure names the model in the path."""
    path = "/openai/deployments/my%20gpt/chat/completions"
    assert OPENAI.requested_model({}, path) == "my gpt"
    assert OPENAI.requested_model({"model": "m"}, path) == "m"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ({"object": "list", "data": [{"embedding": [1]}, {"embedding": [2]}]}, "[2 embeddings]"),
        ({"data": [{"b64_json": "AA"}]}, "[1 image]"),
        (
            {"results": [{"flagged": True, "categories": {"violence": True, "hate": False}}]},
            "flagged: violence",
        ),
        ({"text": "said"}, "said"),
        ({"error": {"message": "no such model"}}, "error: no such model"),
        ({"object": "file.deleted"}, "[file.deleted]"),
    ],
)
def test_other_answers_are_named(message, line):
    """Vectors, images, verdicts and errors are one line each."""
    assert OPENAI.answer(message) == (line,)
