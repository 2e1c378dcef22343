"""Another text in an answer's body, the rest as it was: JSON bodies and event streams.

Pure. A stream keeps its events and their times: the first text delta carries the whole new text
and the others become empty.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from cas_llm.errors import CasLLMError
from cas_llm.providers.reading import at, mapping, mappings
from cas_llm.wire import Chunk

Slot = tuple[dict[str, Any], str]
"""A place that holds text: an object and the name of its member."""


def with_text(body: bytes, text: str, *, stream: bool) -> bytes:
    """*body* with *text* for what the assistant said.

    Raises:
        CasLLMError: no place for a text is known in it.

    """
    new = _stream_with_text(body, text) if stream else _json_with_text(body, text)
    if new is None:
        raise CasLLMError(
            "this answer holds no assistant text that could be replaced; give its whole body: "
            "cas-llm edit KEY --file FILE"
        )
    return new


def checked(old: bytes, new: bytes) -> bytes:
    """*new*, which a person wrote in place of *old*: JSON stays JSON.

    An editor's layout is not part of the answer, so that JSON is written compactly.

    Raises:
        CasLLMError: *old* is JSON and *new* is not; says where it stops being it.

    """
    if _loads(old) is None:
        return new
    try:
        value = json.loads(new)
    except ValueError as error:
        raise CasLLMError(f"the new body is not valid JSON: {error}; nothing was changed") from None
    return old if value == _loads(old) else _dumps(value)


def laid_out(body: bytes) -> bytes:
    """*body* for an editor: JSON with line ends and indents, anything else as it is.

    Raises:
        CasLLMError: it is not text.

    """
    value = _loads(body)
    if value is not None:
        return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
    try:
        body.decode()
    except UnicodeDecodeError:
        raise CasLLMError(
            "this answer is not text; give its new bytes: cas-llm edit KEY --file FILE"
        ) from None
    return body


def cut(chunks: tuple[Chunk, ...], old: bytes, new: bytes) -> tuple[Chunk, ...]:
    """The pieces in which *new* arrives: those of *old*, at the line ends nearest to theirs.

    What lies before the first change and behind the last keeps its boundaries exactly.
    """
    if not chunks or old == new:
        return chunks
    head = _shared(old, new)
    tail = min(_shared(old[::-1], new[::-1]), min(len(old), len(new)) - head)
    lines = _line_ends(new)
    ends: list[tuple[int, float]] = []
    position = 0
    for chunk in chunks:
        position += chunk.length
        if position <= head:
            end = position
        elif position >= len(old) - tail:
            end = position + len(new) - len(old)
        else:
            end = _nearest(lines, position, head, len(new) - tail)
        ends.append((max(end, ends[-1][0] if ends else 0), chunk.at))
    ends[-1] = (len(new), ends[-1][1])
    edges = [0, *(end for end, _ in ends)]
    return tuple(
        Chunk(after - before, at_time)
        for (before, after), (_, at_time) in zip(pairwise(edges), ends, strict=True)
        if after > before
    )


def slots(message: Any) -> list[Slot]:
    """Where a non-stream answer holds what the assistant said, first place first."""
    body = mapping(message)
    if "choices" in body:
        choices = mappings(body["choices"])[:1]
        return [slot for choice in choices for slot in _choice_slots(choice)]
    if isinstance(body.get("output"), list):
        spoken = [item for item in mappings(body["output"]) if item.get("type") == "message"]
        parts = [part for item in spoken for part in mappings(item.get("content"))]
        return [(part, "text") for part in parts if "text" in part]
    if isinstance(body.get("candidates"), list):
        first = mappings(body["candidates"])[:1]
        parts = [p for c in first for p in mappings(at(c, "content", "parts"))]
        return [(part, "text") for part in parts if "text" in part and not part.get("thought")]
    if isinstance(at(body, "message", "content"), list):
        body = body["message"]
    parts = mappings(body.get("content"))
    return [(part, "text") for part in parts if part.get("type") == "text"]


def _choice_slots(choice: dict[str, Any]) -> list[Slot]:
    message = choice.get("message")
    if not isinstance(message, dict):
        return [(choice, "text")] if "text" in choice else []
    if isinstance(message.get("content"), list):
        return [(part, "text") for part in mappings(message["content"]) if "text" in part]
    return [(message, "content")]


def _event_slots(value: Any) -> list[Slot]:
    """Where one event of a stream holds a piece of what the assistant said."""
    event = mapping(value)
    kind = event.get("type")
    if kind == "response.output_text.delta":
        return [(event, "delta")]
    if kind == "content_block_delta" and at(event, "delta", "type") == "text_delta":
        return [(event["delta"], "text")]
    if kind == "content_block_start" and at(event, "content_block", "type") == "text":
        return [(event["content_block"], "text")]
    if kind == "content-delta":
        content = at(event, "delta", "message", "content")
        return [(content, "text")] if isinstance(content, dict) and "text" in content else []
    choices = [c for c in mappings(event.get("choices")) if not c.get("index")]
    found: list[Slot] = []
    for choice in choices:
        delta = choice.get("delta")
        if isinstance(delta, dict) and isinstance(delta.get("content"), str):
            found.append((delta, "content"))
        elif isinstance(choice.get("text"), str):
            found.append((choice, "text"))
    return found or (slots(event) if "candidates" in event else [])


def _whole_slots(value: Any) -> list[Slot]:
    """Where an event repeats the whole text once it is known, as the Responses API does."""
    event = mapping(value)
    if event.get("type") == "response.output_text.done":
        return [(event, "text")]
    if event.get("type") == "response.content_part.done" and at(event, "part", "text") is not None:
        return [(event["part"], "text")]
    item = event.get("item")
    if event.get("type") == "response.output_item.done" and isinstance(item, dict):
        return slots({"output": [item]})
    return slots(event["response"]) if event.get("type") == "response.completed" else []


def _json_with_text(body: bytes, text: str) -> bytes | None:
    value = _loads(body)
    if value is None or not _fill(slots(value), text):
        return None
    return _dumps(value)


def _fill(places: list[Slot], text: str) -> bool:
    for number, (holder, name) in enumerate(places):
        holder[name] = "" if number else text
    return bool(places)


def _stream_with_text(body: bytes, text: str) -> bytes | None:
    lines = body.splitlines(keepends=True)
    values = [_loads(data) if (data := _data_of(line)) else None for line in lines]
    # An opening delta is often empty; the text goes where text stood first.
    pieces = [(n, slot) for n, value in enumerate(values) for slot in _event_slots(value)]
    spoken = [piece for piece in pieces if piece[1][0][piece[1][1]]] or pieces
    if not spoken:
        return None
    changed = {n for n, _ in spoken}
    _fill([slot for _, slot in spoken], text)
    for number, value in enumerate(values):
        if _fill(_whole_slots(value), text):
            changed.add(number)
    return b"".join(
        b"data: " + _dumps(values[n]) + _ending(line) if n in changed else line
        for n, line in enumerate(lines)
    )


def _data_of(line: bytes) -> bytes:
    if not line.startswith(b"data:"):
        return b""
    return line[5:].strip()


def _ending(line: bytes) -> bytes:
    return line[len(line.rstrip(b"\r\n")) :]


def _loads(data: bytes) -> Any:
    """The object or list in *data*, or None."""
    if data.lstrip()[:1] not in {b"{", b"["}:
        return None
    try:
        return json.loads(data)
    except ValueError:
        return None


def _dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _shared(old: bytes, new: bytes) -> int:
    """How many bytes two texts share at their start."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if old[:middle] == new[:middle] else (low, middle - 1)
    return low


def _line_ends(data: bytes) -> list[int]:
    found, position = [], 0
    for line in data.splitlines(keepends=True):
        position += len(line)
        found.append(position)
    return found


def _nearest(ends: list[int], wanted: int, low: int, high: int) -> int:
    inside = [end for end in ends if low <= end <= high]
    return min(inside, key=lambda end: abs(end - wanted), default=low)
