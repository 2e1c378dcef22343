"""Large stores, made fast: the very files that recording would have written, without the calls.

What stands in them comes from cas-llm's own key, provider and store code; only the temporary file
and the link are left out. `cas-llm verify` finds nothing in such a store, and the benchmark of
verifying holds it to that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from asking import captured
from payloads import Kind, events, renumbered

from cas_llm.cli.output import version
from cas_llm.keys import key_record
from cas_llm.providers import identify, provider_for
from cas_llm.store import Answer, Recording, Shared, Store, Tape, layout
from cas_llm.store.tape import Turn
from cas_llm.wire import Chunk, Request, Response

RUN = "0be4c401"
TURNS = 10
# A folder's listing is not trusted within two seconds of a change, whoever made it.
_SETTLED_SECONDS = 60


def wire_requests(kind: Kind) -> Callable[[int], Request]:
    """What gives an entry's request as a session sees it."""
    url, headers, body = captured(kind)
    return lambda number: Request("POST", url, headers, renumbered(body, number))


def fill_shared(root: Path, kind: Kind, count: int) -> None:
    """Make the store *root* with *count* recordings made outside any test."""
    store = _begun(root)
    for recording in _recordings(kind, count):
        digest = _write(root, recording)
        store.manifest.add_shared(Shared(recording.answer.key, 0, RUN, 1, digest))
    _settle(root)


def fill_tapes(root: Path, kind: Kind, count: int) -> None:
    """Make the store *root* with *count* recordings on the tapes of tests, ten to a test."""
    store = _begun(root)
    turns: list[Turn] = []
    for number, recording in enumerate(_recordings(kind, count)):
        answer = recording.answer
        digest = _write(root, recording)
        turns.append(Turn(answer.key, digest, answer.ask, answer.answer))
        if len(turns) == TURNS or number == count - 1:
            store.manifest.add_tape(Tape(scope_of(number), 0, turns=tuple(turns)))
            turns = []
    _settle(root)


def scope_of(number: int) -> str:
    """The test on whose tape entry *number* lies."""
    test = number // TURNS
    return f"tests/test_part_{test // 50}.py::test_number_{test}"


def _begun(root: Path) -> Store:
    store = Store(root)
    store.prepare()
    for folder in (layout.REQUESTS, layout.OBJECTS, layout.SHARED):
        for shard in range(256):
            (root / folder / f"{shard:02x}").mkdir(parents=True)
    return store


def _settle(root: Path) -> None:
    """Let the folders look as old as those of a store that was checked out."""
    then = time.time() - _SETTLED_SECONDS
    for folder, _, _ in os.walk(root):
        os.utime(folder, (then, then))


def _recordings(kind: Kind, count: int) -> Iterator[Recording]:
    request_of = wire_requests(kind)
    api = identify(request_of(0), {})
    provider = provider_for(api.family)
    provenance = {
        "recorded_at": "2026-01-01T00:00:00Z",
        "recorder": f"cas-llm/{version()}",
        "latency_ms": 800.0,
    }
    for number in range(count):
        record = key_record(request_of(number), api.name)
        body = kind.answer(number)
        pieces = events(body) if kind.chunked else []
        response = Response(
            200,
            (("content-type", kind.content_type),),
            body,
            tuple(Chunk(len(piece), place / 100) for place, piece in enumerate(pieces)),
        )
        answer = Answer(
            key=record.key,
            response=response,
            run=RUN,
            ask=tuple(provider.ask(record.body)),
            answer=tuple(provider.answer(provider.message(body, kind.content_type))),
            provenance=provenance,
        )
        parts = {name: (part.ext, part.data) for name, part in record.parts.items()}
        yield Recording(record.data, answer, parts)


def _write(root: Path, recording: Recording) -> str:
    digest, files = recording.files()
    for relative, data in files.items():
        handle = os.open(f"{root}/{relative}", os.O_CREAT | os.O_WRONLY, 0o666)
        os.write(handle, data)
        os.close(handle)
    return digest
