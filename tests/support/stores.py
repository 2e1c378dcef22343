"""Stores made without a provider: one with every kind of file, small enough to damage all of it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from cas_llm import keys
from cas_llm.cli.verify import checks, lines_of
from cas_llm.providers import identify
from cas_llm.store import Answer, Recording, Shared, Store, Tape
from cas_llm.store.tape import Turn
from cas_llm.wire import Chunk, Request, Response

RUN = "0a1b2c3d"
TEST = "tests/test_bot.py::TestChat::test_greets[plain]"
SYSTEM = "Be brief.\n" * 12
JSON = "application/json"
HOST = "https://api.openai.com/v1"


def asks(text: str, **more: object) -> Request:
    """A chat request whose system prompt is long enough to be a part of its own."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
    body = json.dumps({"model": "m", "messages": messages, **more}).encode()
    return Request("POST", f"{HOST}/chat/completions", (("content-type", JSON),), body)


def says(text: str, status: int = 200) -> Response:
    """The answer to a chat request."""
    message = {"choices": [{"message": {"role": "assistant", "content": text}}], "model": "m"}
    return Response(status, (("content-type", JSON),), json.dumps(message).encode())


def streams(text: str) -> Response:
    """The same as events, in chunks."""
    pieces = [
        f'data: {{"choices":[{{"index":0,"delta":{{"content":{json.dumps(word)}}}}}]}}\n\n'.encode()
        for word in text.split()
    ] + [b"data: [DONE]\n\n"]
    chunks = tuple(Chunk(len(piece), 0.01 * n) for n, piece in enumerate(pieces))
    return Response(200, (("content-type", "text/event-stream"),), b"".join(pieces), chunks)


def recorded(request: Request, response: Response, run: str = RUN, ordinal: int = 1) -> Recording:
    """*request* and *response* as recording keeps them, a reviewer's lines included."""
    record = keys.key_record(request, identify(request, {}).name)
    parts = {digest: (part.ext, part.data) for digest, part in record.parts.items()}
    provenance = {"recorder": checks().recorder}
    bare = Answer(record.key, response, run, ordinal, provenance=provenance)
    shown = lines_of(record.data, bare, lambda digest, _: parts[digest][1])
    return Recording(record.data, replace(bare, ask=shown[0], answer=shown[1]), parts)


def tape_of(*recordings: Recording, scope: str = TEST, take: int = 0, source: str = "") -> Tape:
    """The tape of a scope that asked for *recordings* in this order."""
    turns = tuple(
        Turn(r.answer.key, r.files()[0], r.answer.ask, r.answer.answer) for r in recordings
    )
    return Tape(scope, take, source, turns)


def every_kind(root: Path) -> Store:
    """A store with a file of every kind there is.

    Key records with text, tool, media and form parts and bytes; answers as JSON, text, events,
    base64 and part; two takes of a test's tape, a block's, two shared runs.
    """
    store = Store(root)
    picture = (
        "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    )
    picture += "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
    tools = [{"type": "function", "function": {"name": f"tool_{n}" * 3}} for n in range(40)]
    audio = (("content-type", "audio/mpeg"),)
    speech = Request("POST", f"{HOST}/audio/speech", (("content-type", JSON),), b'{"input":"hi"}')
    fields = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\0\r\n'
    )
    file = Request(
        "POST",
        f"{HOST}/audio/transcriptions",
        (("content-type", "multipart/form-data; boundary=b"),),
        fields + b"--b--\r\n",
    )
    plain = Request("POST", f"{HOST}/chat/completions", (("content-type", "text/plain"),), b"odd")
    told = [
        recorded(asks("Say hello"), says("Hello!")),
        recorded(asks("Flow", stream=True), streams("one two three")),
        recorded(asks("Look", tools=tools, image=picture), says("A dot.")),
        recorded(speech, Response(200, audio, b"ID3\x04" + bytes(60))),
        recorded(replace(speech, body=b'{"input":"long"}'), Response(200, audio, os_bytes(1100))),
        recorded(file, Response(200, (("content-type", "text/plain"),), b"RIFF, it says\nso\n")),
        recorded(plain, says("odd?", 400)),
    ]
    for recording in told:
        store.save(recording)
    store.add_tape(tape_of(*told))
    store.add_tape(tape_of(told[0], told[1], take=1, source="f" * 64))
    store.add_tape(tape_of(told[0], scope="block"))
    for number, run in ((1, RUN), (2, RUN), (1, "1b2c3d4e")):
        shared = recorded(asks("Say bye"), says(f"Bye {number} of {run}!"), run, number)
        digest = store.save(shared)
        store.add_shared(Shared(shared.answer.key, 0, run, number, digest))
    store.close()
    return store


def os_bytes(count: int) -> bytes:
    """The same *count* bytes each time, none of them text."""
    return bytes((n * n + 131) % 256 for n in range(count))


def files_of(root: Path) -> list[Path]:
    """All files of the store at *root* but those of this machine."""
    return sorted(
        Path(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if ".local" not in Path(folder).relative_to(root).parts
    )
