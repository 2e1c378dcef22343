"""Stored requests and the keys they get: key records read, and moved to the target's rules.

Reads only. Of all keys that an answer is known under, the one whose record went through the fewest
normalisers says the most, so that going to other rules and back is exact.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from typing import Any

from cas_llm.errors import ObjectMissing, StoreError
from cas_llm.keys import KeyRecord, load_record, parts_of
from cas_llm.keys.moved import NotMovable, moved, rules_of
from cas_llm.rekey.target import Target
from cas_llm.store import Store
from cas_llm.store.answer import parse
from cas_llm.store.objects import Objects

Call = tuple[str, str]
"""A key and the digest of an answer to it."""


class Requests:
    """The requests of *store* under the rules of *target*; *known* are each answer's keys.

    With *waiting*, the files of a run whose answers wait are looked at before the store's.
    """

    def __init__(
        self,
        store: Store,
        target: Target,
        known: Mapping[str, Collection[str]],
        waiting: Objects | None = None,
    ) -> None:
        self._objects = store.objects if waiting is None else waiting
        self._behind = store.objects
        self._target = target
        self._known = known
        self._records: dict[str, dict[str, Any]] = {}
        self._moved: dict[tuple[str, str, str], KeyRecord] = {}

    def moved(self, call: Call) -> KeyRecord:
        """The key record that the request of *call* has under the target's rules.

        Raises:
            NotMovable: no record says enough of it.
            StoreError: what is in use cannot be read.

        """
        record = self.record(call[0])
        api, rules = self._target.api_of(record), self._target.rules_for(record)
        refused: NotMovable | None = None
        for key in self.fullest(call):
            place = key, api, rules.namespace
            if place in self._moved:
                return self._moved[place]
            found = self.record(key)
            try:
                self._moved[place] = moved(
                    found,
                    rules,
                    api=api,
                    load=lambda digest, found=found: self.part(found, digest),  # type: ignore[misc]
                    redact=self._target.redact,
                )
            except NotMovable as error:
                refused = refused or error
            else:
                return self._moved[place]
        raise refused or NotMovable("no key record of it is left")

    def fullest(self, call: Call) -> list[str]:
        """The keys whose records say what was asked in *call*, the one that says most first."""
        key, digest = call
        if not rules_of(self.record(key)):
            return [key]
        others = {*self._known.get(digest, ()), self._first_key(digest)} - {key}
        there = [key, *(other for other in sorted(others) if self._is_there(other))]
        return sorted(there, key=lambda other: len(rules_of(self.record(other))))

    def record(self, key: str) -> dict[str, Any]:
        """The loaded key record of *key*.

        Raises:
            StoreError: it cannot be read, or is none that this version understands.

        """
        if key not in self._records:
            try:
                self._records[key] = load_record(self._request(key))
            except ValueError as error:
                raise StoreError(
                    f"the key record {key[:12]} is {error}; nothing was changed. "
                    "Mend it first: cas-llm verify --repair"
                ) from error
        return self._records[key]

    def part(self, record: Mapping[str, Any], digest: str) -> bytes | None:
        """The bytes of a part of *record*, None where it is gone."""
        for objects in (self._objects, self._behind):
            with contextlib.suppress(ObjectMissing, KeyError):
                return objects.get(digest, parts_of(record)[digest])
        return None

    def _request(self, key: str) -> bytes:
        with contextlib.suppress(ObjectMissing):
            return self._objects.get_request(key)
        return self._behind.get_request(key)

    def named(self, member: str) -> frozenset[str]:
        """What *member* (``api``, ``namespace``) was in all records that were met and have it."""
        records = self._records.values()
        return frozenset(str(record[member]) for record in records if member in record)

    def _is_there(self, key: str) -> bool:
        try:
            self.record(key)
        except StoreError:
            # Not in use by itself: verify reports it.
            return False
        return True

    def _first_key(self, digest: str) -> str:
        data = self._objects.get(digest)
        try:
            return str(parse(data)["key"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"the answer {digest[:12]} is none ({error}); nothing was changed. "
                "Mend it first: cas-llm verify --repair"
            ) from error
