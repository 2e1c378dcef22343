"""What the model says while the example is recorded; see ../record.py.

The small model of the other examples doesn't fill in schemas, so this stands in for a larger one:
it calls the tool that it is offered with what stands on the invoice, and with too high a total the
first time where there is tax.
"""

import hashlib
import json
import re
import time


def reply(_path, body):
    """A chat completion that calls the first tool of *body*."""
    text = next(one["content"] for one in body["messages"] if one["role"] == "user")
    corrected = any("is not on the invoice" in str(one) for one in body["messages"])
    amounts = dict(re.findall(r"^(\w+)\s+([\d.]+)$", text, re.MULTILINE))
    total = float(amounts["Total"])
    if not corrected:
        total += float(amounts.get("Tax", 0))
    found = {
        "sender": text.partition("\n")[0],
        "due": re.search(r"due (\S+)", text)[1],
        "total": total,
    }
    mark = hashlib.sha256(json.dumps(body).encode()).hexdigest()[:20]
    call = {
        "id": f"call_{mark}",
        "type": "function",
        "function": {
            "name": body["tools"][0]["function"]["name"],
            "arguments": json.dumps(found),
        },
    }
    return {
        "id": f"chatcmpl-{mark}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {"role": "assistant", "content": None, "tool_calls": [call]},
            }
        ],
        "usage": {"prompt_tokens": 160, "completion_tokens": 28, "total_tokens": 188},
    }
