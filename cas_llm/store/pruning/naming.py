"""Which files calls stand for, where their key records and answers lie in several places.

A branch's key record may be on that branch alone while a part it names is everywhere. Reads only,
each file once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import orjson

from cas_llm.digest import is_digest
from cas_llm.errors import StoreError
from cas_llm.store import layout
from cas_llm.store.pruning import live
from cas_llm.store.pruning.trees import Tree

RecordParts = Callable[[bytes], Mapping[str, str]]
"""The parts that the bytes of a key record name, as digest to extension."""


class Naming:
    """The files named in *places*; *parts_of* understands key records, as the store does not."""

    def __init__(self, places: Sequence[Tree], parts_of: RecordParts) -> None:
        self._places = places
        self._parts_of = parts_of
        self._parts: dict[str, Mapping[str, str]] = {}
        self._first: dict[str, str] = {}

    def files(self, calls: Iterable[live.Call], *, must_be_there: bool) -> set[str]:
        """The paths of the key records, answers and parts that *calls* stand for.

        An answer's own key is among them, also where it was moved to another one since: only that
        record says what was asked before rules took something out.

        Raises:
            StoreError: *must_be_there*, and one of them is nowhere, so that nobody knows its parts.

        """
        calls = set(calls)
        named = live.files(calls, lambda _name: {})
        self._read(named - self._parts.keys())
        if must_be_there and (unread := sorted(named - self._parts.keys())):
            raise StoreError(
                f"{unread[0]} is missing or damaged, though a tape or shared entry in use names "
                "it; nothing was taken out. Mend it first: cas-llm verify --repair",
                path=Path(unread[0]),
            )
        places = {layout.sharded(layout.OBJECTS, digest): digest for _, digest in calls}
        first = {
            (self._first[name], digest) for name, digest in places.items() if name in self._first
        }
        self._read(live.files(first, lambda _name: {}) - self._parts.keys())
        return live.files(calls | first, lambda name: self._parts.get(name, {}))

    def _read(self, names: set[str]) -> None:
        for place in self._places:
            # Nothing but these has parts, and most answers have none.
            for name, data in place.read(sorted(names & place.names)):
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    self._parts[name] = self._of(name, data)
                    names.discard(name)

    def _of(self, name: str, data: bytes) -> Mapping[str, str]:
        if name.startswith(f"{layout.REQUESTS}/"):
            return self._parts_of(data)
        document = orjson.loads(data)
        body, key = document["body"], document.get("key")
        if isinstance(key, str) and is_digest(key):
            self._first[name] = key
        return {body["part"]: body["ext"]} if "part" in body else {}
