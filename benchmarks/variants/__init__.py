"""Everything that is measured against everything else, one class a variant.

A variant knows how to make a store of N entries, to open it for replay, and to record one entry
more. What it needs is imported inside its methods, so that a process that uses one variant pays
for no other, and a peer that is not installed is skipped.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asking import Call
    from payloads import Kind

_HOME = {
    "floor": "floors:Floor",
    "floor, own transport": "floors:OwnTransport",
    "proto_cas": "floors:ProtoCas",
    "proto_cas bare": "floors:ProtoCasBare",
    "proto_cas durable": "floors:ProtoCasDurable",
    "cas-llm": "cas:Cas",
    "cas-llm durable": "cas:CasDurable",
    "cas-llm session": "cas:Bare",
    "cas-llm session, own tapes": "cas:BareTapes",
    "cas-llm tapes": "cas:Tapes",
    "vcrpy": "cassettes:Vcr",
    "vcrpy per test": "cassettes:VcrPerTest",
    "cassetter": "cassettes:Cassetter",
    "cassetter per test": "cassettes:CassetterPerTest",
    "hishel": "caches:Hishel",
    "diskcache": "caches:DiskCache",
    "LangChain SQLite": "caches:LangChainSqlite",
}

NAMES = tuple(_HOME)


class Variant:
    """One way to replay and record; a subclass says what it can do.

    `needs` are the packages it is skipped without, `kinds` the kinds of call it can replay, and
    `through_sdk` whether a hit passes the SDK: one that does not can be faster than the floor.
    """

    needs: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("chat", "long", "stream", "vectors")
    is_async = True
    through_sdk = True

    def build(self, root: Path, kind: Kind, count: int) -> None:
        """Make a store with the entries 0 to *count* - 1 in the folder *root*."""

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        """What replays one entry from the store at *root*."""
        raise NotImplementedError

    def recorder(self, root: Path, kind: Kind) -> Call:
        """What records one entry that is new, as a user's program would."""
        raise NotImplementedError

    def missed(self) -> int:
        """Requests that found no recording, beyond those that reached the upstream."""
        return 0

    def has_recorded(self, count: int) -> bool:
        """Whether *count* recordings were kept, where the variant can tell."""
        del count
        return True

    def is_right(self, result: object, number: int) -> bool:
        """Whether *result* is the answer of entry *number*."""
        from asking import number_of

        return number_of(result) == number

    def close(self) -> None:
        """Let go of the store."""


def variant(name: str) -> Variant:
    """The variant *name*."""
    module, _, cls = _HOME[name].partition(":")
    made: Variant = getattr(importlib.import_module(f"variants.{module}"), cls)()
    return made


def missing(name: str) -> tuple[str, ...]:
    """The packages that the variant *name* needs and this Python lacks."""
    return tuple(package for package in variant(name).needs if find_spec(package) is None)
