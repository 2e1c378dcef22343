"""What is asked and answered in every benchmark: four kinds of call, each numbered.

The number stands in the request and in the answer, so that whoever replays can be caught giving
another entry's answer. Deterministic; reads nothing and needs no SDK.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_NUMBER = re.compile(rb"entry (\d+)\b")
_SENTENCE = (
    "a recorded answer is named by the digest of its bytes and replayed for ever while the "
    "request that asks for it is written in one canonical form before anything is hashed"
)
_WORDS = _SENTENCE.split()


@dataclass(frozen=True)
class Kind:
    """One shape of call: what the SDK is given, and the bytes that come back."""

    name: str
    path: str
    arguments: Callable[[int], dict[str, Any]]
    answer: Callable[[int], bytes]
    content_type: str = "application/json"
    chunked: bool = False


def number_in(body: bytes) -> int:
    """Which entry a request body asks for."""
    found = _NUMBER.search(body)
    if found is None:
        raise ValueError(f"no entry is named in {body[:80]!r}")
    return int(found[1])


def renumbered(body: bytes, number: int) -> bytes:
    """The request body, captured for some entry, as it is for entry *number*."""
    return _NUMBER.sub(b"entry %d" % number, body)


@functools.cache
def _prose(size: int) -> str:
    return " ".join(itertools.islice(itertools.cycle(_WORDS), size // 4))[:size]


def _chat(number: int) -> dict[str, Any]:
    return {
        "model": "gpt-4o-mini",
        "temperature": 0.0,
        "max_tokens": 256,
        "seed": 7,
        "messages": [
            {"role": "system", "content": _prose(320)},
            {"role": "user", "content": f"entry {number}: {_prose(430)}"},
            {"role": "assistant", "content": "Yes. What else?"},
        ],
    }


def _head(number: int, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "object": kind,
        "created": 1760000000,
        "model": "gpt-4o-mini-2024-07-18",
    }


def _completion(number: int, size: int) -> bytes:
    message = {"role": "assistant", "content": _prose(size), "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {
        "prompt_tokens": 180,
        "completion_tokens": size // 5,
        "total_tokens": 180 + size // 5,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    document = {
        **_head(number, "chat.completion"),
        "choices": [choice],
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": "fp_7c1a",
    }
    # As api.openai.com writes it; others write it compactly.
    return json.dumps(document, indent=2).encode() + b"\n"


def events(body: bytes) -> list[bytes]:
    """The server-sent events of a streamed body, which join to the whole of it."""
    return [event + b"\n\n" for event in body.split(b"\n\n") if event]


def _stream(number: int) -> bytes:
    head = _head(number, "chat.completion.chunk")
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f"{word} "} for word in itertools.islice(itertools.cycle(_WORDS), 198)]
    lines = []
    for place, delta in enumerate([*deltas, {}]):
        reason = "stop" if place == len(deltas) else None
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        lines.append(json.dumps({**head, "choices": [choice]}, separators=(",", ":")))
    return "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode()


def _vectors(number: int) -> bytes:
    # The first float is the number; the SDK decodes all 100 x 1536 of them.
    one = [float(number), *(((7 * n) % 1000) / 1000 for n in range(1535))]
    vector = base64.b64encode(struct.pack("<1536f", *one)).decode()
    data = [{"object": "embedding", "index": n, "embedding": vector} for n in range(100)]
    usage = {"prompt_tokens": 500, "total_tokens": 500}
    document = {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}
    return json.dumps(document).encode()


KINDS = {
    kind.name: kind
    for kind in (
        Kind("chat", "/chat/completions", _chat, lambda n: _completion(n, 1220)),
        Kind("long", "/chat/completions", _chat, lambda n: _completion(n, 49_000)),
        Kind(
            "stream",
            "/chat/completions",
            lambda n: {**_chat(n), "stream": True},
            _stream,
            "text/event-stream; charset=utf-8",
            chunked=True,
        ),
        Kind(
            "vectors",
            "/embeddings",
            lambda n: {
                "model": "text-embedding-3-small",
                "input": [f"entry {n} line {line}" for line in range(100)],
            },
            _vectors,
        ),
    )
}
