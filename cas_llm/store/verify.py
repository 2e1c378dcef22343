"""Prove a store, level by level: what it names is there, and each byte is what it must be.

====== ===================================================================
level  what is proved
====== ===================================================================
0      names, places, the files that explain the store; nothing foreign
1      references: tape or shared entry -> answer and key record -> parts
2      bytes: every file has the digest of its name
3      contents: keys, answers and the lines of tapes come out the same
       when derived anew; no secret; what ties
====== ===================================================================

Level 4, what git holds, is in `tracked`. Reads only, and reports everything as values; mending is
in `repair`. What a key record means, what a reviewer's lines are and what a secret is are asked of
`Checks`, as the store knows neither keys nor providers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from cas_llm.errors import StoreError
from cas_llm.store import answer as answers
from cas_llm.store import census as census_of
from cas_llm.store import doubts, layout
from cas_llm.store import tape as tapes
from cas_llm.store.answer import Answer
from cas_llm.store.census import ERROR, INFO, REPAIR, WARNING, Census, Finding
from cas_llm.store.checks import Checks, Lines, Subset
from cas_llm.store.files import read
from cas_llm.store.objects import check
from cas_llm.store.tape import Tape

__all__ = ["Checks", "Finding", "Subset", "verify"]

WHOLE = Subset()


def verify(
    root: Path,
    checks: Checks,
    *,
    level: int = 3,
    subset: Subset = WHOLE,
    census: Census | None = None,
    seen: Callable[[int], None] = lambda _: None,
) -> Iterator[Finding]:
    """Everything wrong with the store at *root* up to *level*.

    *seen* is told how many files were dealt with. Levels 2 and 3 look at the files of *subset*.
    """
    census = census or census_of.take(root)
    yield from census.findings
    if level >= 1:
        yield from _Verification(census, checks, level, subset, seen).run()


@dataclass
class _Verification:
    """One pass over a census; what was read of a small file once is kept for the next question."""

    census: Census
    checks: Checks
    level: int
    subset: Subset
    seen: Callable[[int], None]
    read_tapes: dict[Path, Tape] = field(default_factory=dict)
    users: dict[str, dict[str, None]] = field(default_factory=dict)
    bad: set[Path] = field(default_factory=set)
    named_parts: set[tuple[str, str]] = field(default_factory=set)
    asked_of: dict[str, tuple[Lines, Lines] | None] = field(default_factory=dict)

    def run(self) -> Iterator[Finding]:
        yield from self._tapes()
        yield from self._shared()
        yield from self._requests()
        yield from self._answers()
        yield from self._orphans()
        if self.level >= 3:
            yield from self._lines_on_tapes()
            yield from doubts.ties(self.census.root, self.read_tapes)
            yield from doubts.shared_names(self.census, self._document)

    # -- the manifest --------------------------------------------------------------------------

    def _tapes(self) -> Iterator[Finding]:
        for path in self.census.tapes:
            self.seen(1)
            try:
                tape = tapes.decode(read(path), path)
            except (StoreError, OSError) as error:
                why = "a test would be served another answer than its own, so replay refuses it"
                yield self._finding("CAS020", path, _said(error, path), why)
                continue
            self.read_tapes[path] = tape
            if tape.path(self.census.root) != path:
                there = self._relative(tape.path(self.census.root))
                why = f"its contents say that it is {there}; by its name nobody finds it"
                yield self._finding("CAS034", path, "was renamed or moved", why, (tape.scope,))
            yield from self._tape_references(path, tape)
            yield from self._secret(path, tape.data)

    def _tape_references(self, path: Path, tape: Tape) -> Iterator[Finding]:
        for turn in tape.turns:
            pairs = [(turn.key, turn.digest), *turn.within]
            for key, digest in pairs:
                yield from self._named(path, key, digest, tape.scope)

    def _named(self, path: Path, key: str, digest: str, scope: str) -> Iterator[Finding]:
        """What an entry for *key* and *digest* in *path* names and is not there, each once."""
        wanted = (
            ("CAS010", digest, (digest, "json") in self.census.objects, layout.object_path),
            ("CAS011", key, key in self.census.requests, layout.request_path),
        )
        for code, name, there, place in wanted:
            known = self.users.setdefault(name, {})
            first = not known
            known[scope] = None
            if not there and first:
                kind = "answer" if code == "CAS010" else "key record"
                what = f"is missing: the {kind} {name[:12]}"
                why = f"{self._relative(path)} names it"
                missing = place(self.census.root, name)
                yield self._finding(code, missing, what, why, (scope,) if scope else ())

    def _shared(self) -> Iterator[Finding]:
        for path, entry in self.census.shared.items():
            self.seen(1)
            if path.stat().st_size:
                why = "the name is the entry; git or an editor put something in"
                yield self._finding("CAS021", path, "is not empty", why)
            yield from self._named(path, entry.key, entry.digest, "")

    # -- objects -------------------------------------------------------------------------------

    def _requests(self) -> Iterator[Finding]:
        for key, path in self.census.requests.items():
            self.seen(1)
            data = yield from self._bytes(path, key)
            if data is None:
                continue
            try:
                parts = self.checks.parts_of(data)
                derived = self.checks.key_of(data) if self._deep(key) else key
            except (ValueError, KeyError, TypeError) as error:
                why = "its bytes have the digest of its name, so it was written like this"
                yield self._finding("CAS030", path, f"is no key record: {error}", why)
                continue
            if derived != key:
                why = "a request like this would never be looked up under this name"
                what = f"gives the key {derived[:12]} when derived anew"
                yield self._finding("CAS030", path, what, why)
            yield from self._part_references(path, parts, self._tests(key))
            if self._deep(key):
                yield from self._secret(path, data)

    def _answers(self) -> Iterator[Finding]:
        for (digest, ext), path in self.census.objects.items():
            self.seen(1)
            is_answer = ext == "json" and (
                digest in self.users or (digest, ext) not in self.named_parts
            )
            if not (is_answer or self._deep(digest, level=2)):
                continue
            data = yield from self._bytes(path, digest)
            if data is None:
                continue
            if ext in {"json", "txt"} and self._deep(digest):
                yield from self._secret(path, data)
            if is_answer:
                yield from self._answer(digest, path, data)

    def _answer(self, digest: str, path: Path, data: bytes) -> Iterator[Finding]:
        tests = self._tests(digest)
        try:
            document = orjson.loads(data)
            body = document["body"]
            parts = {body["part"]: body["ext"]} if "part" in body else {}
            key = str(document["key"])
        except (ValueError, KeyError, TypeError) as error:
            if digest in self.users:
                what = f"is no answer: {error}"
                yield self._finding("CAS031", path, what, "a tape or shared entry names it", tests)
            return
        yield from self._part_references(path, parts, tests)
        if key not in self.census.requests and key not in self.users:
            what = f"is missing: the key record {key[:12]}"
            missing = layout.request_path(self.census.root, key)
            why = f"{self._relative(path)} was recorded for it"
            yield self._finding("CAS011", missing, what, why, tests, severity=WARNING)
        if self._deep(digest) and all(self._part_is_there(*part) for part in parts.items()):
            yield from self._derived(digest, path, data, key, tests)

    def _derived(
        self, digest: str, path: Path, data: bytes, key: str, tests: Lines
    ) -> Iterator[Finding]:
        try:
            answer = answers.decode(data, self._part, path=path)
        except (StoreError, OSError) as error:
            why = "its bytes have the digest of its name, so it was written like this"
            yield self._finding("CAS031", path, _said(error, path), why, tests)
            return
        lines = self._lines(key, answer)
        self.asked_of[digest] = lines
        if lines is None:
            return
        for member, stored, derived in (
            ("ask", answer.ask, lines[0]),
            ("answer", answer.answer, lines[1]),
        ):
            if stored != derived:
                same = answer.provenance.get("recorder") == self.checks.recorder
                yield self._finding(
                    "CAS032",
                    path,
                    f"its lines {member!r} are not what comes out of its {_SOURCE[member]}",
                    "somebody changed one of them" if same else "another version recorded it",
                    tests,
                    severity=ERROR if same else WARNING,
                )

    def _lines(self, key: str, answer: Answer) -> tuple[Lines, Lines] | None:
        path = self.census.requests.get(key)
        if path is None or path in self.bad:
            return None
        try:
            return self.checks.lines_of(read(path), answer, self._part)
        except (ValueError, KeyError, TypeError, StoreError, OSError):
            return None  # what is wrong with the record or a part is a finding of its own

    # -- what only shows when all was read -----------------------------------------------------

    def _orphans(self) -> Iterator[Finding]:
        if self.subset.of > 1:
            return
        why = "no tape that can be read names it: its test was re-recorded, or the tape is damaged"
        for (digest, ext), path in self.census.objects.items():
            if digest not in self.users and (digest, ext) not in self.named_parts:
                yield self._finding("CAS013", path, "nothing names it", why, severity=INFO)
        for key, path in self.census.requests.items():
            if key not in self.users:
                yield self._finding("CAS013", path, "nothing names it", why, severity=INFO)

    def _lines_on_tapes(self) -> Iterator[Finding]:
        for path, tape in self.read_tapes.items():
            for number, turn in enumerate(tape.turns, 1):
                if not self._deep(turn.digest):
                    continue
                document = self._document(turn.digest)
                if document is None:
                    continue
                stored = tuple(document.get("ask", ())), tuple(document.get("answer", ()))
                shown = (turn.ask, turn.answer)
                if shown not in (stored, self.asked_of.get(turn.digest)):
                    what = f"turn {number} does not show what its request and answer say"
                    why = "a reviewer would read something else than what replays"
                    yield self._finding("CAS032", path, what, why, (tape.scope,))

    # -- small questions -----------------------------------------------------------------------

    def _bytes(self, path: Path, digest: str) -> Any:
        """The file's bytes, or None after a finding; hashed from level 2 on."""
        try:
            data = read(path)
            return check(data, digest, path) if self._deep(digest, level=2) else data
        except (StoreError, OSError) as error:
            self.bad.add(path)
            why = "replay refuses it rather than serve what was not recorded"
            yield self._finding("CAS020", path, _said(error, path), why, self._tests(digest))
            return None

    def _part_references(
        self, path: Path, parts: Mapping[str, str], tests: Lines
    ) -> Iterator[Finding]:
        for part, ext in parts.items():
            if (part, ext) not in self.named_parts and not self._part_is_there(part, ext):
                missing = layout.object_path(self.census.root, part, ext)
                what = f"is missing: the part {part[:12]}"
                why = f"{self._relative(path)} names it"
                yield self._finding("CAS012", missing, what, why, tests)
            self.named_parts.add((part, ext))

    def _part_is_there(self, digest: str, ext: str) -> bool:
        return (digest, ext) in self.census.objects

    def _part(self, digest: str, ext: str) -> bytes:
        path = layout.object_path(self.census.root, digest, ext)
        return check(read(path), digest, path)

    def _document(self, digest: str) -> dict[str, Any] | None:
        path = self.census.objects.get((digest, "json"))
        if path is None or path in self.bad:
            return None
        try:
            document = orjson.loads(read(path))
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def _secret(self, path: Path, data: bytes) -> Iterator[Finding]:
        place = self.checks.secret_in(data) if self.level >= 3 else ""
        if place:
            why = "whoever can read the repository can use it: revoke it first"
            command = "cas-llm edit, or record again with a redact rule in [tool.cas-llm]"
            what = f"holds what looks like a secret: {place}"
            yield Finding("CAS033", ERROR, self._relative(path), what, why, command)

    def _deep(self, digest: str, level: int = 3) -> bool:
        return self.level >= level and self.subset.holds(digest)

    def _tests(self, name: str) -> Lines:
        return tuple(scope for scope in self.users.get(name, ()) if scope)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.census.root).as_posix()

    def _finding(
        self,
        code: str,
        path: Path,
        what: str,
        why: str,
        tests: Lines = (),
        *,
        severity: str = ERROR,
    ) -> Finding:
        command = REPAIR if severity == ERROR else ""
        return Finding(code, severity, self._relative(path), what, why, command, tests)


_SOURCE = {"ask": "request", "answer": "body"}


def _said(error: Exception, path: Path) -> str:
    """The error's own words, without the path and the command, which a finding has already."""
    text = str(error).removeprefix(str(path)).lstrip(": ")
    return text.partition("; ")[0]
