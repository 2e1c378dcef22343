"""What the model says while the example is recorded; see ../record.py.

Claude needs a key, so this says what it might, in the shapes of Anthropic's Messages API: a message
for a plain call, its events for a stream.
"""

import hashlib
import json

ANSWERS = {
    "Where is it": "We are sorry that your bicycle is late. It will be ready tomorrow at noon.",
    "cost": "A new chain costs 28 € with its fitting. You can wait for it over a coffee.",
}


def reply(_path, body):
    """The answer to the letter in *body*, as a message or as the events of a stream."""
    letter = body["messages"][-1]["content"]
    text = next(answer for word, answer in ANSWERS.items() if word in letter)
    usage = {"input_tokens": len(json.dumps(body)) // 4, "output_tokens": len(text) // 4}
    message = {
        "id": f"msg_{hashlib.sha256(json.dumps(body).encode()).hexdigest()[:24]}",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    return list(_events(message, text)) if body.get("stream") else message


def _events(message, text):
    begun = message | {"content": [], "stop_reason": None}
    begun["usage"] = message["usage"] | {"output_tokens": 1}
    yield {"type": "message_start", "message": begun}
    yield {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    for word in text.split(" "):
        piece = word if text.startswith(word) else f" {word}"
        delta = {"type": "text_delta", "text": piece}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": message["usage"]}
    yield {"type": "message_stop"}
