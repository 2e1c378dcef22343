"""What the model says while the example is recorded; see ../record.py.

A model of 135 million parameters doesn't call tools, so this stands in for a larger one. It reads
the conversation, as a model does, and answers in the shape of OpenAI's chat completions.
"""

import hashlib
import json
import time


def reply(_path, body):
    """The next turn of the conversation in *body*."""
    message = _next(body["messages"])
    finish = "tool_calls" if "tool_calls" in message else "stop"
    asked, said = (len(json.dumps(part)) // 4 for part in (body["messages"], message))
    return {
        "id": f"chatcmpl-{_mark(body)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": said,
            "total_tokens": asked + said,
        },
    }


def _next(messages):
    wish = messages[1]["content"]
    results = [json.loads(one["content"]) for one in messages if one["role"] == "tool"]
    if "What can you do" in wish:
        return _text("I look the weather up and book tables.")
    if not results:
        days = ["Sunday"] if "Sunday" in wish else ["Saturday", "Sunday"]
        return _calls(messages, *(("weather", {"city": "Graz", "day": day}) for day in days[:1]))
    last = results[-1]
    if "confirmed" in last:
        full = " The Rose Garden was full." if "Rose" in wish else ""
        return _text(f"A table at the Lime Tree is booked for Sunday.{full}")
    if last.get("sky") == "rain":
        return _calls(messages, ("weather", {"city": "Graz", "day": "Sunday"}))
    place = "Rose Garden" if "Rose" in wish and "error" not in last else "Lime Tree"
    return _calls(messages, ("book", {"place": place, "day": "Sunday"}))


def _text(content):
    return {"role": "assistant", "content": content, "refusal": None}


def _calls(messages, *functions):
    calls = [
        {
            "id": f"call_{_mark([messages, name, arguments])}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for name, arguments in functions
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _mark(value):
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:24]
