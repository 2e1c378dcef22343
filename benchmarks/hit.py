"""What a hit costs: a chat completion through the OpenAI SDK, replayed, against the bare SDK.

Three variants take turns, so that a slow moment of the machine hits them alike:

- floor: the SDK over a transport that returns constant bytes;
- hit: the SDK over its own transport, replayed from a store of N recordings;
- session: the session alone, without the SDK: key, redaction, look-up, digest check, log.

Run as ``python benchmarks/hit.py [N ...]``; prints a Markdown table.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import openai

import cas_llm
from cas_llm.session import Scope, Serve, Session
from cas_llm.wire import Request

URL = "https://api.openai.com/v1"
ROUNDS = 24
BATCH = 40
HEADERS = (("content-type", "application/json"),)
TEXT = "Answer in one sentence and say where you know it from. " * 12
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "logprobs": None,
                "message": {"role": "assistant", "content": "A sentence. " * 130},
            }
        ],
        "usage": {"prompt_tokens": 160, "completion_tokens": 390, "total_tokens": 550},
    },
    separators=(",", ":"),
).encode()


def messages(number: int) -> list[dict[str, str]]:
    return [{"role": "system", "content": TEXT}, {"role": "user", "content": f"Question {number}"}]


def wire_request(number: int) -> Request:
    body = {"messages": messages(number), "model": "gpt-4o-mini"}
    return Request("POST", f"{URL}/chat/completions", HEADERS, json.dumps(body).encode())


def fill(session: Session, count: int) -> None:
    """Record *count* answers through the pipeline, with no network."""
    scope = Scope()
    for number in range(count):
        recorder = session.begin(wire_request(number), scope).recorder
        recorder.head(200, HEADERS)
        recorder.chunk(ANSWER)
        recorder.end()


def microseconds(call: Callable[[int], object], count: int, start: int) -> list[float]:
    found = []
    for number in range(start, start + BATCH):
        began = time.perf_counter()
        call(number * 7919 % count)
        found.append((time.perf_counter() - began) * 1e6)
    return found


def measure(folder: Path, count: int) -> dict[str, list[float]]:
    store = folder / f"store-{count}"
    with cas_llm.use("fallback", store=store) as session:
        fill(session, count)
    constant = httpx2.MockTransport(lambda _: httpx2.Response(200, content=ANSWER, headers=HEADERS))
    bare = openai.OpenAI(api_key="none", http_client=httpx2.Client(transport=constant))
    real = openai.OpenAI(api_key="none")
    found: dict[str, list[float]] = {"floor": [], "hit": [], "session": []}

    def ask(client: openai.OpenAI) -> Callable[[int], object]:
        return lambda number: client.chat.completions.create(
            model="gpt-4o-mini",
            messages=messages(number),  # type: ignore[arg-type]
        )

    with cas_llm.use("replay", store=store) as session:
        scope = Scope()

        def begin(number: int) -> None:
            assert isinstance(session.begin(wire_request(number), scope), Serve)

        calls = {"floor": ask(bare), "hit": ask(real), "session": begin}
        for number in range(count):
            begin(number)  # each file is touched once before it counts
        for turn in range(ROUNDS):
            for name, call in calls.items():
                found[name] += microseconds(call, count, turn * BATCH)
    return found


def main(counts: list[int]) -> None:
    print(f"Python {platform.python_version()}, openai {openai.__version__}, median of the calls\n")
    print("| recordings | floor us | hit us | hit / floor | session us |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            found = measure(Path(folder), count)
            floor, hit, session = (statistics.median(found[name]) for name in found)
            print(f"| {count} | {floor:.0f} | {hit:.0f} | {hit / floor:.2f} | {session:.0f} |")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1, 1000])
