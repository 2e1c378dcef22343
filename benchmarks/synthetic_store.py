"""Write a store of N recordings in bulk, in the true formats, without recording each.

One recording of each model goes through the keys, the redaction and the answer format that a real
one does; the others are its bytes with other numbers in them and with digests made anew, so that
`cas-llm verify --level 3` finds nothing. ``shared`` stores name each by a shared entry, ``tapes``
stores by tapes of ten turns, twenty tapes to a test file.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cas_llm import keys
from cas_llm.cli.verify import checks, lines_of
from cas_llm.digest import digest_of
from cas_llm.providers import identify
from cas_llm.store import Answer, Store, Tape, layout
from cas_llm.store import answer as answers
from cas_llm.store.tape import Turn
from cas_llm.wire import Request, Response

URL = "https://api.openai.com/v1/chat/completions"
JSON = (("content-type", "application/json"),)
RUN = "0a1b2c3d"
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-nano")
SYSTEM = "Answer in one sentence and say where you know it from. " * 12
SAID = "A sentence with a source. " * 40
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
TURNS, TAPES_A_FILE = 10, 20

# Eight digits, so that every recording has the same size; "9" as no smaller number holds it.
_NUMBER = "99999999"
_TIME = "2026-12-31T23:59:59+00:00"


@dataclass(frozen=True)
class Made:
    """One synthetic recording: names and bytes, and the lines a tape shows of it."""

    key: str
    record: bytes
    digest: str
    answer: bytes
    ask: tuple[str, ...]
    said: tuple[str, ...]


def question(number: int) -> str:
    """What recording *number* asks."""
    return f"Question {number:08d}"


def body(number: int | str, model: str) -> bytes:
    """The request body that recording *number* was asked with."""
    text = question(number) if isinstance(number, int) else f"Question {number}"
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
    return json.dumps({"messages": messages, "model": model}).encode()


def model_of(number: int) -> str:
    """The model that recording *number* was asked of."""
    return MODELS[number % len(MODELS)]


class _Template:
    """One recording of *model*, taken apart where a number, a time or a digest stands."""

    def __init__(self, model: str) -> None:
        request = Request("POST", URL, JSON, body(_NUMBER, model))
        record = keys.key_record(request, identify(request, {}).name)
        self.record = record.data.split(_NUMBER.encode())
        message = {"role": "assistant", "content": f"{_NUMBER}. {SAID}"}
        document = {
            "id": f"chatcmpl-{_NUMBER}",
            "object": "chat.completion",
            "created": 1760000000,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 160, "completion_tokens": 260, "total_tokens": 420},
        }
        content = json.dumps(document, separators=(",", ":")).encode()
        self.body = content.split(_NUMBER.encode())
        provenance = {
            "recorded_at": _TIME,
            "model": model,
            "usage": {"input": 160, "output": 260},
            "cost_usd": 0.00018,
            "recorder": checks().recorder,
        }
        response = Response(200, JSON, content)
        bare = Answer(record.key, response, RUN, provenance=provenance)
        self.ask, self.said = lines_of(record.data, bare, _no_part)
        whole = Answer(record.key, response, RUN, 1, "", self.ask, self.said, provenance)
        self.key, self.proof = record.key.encode(), digest_of(content).encode()
        self.answer = answers.encode(whole)[0]

    def made(self, number: int) -> Made:
        """Recording *number*."""
        text = f"{number:08d}"
        digits = text.encode()
        record = digits.join(self.record)
        key = hashlib.sha256(record).hexdigest()
        proof = hashlib.sha256(digits.join(self.body)).hexdigest()
        when = (BEGAN + timedelta(seconds=number)).isoformat()
        answer = (
            self.answer.replace(_NUMBER.encode(), digits)
            .replace(self.key, key.encode())
            .replace(self.proof, proof.encode())
            .replace(_TIME.encode(), when.encode())
        )
        ask = tuple(line.replace(_NUMBER, text) for line in self.ask)
        said = tuple(line.replace(_NUMBER, text) for line in self.said)
        return Made(key, record, hashlib.sha256(answer).hexdigest(), answer, ask, said)


def make(root: Path, count: int, kind: str = "shared", workers: int = 0) -> Store:
    """A store at *root* of *count* recordings, named by ``shared`` entries or by ``tapes``."""
    store = Store(root)
    store.prepare()
    for folder in (layout.REQUESTS, layout.OBJECTS, layout.SHARED):
        for shard in range(256):
            (root / folder / f"{shard:02x}").mkdir(parents=True, exist_ok=True)
    step = TURNS * TAPES_A_FILE
    spans = [(str(root), start, min(start + step, count), kind) for start in range(0, count, step)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers or os.cpu_count()) as pool:
        for _ in pool.imap_unordered(_write_span, spans, chunksize=16):
            pass
    return store


_templates: dict[str, _Template] = {}


def _write_span(span: tuple[str, int, int, str]) -> None:
    root, start, end, kind = span
    if not _templates:
        _templates.update({model: _Template(model) for model in MODELS})
    tapes: list[Turn] = []
    for number in range(start, end):
        made = _templates[model_of(number)].made(number)
        _write(f"{root}/requests/{made.key[:2]}/{made.key[2:]}.json", made.record)
        _write(f"{root}/objects/{made.digest[:2]}/{made.digest[2:]}.json", made.answer)
        if kind == "shared":
            name = f"{made.key[2:]}.0.{RUN}.1.{made.digest}"
            _write(f"{root}/{layout.SHARED}/{made.key[:2]}/{name}", b"")
        else:
            tapes.append(Turn(made.key, made.digest, made.ask, made.said))
    for test, turns in _tests(start, tapes):
        tape = Tape(test, 0, "", tuple(turns))
        path = tape.path(Path(root))
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(str(path), tape.data)


def _tests(start: int, turns: list[Turn]) -> Iterator[tuple[str, list[Turn]]]:
    number = start // (TURNS * TAPES_A_FILE)
    for place in range(0, len(turns), TURNS):
        name = f"tests/part_{number % 100:02d}/test_{number:05d}.py::test_{place // TURNS:02d}"
        yield name, turns[place : place + TURNS]


def _write(path: str, data: bytes) -> None:
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)


def _no_part(digest: str, _ext: str) -> bytes:
    raise KeyError(digest)
