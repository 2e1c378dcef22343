"""What the model says while the example is recorded; see ../record.py.

It stands in for a larger model than the one of the other examples: the blurb of a book is worded
in two ways, as a model's temperature would, so that two tests have two answers to one question.
"""

import itertools
import time

COUNT = itertools.count(1)
BLURBS = (
    "A keeper finds a letter in the lamp, and nobody on the island admits to having written it.",
    "The lamp goes out one night, and the keeper is not on the island any more.",
)


def reply(_path, body):
    """A chat completion."""
    number = next(COUNT)
    asked = body["messages"][-1]["content"]
    if "genre" in asked:
        text = "Mystery."
    elif "Lighthouse" in asked:
        text = BLURBS[number % 2]
    else:
        text = f"{asked.partition(': ')[2]} is a book that one reads twice."
    return {
        "id": f"chatcmpl-{number:024}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60},
    }
