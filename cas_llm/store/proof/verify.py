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

Level 4, what git holds, is in `tracked`. What a file proves by itself is in `facts`; here is what
files say of each other. Changes nothing but what it notes for the next time in `.local/`, and
reports everything as values; mending is in `repair`. What a key record means, what a reviewer's
lines are and what a secret is are asked of `Checks`, as the store knows neither keys nor providers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cas_llm.store import crew
from cas_llm.store.manifest import parse_shared
from cas_llm.store.proof import census as census_of
from cas_llm.store.proof import doubts, facts
from cas_llm.store.proof.census import ERROR, INFO, REPAIR, WARNING, Census, Finding
from cas_llm.store.proof.checks import Checks, Lines, Subset
from cas_llm.store.proof.doubts import Said
from cas_llm.store.proof.facts import OBJECTS, REQUESTS, SHARED, TAPES, Examiner, Fact, path_of
from cas_llm.store.proof.noted import facts_of
from cas_llm.store.proof.source import DISK, Source
from cas_llm.store.proof.tasks import shared_beside, tasks
from cas_llm.store.tape import Tape

__all__ = ["Checks", "Finding", "Subset", "verify"]

WHOLE = Subset()

_PRUNE = "cas-llm prune"
_REPLAYED = "no tape that can be read names it: its test was re-recorded, or the tape is damaged"


def verify(
    root: Path,
    checks: Checks,
    *,
    level: int = 3,
    subset: Subset = WHOLE,
    census: Census | None = None,
    seen: Callable[[int], None] = lambda _: None,
    noted: bool = False,
    workers: int = 0,
    source: Source = DISK,
    only: frozenset[str] | None = None,
) -> Iterator[Finding]:
    """Everything wrong with the store at *root* up to *level*.

    *seen* is told how many files were dealt with. Levels 2 and 3 look at the files of *subset*.
    With *noted*, files that are by all the file system says those that were proved before are not
    read again. *workers* of 0 means a process for each core, where the store is large enough.
    The bytes are had from *source*; with *only*, paths in the store, no other file is looked at,
    and what nothing names is not told.
    """
    census = census or census_of.take(root)
    yield from census.findings
    if level >= 1:
        noted = noted and level >= 2 and bool(checks.version)
        examiner = Examiner(root, checks, level, subset, source)
        yield from _Verification(census, examiner, seen, noted, workers, only).run()


@dataclass
class _Verification:
    """One pass over a census: facts come in file by file, findings go out."""

    census: Census
    examiner: Examiner
    seen: Callable[[int], None]
    noted: bool
    workers: int
    only: frozenset[str] | None = None
    tapes: list[tuple[str, list[Any]]] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    named_parts: set[str] = field(default_factory=set)
    said: dict[str, Said] = field(default_factory=dict)
    lines: dict[str, str] = field(default_factory=dict)
    tests: dict[str, dict[str, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Names of the census, not texts of their own: there may be millions.
        self.unused = {REQUESTS: set(self.census.requests), OBJECTS: set(self.census.objects)}
        self.on_tapes: set[str] = set()
        self.kept: dict[Said, Said] = {}

    def run(self) -> Iterator[Finding]:
        handlers = {
            TAPES: self._tape,
            SHARED: self._shared,
            REQUESTS: self._request,
            OBJECTS: self._object,
        }
        work = partial(facts_of, examiner=self.examiner, noted=self.noted)
        files = self.census.files if self.only is None else len(self.only)
        todo = tasks(self.census, self.only)
        for task, found in crew.spread(work, todo, files=files, workers=self.workers):
            for name, fact in zip(task.names, found, strict=True):
                yield from handlers[task.kind](name, fact)
            self.seen(len(task.names))
        yield from self._orphans()
        if self.examiner.level >= 3:
            yield from self._lines_on_tapes()
            yield from doubts.ties(self.census.root, self._rivals())
            names = (
                self.census.shared if self.only is None else shared_beside(self.census, self.only)
            )
            yield from doubts.shared_names(names, self.said.get)

    # -- the manifest --------------------------------------------------------------------------

    def _tape(self, name: str, fact: Fact) -> Iterator[Finding]:
        yield from self._problems(TAPES, name, fact)
        if fact.data is None:
            return
        self.tapes.append((name, fact.data))
        scope = fact.data[0]
        for key, digest, within, _ in fact.data[4]:
            self.on_tapes.add(digest)
            for asked, answered in ((key, digest), *within):
                yield from self._named(name, asked, answered, scope)

    def _shared(self, name: str, fact: Fact) -> Iterator[Finding]:
        yield from self._problems(SHARED, name, fact)
        entry = parse_shared(name[:2], name[3:])
        if entry is not None:
            yield from self._named(path_of(SHARED, name), entry.key, entry.digest, "")

    def _named(self, place: str, key: str, digest: str, scope: str) -> Iterator[Finding]:
        """What an entry for *key* and *digest* in *place* names and is not there, each once."""
        for code, kind, name in (("CAS010", OBJECTS, f"{digest}.json"), ("CAS011", REQUESTS, key)):
            self.unused[kind].discard(name)
            known = self.census.objects if kind == OBJECTS else self.census.requests
            if name not in known and name not in self.missing:
                self.missing.add(name)
                what = "answer" if code == "CAS010" else "key record"
                yield self._finding(
                    code,
                    path_of(kind, name),
                    f"is missing: the {what} {name[:12]}",
                    f"{place} names it",
                    (scope,) if scope else (),
                )

    # -- objects -------------------------------------------------------------------------------

    def _request(self, key: str, fact: Fact) -> Iterator[Finding]:
        yield from self._problems(REQUESTS, key, fact)
        if fact.data:
            yield from self._parts(path_of(REQUESTS, key), fact.data, key)

    def _object(self, name: str, fact: Fact) -> Iterator[Finding]:
        yield from self._problems(OBJECTS, name, fact)
        if fact.data is None:
            return
        is_used = name not in self.unused[OBJECTS]
        digest, _, ext = name.partition(".")
        if fact.data[0] == facts.OTHER:
            if is_used and ext == "json":
                what, why = f"is no answer: {fact.data[1]}", "a tape or shared entry names it"
                yield self._finding(
                    "CAS031", path_of(OBJECTS, name), what, why, self._tests(digest)
                )
        elif is_used or name not in self.named_parts:
            yield from self._answer(name, digest, fact)

    def _answer(self, name: str, digest: str, fact: Fact) -> Iterator[Finding]:
        _, key, parts, run, ordinal, edited, shown = fact.data
        if name not in self.unused[OBJECTS]:
            # What is named may have been moved to another key since it was recorded.
            self.unused[REQUESTS].discard(key)
        place = path_of(OBJECTS, name)
        if parts:
            yield from self._parts(place, parts, digest)
        if key not in self.census.requests and key not in self.missing:
            self.missing.add(key)
            yield self._finding(
                "CAS011",
                path_of(REQUESTS, key),
                f"is missing: the key record {key[:12]}",
                f"{place} was recorded for it",
                self._tests(digest),
                severity=WARNING,
            )
        for problem in fact.inner:
            yield self._told(problem, place, digest)
        said = Said(run, ordinal, edited)
        self.said[name] = self.kept.setdefault(said, said)
        if digest in self.on_tapes:
            self.lines[digest] = shown

    # -- what only shows when all was read -----------------------------------------------------

    def _orphans(self) -> Iterator[Finding]:
        if self.examiner.subset.of > 1 or self.only is not None:
            return
        for kind, names in ((OBJECTS, self.census.objects), (REQUESTS, self.census.requests)):
            unused = self.unused[kind]
            for name in names if unused else ():
                if name in unused and name not in self.named_parts:
                    place = path_of(kind, name)
                    yield Finding("CAS013", INFO, place, "nothing names it", _REPLAYED, _PRUNE)

    def _lines_on_tapes(self) -> Iterator[Finding]:
        for name, (scope, _, _, _, turns) in self.tapes:
            for number, (_, digest, _, shown) in enumerate(turns, 1):
                known = self.lines.get(digest, "")
                if known and shown not in known.split():
                    what = f"turn {number} does not show what its request and answer say"
                    why = "a reviewer would read something else than what replays"
                    yield self._finding("CAS032", name, what, why, (scope,))

    def _rivals(self) -> dict[Path, Tape]:
        """The tapes of scopes that have several, without their turns."""
        counts: dict[str, int] = {}
        for _, (scope, *_) in self.tapes:
            counts[scope] = counts.get(scope, 0) + 1
        found = {}
        for name, (scope, take, source, digest, _) in self.tapes:
            if counts[scope] > 1:
                tape = found[self.census.root / name] = Tape(scope, take, source)
                tape.__dict__["digest"] = digest
        return found

    # -- small questions -----------------------------------------------------------------------

    def _parts(self, place: str, parts: Mapping[str, str], owner: str) -> Iterator[Finding]:
        for part, ext in parts.items():
            name = f"{part}.{ext}"
            if name not in self.named_parts and name not in self.census.objects:
                what = f"is missing: the part {part[:12]}"
                tests = self._tests(owner)
                yield self._finding(
                    "CAS012", path_of(OBJECTS, name), what, f"{place} names it", tests
                )
            self.named_parts.add(name)

    def _problems(self, kind: str, name: str, fact: Fact) -> Iterator[Finding]:
        for problem in fact.problems:
            yield self._told(problem, path_of(kind, name), name.partition(".")[0])

    def _told(self, problem: facts.Problem, place: str, owner: str) -> Finding:
        tests = problem.tests
        if not tests and problem.code in {"CAS020", "CAS031", "CAS032"}:
            tests = self._tests(owner)
        return Finding(
            problem.code, problem.severity, place, problem.what, problem.why, problem.command, tests
        )

    def _tests(self, name: str) -> Lines:
        """The scopes whose tapes name a key or an answer; put together when first asked for."""
        if not self.tests and self.tapes:
            for _, (scope, _, _, _, turns) in self.tapes:
                for key, digest, within, _ in turns:
                    for one in (key, digest, *(word for call in within for word in call)):
                        self.tests.setdefault(one, {})[scope] = None
        return tuple(scope for scope in self.tests.get(name, ()) if scope)

    def _finding(
        self,
        code: str,
        place: str,
        what: str,
        why: str,
        tests: Iterable[str] = (),
        *,
        severity: str = ERROR,
    ) -> Finding:
        command = REPAIR if severity == ERROR else ""
        return Finding(code, severity, place, what, why, command, tuple(tests))
