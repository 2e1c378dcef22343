"""What Bedrock answers: `converse` and `invoke`, whole and in Amazon's binary framing."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

from support.provider import Received, Reply

STREAM = (("content-type", "application/vnd.amazon.eventstream"),)
_ROUTE = re.compile(r"/model/[^/]+/(invoke|converse)(-with-response-stream|-stream)?\Z")


def frame(kind: str, payload: Any) -> bytes:
    """One message of an event stream: its lengths, headers and payload with their checksums."""
    named = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + len(text).to_bytes(2, "big") + text.encode()
        for name, text in named.items()
    )
    body = json.dumps(payload).encode()
    prelude = (16 + len(headers) + len(body)).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    prelude += zlib.crc32(prelude).to_bytes(4, "big")
    whole = prelude + headers + body
    return whole + zlib.crc32(whole).to_bytes(4, "big")


def converse_frames(words: list[str]) -> tuple[bytes, ...]:
    """The events of a `converse-stream` that says *words*."""
    deltas = [
        frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}})
        for word in words
    ]
    usage = {"inputTokens": 3, "outputTokens": len(words), "totalTokens": 3 + len(words)}
    return (
        frame("messageStart", {"role": "assistant"}),
        *deltas,
        frame("contentBlockStop", {"contentBlockIndex": 0}),
        frame("messageStop", {"stopReason": "end_turn"}),
        frame("metadata", {"usage": usage, "metrics": {"latencyMs": 7}}),
    )


def invoke_frames(words: list[str]) -> tuple[bytes, ...]:
    """The chunks of an `invoke-with-response-stream`: Anthropic's events in base64."""
    events = [{"type": "content_block_delta", "delta": {"text": word}} for word in words]
    return tuple(
        frame("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode()})
        for event in (*events, {"type": "message_stop"})
    )


def bedrock(received: Received) -> Reply | None:
    """The reply to a Bedrock request, None for any other; each has its number in it."""
    route = _ROUTE.search(received.path)
    if route is None:
        return None
    words = ["Hällo", " 🎈", f" {received.number}"]
    if route[2]:
        frames = converse_frames(words) if route[1] == "converse" else invoke_frames(words)
        return Reply(headers=STREAM, chunks=frames)
    if route[1] == "converse":
        message = {"role": "assistant", "content": [{"text": "".join(words)}]}
        answer: dict[str, Any] = {
            "output": {"message": message},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 3, "outputTokens": 3, "totalTokens": 6},
            "metrics": {"latencyMs": 7},
        }
    else:
        answer = {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": "".join(words)}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 3, "output_tokens": 3},
        }
    return Reply.of(
        answer,
        x_amzn_requestid=f"request-{received.number}",
        x_amzn_bedrock_input_token_count="3",
    )
