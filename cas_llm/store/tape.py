"""A tape as a value and as a file: what one scope used, in order (``cas-llm/tape/1``).

A tape is the file a reviewer reads, the proof `prune` needs, and the way from a test to its
recordings. It is immutable; recording a scope anew writes another tape with the next take.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cas_llm.digest import digest_of
from cas_llm.errors import ManifestInvalid
from cas_llm.store import layout, members
from cas_llm.store.answer import parse, pretty

FORMAT = "cas-llm/tape/1"


@dataclass(frozen=True)
class Turn:
    """One request of a tape and the answer it got; `within` are calls its live body made."""

    key: str
    digest: str
    ask: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    within: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Tape:
    """What the scope `scope` used: its turns in the order the requests began.

    `source` is the digest of the test function's own text, empty where there is none. The k-th
    turn with one key is its k-th ordinal.
    """

    scope: str
    take: int
    source: str = ""
    turns: tuple[Turn, ...] = field(default=())

    @cached_property
    def answers(self) -> Mapping[str, tuple[str, ...]]:
        """Each key's digests, by ordinal."""
        found: dict[str, tuple[str, ...]] = {}
        for turn in self.turns:
            found[turn.key] = (*found.get(turn.key, ()), turn.digest)
        return found

    @cached_property
    def inner(self) -> Mapping[str, tuple[str, ...]]:
        """Digests of the calls that bodies of functions made, by key; no ask of the scope's own."""
        found: dict[str, tuple[str, ...]] = {}
        for turn in self.turns:
            for key, digest in turn.within:
                found[key] = (*found.get(key, ()), digest)
        return found

    @cached_property
    def data(self) -> bytes:
        """The bytes of the tape's file."""
        return pretty(
            {
                "format": FORMAT,
                "scope": self.scope,
                "take": self.take,
                "source": self.source,
                "turns": [_turn_document(turn) for turn in self.turns],
            }
        )

    @cached_property
    def digest(self) -> str:
        """The digest of the tape's file, the last word of every order."""
        return digest_of(self.data)

    def path(self, root: Path) -> Path:
        """Where the tape lies in the store at *root*."""
        folder, stem = layout.tape_folder_and_stem(self.scope)
        return root / folder / f"{stem}.{self.take}.{self.digest[:16]}.json"

    def agrees(self, served: Iterable[tuple[str, int, str]]) -> bool:
        """Whether the tape holds every (key, ordinal) served so far with the digest served."""
        answers = self.answers
        return all(answers.get(key, ())[n - 1 : n] == (digest,) for key, n, digest in served)


def _turn_document(turn: Turn) -> dict[str, Any]:
    document: dict[str, Any] = {
        "ask": list(turn.ask),
        "answer": list(turn.answer),
        "key": turn.key,
        "digest": turn.digest,
    }
    if turn.within:
        document["within"] = [{"key": key, "digest": digest} for key, digest in turn.within]
    return document


def decode(data: bytes, path: Path) -> Tape:
    """The tape in *data*, which was read from *path*.

    Raises:
        ManifestInvalid: it is not a tape, or its name does not carry its digest.

    """
    named = layout.TAPE_NAME.match(path.name)
    if named is None or digest_of(data)[:16] != named["short"]:
        reason = "it was edited or cut off: its name does not carry its digest"
        if b"\n<<<<<<< " in b"\n" + data:
            reason = "it holds merge conflict markers"
        raise _invalid(path, reason)
    try:
        document = parse(data)
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}, not {FORMAT!r}")
        tape = Tape(
            scope=members.text(document["scope"]),
            take=members.count(document["take"]),
            source=members.text(document["source"]),
            turns=tuple(_turn(turn) for turn in document["turns"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _invalid(path, str(error)) from error
    # Seeded, so that a tape that was read is not written out again to know its digest.
    tape.__dict__["data"] = data
    tape.__dict__["digest"] = digest_of(data)
    return tape


def _turn(document: Mapping[str, Any]) -> Turn:
    key, digest = _pair(document)
    within = tuple([_pair(call) for call in document.get("within", ())])
    shown = members.lines(document["ask"]), members.lines(document["answer"])
    return Turn(key, digest, *shown, within)


def _pair(document: Mapping[str, Any]) -> tuple[str, str]:
    return members.digest(document["key"]), members.digest(document["digest"])


def _invalid(path: Path, reason: str) -> ManifestInvalid:
    return ManifestInvalid(
        f"{path} is not a tape that can be used ({reason}); "
        "restore it from git with: cas-llm verify --repair",
        path=path,
    )
