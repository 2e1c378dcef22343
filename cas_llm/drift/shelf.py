"""Answers and key records out of several places at once: disk first, then what git has of it.

Reads many files with one question each place; a file whose bytes do not fit its name is as good as
missing, and what cannot be read is None, never an error: `verify` reports it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from cas_llm.drift.said import Said, said
from cas_llm.errors import ObjectMissing, StoreError
from cas_llm.keys import Difference, compare, load_record, parts_of
from cas_llm.providers import Provider, provider_for
from cas_llm.store import Answer, layout
from cas_llm.store import answer as answers
from cas_llm.store.pruning.trees import Tree

Call = tuple[str, str]
"""A key and the digest of an answer to it."""


class Shelf:
    """What lies in *places*, the first one that has a file counting."""

    def __init__(self, places: Sequence[Tree]) -> None:
        self._places = list(places)
        self._files: dict[str, bytes] = {}
        self._records: dict[str, Mapping[str, Any] | None] = {}
        self._said: dict[Call, Said | None] = {}

    def fetch(self, calls: Iterable[Call]) -> None:
        """Read what *calls* name, and the texts of their requests, in few questions."""
        calls = set(calls)
        named = {layout.sharded(layout.REQUESTS, key) for key, _ in calls}
        named |= {layout.sharded(layout.OBJECTS, digest) for _, digest in calls if digest}
        self._read(named)
        parts: set[str] = set()
        for key in {key for key, _ in calls}:
            with contextlib.suppress(ValueError):
                texts = parts_of(self.record(key) or {}).items()
                parts |= {layout.sharded(layout.OBJECTS, d, ext) for d, ext in texts}
        self._read(parts)

    def record(self, key: str) -> Mapping[str, Any] | None:
        """The key record of *key*."""
        if key not in self._records:
            data = self._file(layout.sharded(layout.REQUESTS, key))
            self._records[key] = None
            with contextlib.suppress(ValueError):
                self._records[key] = None if data is None else load_record(data)
        return self._records[key]

    def said(self, call: Call) -> Said | None:
        """What the answer of *call* says."""
        if call not in self._said:
            self._said[call] = self._heard(*call)
        return self._said[call]

    def differences(self, old: str, new: str) -> tuple[Difference, ...] | None:
        """Where two requests differ, by their keys; None where one cannot be read."""
        before, after = self.record(old), self.record(new)
        if before is None or after is None:
            return None
        with contextlib.suppress(ValueError, RecursionError):
            return compare(before, after, self._part_of(before, after))
        return None

    def files(self, names: Collection[str]) -> dict[str, bytes]:
        """The bytes of the store paths *names*, of those that are anywhere."""
        self._read(set(names))
        return {name: self._files[name] for name in names if name in self._files}

    def provider(self, key: str) -> Provider:
        """The family that the request *key* was made to."""
        record = self.record(key) or {}
        return provider_for(str(record.get("api", "")).partition("@")[0])

    def _heard(self, key: str, digest: str) -> Said | None:
        answer = self._answer(digest)
        return None if answer is None else said(digest, answer, self.provider(key))

    def _answer(self, digest: str) -> Answer | None:
        name = layout.sharded(layout.OBJECTS, digest)
        data = self._file(name)
        try:
            return None if data is None else answers.decode(data, self._part, path=name)
        except StoreError:
            return None

    def _part(self, digest: str, ext: str) -> bytes:
        data = self._file(name := layout.sharded(layout.OBJECTS, digest, ext))
        if data is None:
            place = self._places[0].place if self._places else "nowhere"
            raise ObjectMissing(f"{name} is missing in {place}", digest=digest, path=name)  # type: ignore[arg-type]
        return data

    def _part_of(self, *records: Mapping[str, Any]) -> Any:
        known: dict[str, str] = {}
        for record in records:
            with contextlib.suppress(ValueError):
                known |= parts_of(record)

        def load(digest: str) -> bytes | None:
            if digest not in known:
                return None
            return self._file(layout.sharded(layout.OBJECTS, digest, known[digest]))

        return load

    def _file(self, name: str) -> bytes | None:
        self._read({name})
        return self._files.get(name)

    def _read(self, names: set[str]) -> None:
        wanted = names - self._files.keys()
        for place in self._places:
            if not wanted:
                return
            for name, data in place.read(sorted(wanted & place.names)):
                if layout.fits(name, data):
                    self._files[name] = data
            wanted -= self._files.keys()
