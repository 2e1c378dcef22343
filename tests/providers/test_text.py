"""Text comes out of every shape an SDK gives, and out of nothing else."""

import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from cas_llm.providers.text import text_of

CHAT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}},
    ],
}
RESPONSE = {
    "id": "r",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "output": [
        {
            "id": "o",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
        },
    ],
}
MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "content": [{"type": "text", "text": "Hi"}],
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
THREAD = {
    "role": "assistant",
    "content": [{"type": "text", "text": {"value": "Hi", "annotations": []}}],
}
GEMINI = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}
COHERE = {"message": {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}}
CONVERSE = {"output": {"message": {"content": [{"text": "Hi"}]}}}


@pytest.mark.parametrize("value", ["Hi", CHAT, RESPONSE, MESSAGE, THREAD, GEMINI, COHERE, CONVERSE])
def test_dicts_and_strings_have_text(value):
    """Each API's answer has its text in its own place."""
    assert text_of(value) == "Hi"


@pytest.mark.parametrize(
    ("kind", "value"), [(ChatCompletion, CHAT), (Response, RESPONSE), (Message, MESSAGE)]
)
def test_objects_of_the_sdks_have_text(kind, value):
    """An SDK's object is read as the dict it dumps to."""
    assert text_of(kind.model_validate(value)) == "Hi"


def test_an_answer_of_tool_calls_has_empty_text():
    """No text is not an error where the model only called tools."""
    only_calls = {"choices": [{"message": {"content": None, "tool_calls": []}}]}
    assert text_of(only_calls) == ""


@pytest.mark.parametrize("value", [None, 5, [], {}, b"Hi", {"content": 5}, object()])
def test_anything_else_is_a_value_error(value):
    """The error names the type that came and what may come."""
    with pytest.raises(ValueError, match=f"{type(value).__name__}: pass a chat completion"):
        text_of(value)
