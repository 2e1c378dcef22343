"""Nothing a client or a server may send makes a provider raise."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.providers import Usage, provider_for
from cas_llm.providers.lines import HEIGHT, WIDTH
from cas_llm.streams.sse import Event

FAMILIES = ["openai", "anthropic", "gemini", "cohere", "bedrock", "http"]
NAMES = [
    "messages",
    "role",
    "content",
    "type",
    "text",
    "model",
    "input",
    "output",
    "choices",
    "message",
    "delta",
    "index",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "usage",
    "prompt_tokens",
    "input_tokens",
    "candidates",
    "parts",
    "functionCall",
    "functionResponse",
    "args",
    "response",
    "error",
    "data",
    "embedding",
    "results",
    "flagged",
    "categories",
    "refusal",
    "finish_reason",
    "logprobs",
    "tool_result",
    "tool_use",
    "source",
    "url",
    "image_url",
    "file_url",
    "stop_reason",
    "content_block",
    "partial_json",
    "usageMetadata",
    "contents",
    "requests",
    "texts",
    "inputs",
    "item",
    "output_index",
    "toolResult",
    "toolUse",
    "billed_units",
    "function_call",
    "tool_plan",
    "embeddings",
    "billed_units",
    "meta",
    "tokens",
    "inlineData",
    "mimeType",
    "codeExecutionResult",
    "summary",
]
WORDS = [
    "user",
    "assistant",
    "tool",
    "function",
    "model",
    "system",
    "text",
    "message",
    "error",
    "image_url",
    "input_text",
    "tool_result",
    "tool_use",
    "message_start",
    "message_delta",
    "content_block_start",
    "content_block_delta",
    "input_json_delta",
    "text_delta",
    "citations_delta",
    "response.created",
    "response.output_item.added",
    "response.output_text.delta",
    "response.function_call_arguments.delta",
    "response.refusal.delta",
    "response.completed",
    "message-start",
    "content-start",
    "content-delta",
    "tool-call-start",
    "tool-call-delta",
    "message-end",
    "stream-end",
    "reasoning",
    "function_call",
    "function_call_output",
    "mcp_approval_response",
    "{}",
    '{"a":1}',
    "[",
    '""',
    chr(0xD800),
    "\x00",
    "data:",
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=25,
)


def shown_well(lines):
    assert len(lines) <= HEIGHT
    for line in lines:
        assert 0 < len(line) <= WIDTH
        assert not re.search(r"[\x00-\x1f]", line)
        line.encode()


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, deadline=None)
@given(value=VALUES, path=st.text(max_size=20))
def test_any_value_is_read(family, value, path):
    """Requests and answers of any shape give lines, a usage or nothing."""
    provider = provider_for(family)
    assert isinstance(provider.requested_model(value, path), str)
    shown_well(provider.ask(value))
    shown_well(provider.answer(value))
    assert provider.usage(value) is None or isinstance(provider.usage(value), Usage)
    assert isinstance(provider.resolved_model(value), str)
    assert isinstance(provider.text(value), str)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, deadline=None)
@given(chunks=st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), max_size=5))
def test_any_stream_is_assembled_or_given_up(family, chunks):
    """Events of any shape give an answer that can be shown."""
    provider = provider_for(family)
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()
    message = provider.message(body, "text/event-stream; charset=utf-8")
    shown_well(provider.answer(message))
    provider.usage(message)
    assert all(provider.ends_stream(Event("", json.dumps(c))) in {True, False} for c in chunks)
    provider.message(json.dumps(chunks).encode(), "application/json")


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=80))
def test_any_bytes_are_read(family, body):
    """Bytes that are no answer at all give None or a value, never an exception."""
    provider = provider_for(family)
    for kind in ("application/json", "text/event-stream", "", "application/vnd.amazon.eventstream"):
        shown_well(provider.answer(provider.message(body, kind)))


@pytest.mark.parametrize("family", FAMILIES)
def test_depth_and_size_do_no_harm(family):
    """Deeply nested and very long answers are read or given up."""
    provider = provider_for(family)
    for body in (b"[" * 100_000, b'{"delta":' * 900 + b"1" + b"}" * 900, b"9" * 5000, b'"\\ud800"'):
        provider.answer(provider.message(body, "application/json"))
        provider.answer(
            provider.message(b"data: " + body + b"\n\n" + b"data: " + body, "text/event-stream")
        )
    deep = {}
    for _ in range(5000):
        deep = {"content": [deep], "arguments": deep}
    provider.ask({"messages": [{"role": "tool", "content": deep}]})
    provider.ask({"messages": [{"role": "user", "content": "a" * 1_000_000}]})


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(message=st.text(), status=st.integers(400, 599))
def test_an_error_shows_its_message(family, message, status):
    """An error body is JSON, and the family itself finds the message in it."""
    provider = provider_for(family)
    value = json.loads(provider.error(status, message))
    said = value.get("message") or value.get("error", {}).get("message")
    assert (said or "") == re.sub(r"[\ud800-\udfff]", "\ufffd", message)
    body = provider.error(status, "no recording for this request")
    assert provider.answer(json.loads(body)) == ("error: no recording for this request",)
