"""What one file of a store proves by itself: the work of `verify` that needs no other file's name.

Each function reads a file and gives a `Fact`; what files say of each other is held together in
`verify`. A fact's `data` is JSON, so that it can be noted for the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cas_llm.errors import StoreError
from cas_llm.store import answer as answers
from cas_llm.store import layout, members
from cas_llm.store import tape as tapes
from cas_llm.store.answer import Answer, parse
from cas_llm.store.objects import check
from cas_llm.store.proof.census import ERROR, REPAIR, WARNING
from cas_llm.store.proof.checks import Checks, Lines, Subset
from cas_llm.store.proof.source import DISK, Source

REQUESTS, OBJECTS, SHARED, TAPES = "requests", "objects", "shared", "tapes"
ANSWER, OTHER = "answer", "other"

_SOURCE = {"ask": "request", "answer": "body"}
_REFUSED = "replay refuses it rather than serve what was not recorded"
_WRITTEN = "its bytes have the digest of its name, so it was written like this"
_UNUSABLE = "a test would be served another answer than its own, so replay refuses it"


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding that does not know yet whose file it is in; `tests` are those it names itself."""

    code: str
    what: str
    why: str
    severity: str = ERROR
    command: str = REPAIR
    tests: Lines = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of one file: `data` is None where it could not be read or understood.

    `inner` are problems that count only if the file is used as an answer; `level` is the one it
    was proved to.
    """

    data: Any
    level: int = 0
    problems: tuple[Problem, ...] = ()
    inner: tuple[Problem, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong, so that the fact may be noted."""
        return self.data is not None and not self.problems and not self.inner


def path_of(kind: str, name: str) -> str:
    """The path below the store of the file that a census calls *name*."""
    if kind == REQUESTS:
        return layout.sharded(layout.REQUESTS, name)
    if kind == OBJECTS:
        return f"{layout.OBJECTS}/{name[:2]}/{name[2:]}"
    return f"{layout.SHARED}/{name}" if kind == SHARED else name


@dataclass(frozen=True)
class Examiner:
    """Examines files of the store at `root`, as deep as `level` and `subset` say.

    Their bytes are had from `source`.
    """

    root: Path
    checks: Checks
    level: int
    subset: Subset = field(default_factory=Subset)
    source: Source = DISK

    def depth(self, kind: str, name: str) -> int:
        """The level to which the file *name* is to be proved."""
        if kind in {SHARED, TAPES}:
            return min(self.level, 3)
        return min(self.level, 3) if self.level < 2 or self.subset.holds(name) else 1

    def fact(self, kind: str, name: str) -> Fact:
        """What the file *name* proves."""
        path = f"{self.root}/{path_of(kind, name)}"
        return _EXAMINE[kind](self, path, name, self.depth(kind, name))

    def _request(self, path: str, key: str, depth: int) -> Fact:
        data = self._bytes(path, key, depth)
        if isinstance(data, Fact):
            return data
        try:
            derived = self.checks.key_of(data) if depth >= 3 else key
            parts = self.checks.parts_of(data)
        except (ValueError, KeyError, TypeError) as error:
            return Fact(None, depth, (Problem("CAS030", f"is no key record: {error}", _WRITTEN),))
        problems = self._secrets(data) if depth >= 3 else ()
        if derived != key:
            why = "a request like this would never be looked up under this name"
            what = f"gives the key {derived[:12]} when derived anew"
            problems = (Problem("CAS030", what, why), *problems)
        return Fact(dict(parts), depth, problems)

    def _object(self, path: str, name: str, depth: int) -> Fact:
        digest, _, ext = name.partition(".")
        if ext != "json" and depth < 2:
            return Fact([OTHER, ""], depth)
        data = self._bytes(path, digest, depth)
        if isinstance(data, Fact):
            return data
        problems = self._secrets(data) if depth >= 3 and ext in {"json", "txt"} else ()
        if ext != "json":
            return Fact([OTHER, ""], depth, problems)
        try:
            document = parse(data)
            body = document["body"]
            parts = _part_of(body) if "part" in body else {}
            key = members.digest(document["key"])
            run, ordinal = document.get("run"), document.get("ordinal")
            said_of_it = [
                run if isinstance(run, str) else None,
                ordinal if isinstance(ordinal, int) else None,
                "edited" in document.get("marks", ()),
            ]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return Fact([OTHER, str(error)], depth, problems)
        if depth < 3:
            return Fact([ANSWER, key, parts, *said_of_it, ""], depth, problems)
        shown = mark_of(document.get("ask", ()), document.get("answer", ()))
        reached, other, inner = self._derived(path, data, key, parts)
        seen = f"{shown} {other}" if other and other != shown else shown
        return Fact([ANSWER, key, parts, *said_of_it, seen], reached, problems, inner)

    def _derived(
        self, path: str, data: bytes, key: str, parts: Mapping[str, str]
    ) -> tuple[int, str, tuple[Problem, ...]]:
        """The level reached, the mark of the lines as derived anew, and what is wrong with it."""
        if not all(self.source.exists(self._object_path(*part)) for part in parts.items()):
            return 2, "", ()
        try:
            answer = answers.decode(data, self._part, path=path)
        except (StoreError, OSError) as error:
            return 3, "", (Problem("CAS031", said(error, path), _WRITTEN),)
        lines = self._lines(key, answer)
        if lines is None:
            return 2, "", ()
        same = answer.provenance.get("recorder") == self.checks.recorder
        problems = tuple(
            Problem(
                "CAS032",
                f"its lines {member!r} are not what comes out of its {_SOURCE[member]}",
                "somebody changed one of them" if same else "another version recorded it",
                ERROR if same else WARNING,
                REPAIR if same else "",
            )
            for member, stored, derived in (
                ("ask", answer.ask, lines[0]),
                ("answer", answer.answer, lines[1]),
            )
            if stored != derived
        )
        return 3, mark_of(*lines), problems

    def _lines(self, key: str, answer: Answer) -> tuple[Lines, Lines] | None:
        path = f"{self.root}/{layout.sharded(layout.REQUESTS, key)}"
        try:
            record = check(self.source.read(path), key, path)
            return self.checks.lines_of(record, answer, self._part)
        except (ValueError, KeyError, TypeError, StoreError, OSError):
            return None  # what is wrong with the record or a part is a finding of its own

    def _shared(self, path: str, _name: str, depth: int) -> Fact:
        try:
            size = self.source.size(path)
        except OSError as error:
            return Fact(None, depth, (Problem("CAS020", said(error, path), _REFUSED),))
        why = "the name is the entry; git or an editor put something in"
        return Fact([], depth, (Problem("CAS021", "is not empty", why),) if size else ())

    def _tape(self, path: str, _name: str, depth: int) -> Fact:
        place = Path(path)
        try:
            tape = tapes.decode(self.source.read(path), place)
        except (StoreError, OSError) as error:
            return Fact(None, depth, (Problem("CAS020", said(error, path), _UNUSABLE),))
        problems: tuple[Problem, ...] = ()
        there = tape.path(self.root)
        if there != place:
            should = there.relative_to(self.root).as_posix()
            why = f"its contents say that it is {should}; by its name nobody finds it"
            moved = Problem("CAS034", "was renamed or moved", why, tests=(tape.scope,))
            problems = (moved,)
        if depth >= 3:
            problems += self._secrets(tape.data)
        turns = [
            [turn.key, turn.digest, turn.within, mark_of(turn.ask, turn.answer)]
            for turn in tape.turns
        ]
        return Fact([tape.scope, tape.take, tape.source, tape.digest, turns], depth, problems)

    def _bytes(self, path: str, digest: str, depth: int) -> Any:
        """The file's bytes, hashed from level 2 on, or the fact that they cannot be had."""
        try:
            data = self.source.read(path)
            return check(data, digest, path) if depth >= 2 else data
        except (StoreError, OSError) as error:
            return Fact(None, depth, (Problem("CAS020", said(error, path), _REFUSED),))

    def _secrets(self, data: bytes) -> tuple[Problem, ...]:
        place = self.checks.secret_in(data)
        if not place:
            return ()
        why = "whoever can read the repository can use it: revoke it first"
        command = "cas-llm edit, or record again with a redact rule in [tool.cas-llm]"
        what = f"holds what looks like a secret: {place}"
        return (Problem("CAS033", what, why, command=command),)

    def _part(self, digest: str, ext: str) -> bytes:
        path = self._object_path(digest, ext)
        return check(self.source.read(path), digest, path)

    def _object_path(self, digest: str, ext: str) -> str:
        return f"{self.root}/{layout.sharded(layout.OBJECTS, digest, ext)}"


_EXAMINE: dict[str, Callable[[Examiner, str, str, int], Fact]] = {
    REQUESTS: Examiner._request,  # noqa: SLF001 - the table is the class's own
    OBJECTS: Examiner._object,  # noqa: SLF001
    SHARED: Examiner._shared,  # noqa: SLF001
    TAPES: Examiner._tape,  # noqa: SLF001
}


def _part_of(body: Mapping[str, Any]) -> dict[str, str]:
    return {members.digest(body["part"]): members.extension(body["ext"])}


def mark_of(ask: Any, answer: Any) -> str:
    """A short digest of what a reviewer is shown of one turn."""
    shown = [list(lines) if isinstance(lines, (list, tuple)) else lines for lines in (ask, answer)]
    return blake2b(repr(shown).encode("utf-8", "replace"), digest_size=12).hexdigest()


def said(error: Exception, path: str) -> str:
    """The error's own words, without the path and the command, which a finding has already."""
    text = str(error).removeprefix(path).lstrip(": ")
    return text.partition("; ")[0]
