"""Recordings for other tools: vcrpy's cassettes, one a tape, and lines of JSON, one a call.

Pure but for what it reads of the store. What was redacted stays so, and what a key leaves out (a
host's name, credentials) is put back only as far as it is known or told.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from cas_llm.cassettes.naming import NAMELESS
from cas_llm.errors import ConfigError
from cas_llm.keys import load_record
from cas_llm.rerecord.places import NoPlace, origin
from cas_llm.rerecord.requests import request_of
from cas_llm.store import Answer, Shared, Store, Tape, pick
from cas_llm.wire import Headers, Request

_FORBIDDEN = re.compile(r"""[<>?%*:|"'/\\]""")
_LONGEST = 240


@dataclass(frozen=True)
class Leaving:
    """One call on its way out: whose it was, which ask of its request, and what was said."""

    scope: str
    take: int
    ordinal: int
    request: Request
    answer: Answer

    @property
    def is_redacted(self) -> bool:
        """Whether something in it was taken out for good."""
        return "redacted" in self.answer.marks


class Export:
    """What of *store* goes out: *places* name the address of an API that the store does not know.

    *hosts* are the settings' own; *models* keep only calls of these.
    """

    def __init__(
        self,
        store: Store,
        hosts: Mapping[str, str],
        places: Mapping[str, str],
        models: Collection[str] = (),
    ) -> None:
        self._store = store
        self._hosts = hosts
        self._places = places
        self._models = frozenset(models)

    def tape(self, tape: Tape, keys: Collection[str] = ()) -> list[Leaving]:
        """The calls of *tape* in order; with *keys* only these requests'.

        Raises:
            ConfigError: nobody says where an API is.
            StoreError: an answer or a request cannot be read.

        """
        numbers: dict[str, int] = {}
        found = []
        for turn in tape.turns:
            number = numbers[turn.key] = numbers.get(turn.key, 0) + 1
            if not keys or turn.key in keys:
                found += self._call(tape.scope, tape.take, number, turn.key, turn.digest)
        return found

    def shared(self, entries: Iterable[Shared], keys: Collection[str] = ()) -> list[Leaving]:
        """The calls of the shared *entries* that are in use."""
        by_key: dict[str, list[Shared]] = {}
        for entry in entries:
            by_key.setdefault(entry.key, []).append(entry)
        return [
            call
            for key, several in sorted(by_key.items())
            if not keys or key in keys
            for one in pick.leading_run(several)
            for call in self._call("", one.take, one.ordinal, key, one.digest)
        ]

    def _call(self, scope: str, take: int, number: int, key: str, digest: str) -> list[Leaving]:
        answer = self._store.load(digest)
        record = load_record(self._store.objects.get_request(key))
        named = {answer.provenance.get(name) for name in ("model", "requested_model")}
        if self._models and self._models.isdisjoint(named):
            return []
        if record["api"] == "python":
            return []  # a function's call: no address, and no other tool's
        address = self._address(str(record["api"]))
        request = request_of(record, self._store.objects.get, address, ())
        return [Leaving(scope, take, number, request, answer)]

    def _address(self, api: str) -> str:
        try:
            return origin(api, {}, self._hosts, self._places.get(api, ""))
        except NoPlace:
            raise ConfigError(
                f"the store does not keep the host of {api}: --host {api}=https://...",
                source="--host",
            ) from None


def place_of(scope: str) -> PurePosixPath:
    """Where pytest-recording looks for the cassette of the test *scope*."""
    if not scope or scope.startswith(NAMELESS) or "::" not in scope:
        return PurePosixPath(
            "cassettes", f"{_named(scope.removeprefix(NAMELESS) or 'shared')}.yaml"
        )
    module, _, rest = scope.partition("::")
    base, bracket, parameters = rest.partition("[")
    # Only the innermost class stands in the name.
    name = ".".join(base.split("::")[-2:]) + bracket + parameters
    # A name that leads out of the folder comes from no pytest, and stays within.
    path = PurePosixPath(*(part for part in PurePosixPath(module).parts if part not in {"/", ".."}))
    return path.parent / "cassettes" / path.stem / f"{_named(name)}.yaml"


def _named(name: str) -> str:
    return _FORBIDDEN.sub("-", name)[:_LONGEST]


def cassette(calls: Sequence[Leaving]) -> bytes:
    """A vcrpy cassette of *calls*, in their order."""
    import yaml

    document = {"version": 1, "interactions": [_interaction(call) for call in calls]}
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(document, Dumper=dumper)
    return text.encode()


def _interaction(call: Leaving) -> dict[str, Any]:
    request, response = call.request, call.answer.response
    return {
        "request": {
            "method": request.method,
            "uri": request.url,
            "body": _readable(request.body),
            "headers": _listed(request.headers),
        },
        "response": {
            "status": {"code": response.status, "message": ""},
            "headers": _listed(response.headers),
            "body": {"string": _readable(response.body)},
        },
    }


def line(call: Leaving) -> bytes:
    """One call as a line of JSON; bodies are texts, or base64 where they are none."""
    request, answer = call.request, call.answer
    document = {
        "key": answer.key,
        "test": call.scope or None,
        "take": call.take,
        "ordinal": call.ordinal,
        "request": {
            "method": request.method,
            "url": request.url,
            "headers": [list(pair) for pair in request.headers],
            **_worded(request.body),
        },
        "answer": {
            "status": answer.response.status,
            "headers": [list(pair) for pair in answer.response.headers],
            **_worded(answer.response.body),
        },
        "provenance": dict(answer.provenance),
        "marks": list(answer.marks),
    }
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def _readable(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _worded(data: bytes) -> dict[str, str]:
    text = _readable(data)
    if isinstance(text, str):
        return {"body": text}
    return {"body_base64": base64.b64encode(text).decode()}


def _listed(headers: Headers) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return found
