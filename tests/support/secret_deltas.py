"""Event streams in which each field holds a text cut in two, over two deltas.

One stream has many fields, each cut at another place, so that all places fit into one answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

Delta = Callable[[int, str], dict[str, Any]]
Pieces = Callable[[dict[str, Any]], tuple[int, str]]


def _chat(*path: str) -> Delta:
    def delta(field: int, text: str) -> dict[str, Any]:
        inner: Any = text
        for name in reversed(path):
            inner = [{"index": 0, **inner}] if name == "tool_calls" else inner
            inner = {name: inner}
        return {"id": "c", "choices": [{"index": field, "delta": inner}]}

    return delta


def _anthropic(kind: str, name: str) -> Delta:
    return lambda field, text: {
        "type": "content_block_delta",
        "index": field,
        "delta": {"type": kind, name: text},
    }


def _responses(kind: str) -> Delta:
    return lambda field, text: {
        "type": f"response.{kind}.delta",
        "item_id": f"item_{field}",
        "output_index": field,
        "delta": text,
    }


def _gemini(name: str) -> Delta:
    return lambda field, text: {
        "candidates": [{"index": field, "content": {"role": "model", "parts": [{name: text}]}}]
    }


DELTAS: dict[str, Delta] = {
    "chat content": _chat("content"),
    "chat refusal": _chat("refusal"),
    "chat reasoning": _chat("reasoning_content"),
    "chat tool arguments": _chat("tool_calls", "function", "arguments"),
    "chat function arguments": _chat("function_call", "arguments"),
    "completion": lambda field, text: {"choices": [{"index": field, "text": text}]},
    "anthropic text": _anthropic("text_delta", "text"),
    "anthropic thinking": _anthropic("thinking_delta", "thinking"),
    "anthropic tool input": _anthropic("input_json_delta", "partial_json"),
    "responses text": _responses("output_text"),
    "responses tool arguments": _responses("function_call_arguments"),
    "responses reasoning": _responses("reasoning_summary_text"),
    "gemini text": _gemini("text"),
}
"""How each family writes a piece of the text of a numbered field."""


def stream(delta: Delta, cuts: Sequence[tuple[str, int]]) -> bytes:
    """An event stream of one field for each (text, place), cut at that place.

    The first halves come first, then the second ones, as choices do that are written in turns.
    """
    events = [delta(field, f"It is {text[:at]}") for field, (text, at) in enumerate(cuts)]
    events += [delta(field, f"{text[at:]} I say") for field, (text, at) in enumerate(cuts)]
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def strings_of(value: Any) -> list[str]:
    """All strings of a JSON value."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in strings_of(item)]
