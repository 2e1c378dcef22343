"""The scripted provider's answers in Anthropic's shapes."""

from __future__ import annotations

import json
import re
from typing import Any

from support.provider import Received, Reply
from support.shapes import Files, instance, says, text_in, usage_of, words


def messages(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """A message, whole or streamed."""
    asked = received.json
    content = (asked.get("messages") or [{}])[-1].get("content")
    said = says(received, content)
    block: dict[str, Any] = {"type": "text", "text": said}
    answered = isinstance(content, list) and any(p.get("type") == "tool_result" for p in content)
    if asked.get("tools") and not answered:
        tool = asked["tools"][0]
        given = instance(tool.get("input_schema") or {}, said, received.number)
        identity = f"toolu_{received.number}"
        block = {"type": "tool_use", "id": identity, "name": tool["name"], "input": given}
    elif schema := ((asked.get("output_config") or {}).get("format") or {}).get("schema"):
        block["text"] = json.dumps(instance(schema, said, received.number))
    sent, got = usage_of(text_in(content), said)
    whole = {
        "id": f"msg_{received.number}",
        "type": "message",
        "role": "assistant",
        "model": asked.get("model", "scripted"),
        "content": [block],
        "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": sent, "output_tokens": got},
    }
    if not asked.get("stream"):
        return Reply.of(whole, request_id=f"req_{received.number}")
    return Reply.sse(_anthropic_events(whole, block), named=True)


def _anthropic_events(whole: Any, block: Any) -> list[dict[str, Any]]:
    begun = whole | {"content": [], "stop_reason": None}
    if block["type"] == "text":
        blank: Any = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in words(block["text"])]
    else:
        blank = block | {"input": {}}
        written = words(json.dumps(block["input"]))
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in written]
    ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    return [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": blank},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ending, "usage": whole["usage"]},
        {"type": "message_stop"},
    ]


def count_tokens(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """A count that differs each time."""
    return Reply.of({"input_tokens": 7 + received.number})
