"""Brings what one run saw together with what was known before.

A run says everything of the tests that passed in it, and nothing of the others: what it left out
stays as it was, and is marked where a file it depends on has another text by now.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cas_llm.dependencies import graph
from cas_llm.dependencies.blobs import id_of
from cas_llm.dependencies.fingerprint import Fingerprint
from cas_llm.dependencies.imports import imports_of
from cas_llm.dependencies.journal import PASSED, Finished, Lines
from cas_llm.dependencies.places import CONFTEST, Roots, conftests_of, is_own, packages_of
from cas_llm.dependencies.runlog import File, RunLog, Test, pairs
from cas_llm.dependencies.witness import EVERYBODY, IMPORT, LIST, READ, START, Seen

_SKIPPED = "skipped"
_EDITED = "edited"  # while the run was going on: the id of no text


@dataclass(frozen=True)
class Facts:
    """What holds for a whole run of the suite at `suite`, below the work tree's `top`.

    `began` is when it did, in seconds since 1970; `collected` are all tests there are, None where
    the run did not look for all; `complete` says that all ran and none failed.
    """

    top: Path
    suite: str
    algorithm: str
    began: float
    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    configuration: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    collected: frozenset[str] | None = None
    complete: bool = False


def merged(before: RunLog | None, lines: Lines, facts: Facts) -> RunLog:
    """What is known after a run that wrote *lines*."""
    return _Merge(before or RunLog(facts.suite, facts.algorithm), lines, facts).log()


class _Merge:
    def __init__(self, before: RunLog, lines: Lines, facts: Facts) -> None:
        self._before, self._lines, self._facts = before, lines, facts
        self._ids: dict[str, str] = {}
        self._there: dict[str, frozenset[str]] = {}
        known = RunLog(facts.suite) if facts.complete else before
        self._roots = Roots(tuple(dict.fromkeys((*lines.roots, *known.roots))))
        self._plugins = tuple(dict.fromkeys((*lines.plugins, *known.plugins)))
        self._shared = pairs((*known.shared, *lines.shared))
        self._ran = {one.test: one for one in lines.finished}
        self._kept = {
            name: test
            for name, test in before.tests.items()
            if self._is_kept(name) and self._exists(test.file)
        }
        self._test_files = {one.file for one in self._ran.values()} | {*lines.plain.values()}
        self._test_files |= {test.file for test in self._kept.values()}
        self._needed_before = graph.reachable(
            {test.file for test in self._kept.values()},
            lambda path: _imports(before.files, path),
        )
        self._seen: dict[str, list[Seen]] = {}
        for seen in lines.seen:
            self._seen.setdefault(seen.owner, []).append(seen)

    def log(self) -> RunLog:
        files = self._files()
        everybody = self._everybody(files)
        plain = {file: Test(file, PASSED) for file in self._test_files}
        tests = {name: plain[file] for name, file in self._lines.plain.items()}
        tests |= {n: self._test(one) for n, one in self._ran.items() if n not in self._kept}
        data = self._data(files, tests, everybody)
        configuration = {path: self._id(path) for path in self._facts.configuration}
        kept = self._marked(files, data, configuration)
        facts, roots = self._facts, self._roots.folders
        patterns = facts.patterns or self._before.patterns
        head = (facts.suite, facts.algorithm, roots, patterns, facts.fingerprint)
        known = (files, data, kept | tests, everybody, self._shared)
        return RunLog(*head, configuration, self._plugins, *known)

    def _is_kept(self, name: str) -> bool:
        """Whether what was known of a test stays: it did not run, and may be there still."""
        if name in self._lines.plain:
            return False
        if name in self._ran:
            return self._ran[name].outcome == _SKIPPED
        return self._facts.collected is None or name in self._facts.collected

    def _exists(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        there = self._there.get(folder)
        if there is None:
            there = self._there[folder] = _files_in(self._facts.top / folder)
        return name in there

    def _id(self, path: str) -> str:
        """The file's id; that of no text where it was edited while the run was going on."""
        if path not in self._ids:
            place = self._facts.top / path
            found = id_of(place, self._facts.algorithm)
            if found and place.stat().st_mtime > self._facts.began:
                found = _EDITED
            self._ids[path] = found
        return self._ids[path]

    def _files(self) -> dict[str, File]:
        """The project's modules that a test needs, with what is known of each."""
        found: dict[str, File] = {}
        starts = {*self._test_files, *self._plugins, *self._lines.modules}
        starts |= {seen.owner for seen in self._lines.seen if seen.owner.endswith(".py")}
        waiting = [path for path in sorted(starts) if path.endswith(".py")]
        while waiting:
            path = waiting.pop()
            if path in found or not (is_own(path) and self._exists(path)):
                continue
            found[path] = one = self._file(path)
            waiting += one.imports
        return self._shared_caches(found)

    def _file(self, path: str) -> File:
        before, now = self._before.files.get(path), self._id(path)
        if before is not None and before.id == now != _EDITED:
            names, hinted, dynamic = before.names, before.imports, before.dynamic
        else:
            text = imports_of(_read(self._facts.top / path))
            names, dynamic = text.names, text.dynamic
            hinted = tuple(self._roots.files(path, text.hints, self._exists))
        imports = [*self._roots.files(path, names, self._exists), *hinted]
        imports += [*packages_of(path, self._exists), *self._conftests(path)]
        one = File(now, (), names, dynamic=dynamic)
        return self._with(one, imports, self._seen.get(path, ()), before, path)

    def _with(
        self, one: File, imports: list[str], seen: Iterable[Seen], before: File | None, path: str
    ) -> File:
        """The file with what was seen of it, and what was known where that may hold still."""
        reads, lists, starts = [], [], ""
        if before is not None and (path in self._needed_before or path == EVERYBODY):
            imports += before.imports
            reads, lists, starts = [*before.reads], [*before.lists], before.starts
        for other in seen:
            if other.kind == IMPORT:
                imports += [other.target, *packages_of(other.target, self._exists)]
            elif other.kind == READ:
                reads.append(other.target)
            elif other.kind == LIST:
                lists.append(other.target)
            elif other.kind == START:
                starts = starts or other.target
        there = (t for t in imports if t != path and is_own(t) and self._exists(t))
        return replace(
            one,
            imports=tuple(sorted(set(there))),
            reads=tuple(sorted(set(reads))),
            lists=tuple(sorted(set(lists))),
            starts=starts,
        )

    def _conftests(self, path: str) -> list[str]:
        is_test = path in self._test_files or path.endswith(CONFTEST)
        return conftests_of(path, self._exists) if is_test else []

    def _shared_caches(self, files: dict[str, File]) -> dict[str, File]:
        """The files, where what another package did for one is also its neighbours' business.

        A package's object that keeps what it read (an environment of templates) was made by a
        module that imports the package, and serves whoever imports that one.
        """
        found = dict(files)
        for seen in self._lines.seen:
            if not seen.through or seen.owner not in files or seen.kind == START:
                continue
            near = graph.reachable([seen.owner], lambda path: _imports(files, path))
            near &= files.keys()
            wanted = set(seen.through)
            makers = [path for path in near if not wanted.isdisjoint(files[path].names)]
            for path in makers or near:
                if path != seen.target:
                    found[path] = _and(found[path], seen)
        return found

    def _everybody(self, files: Mapping[str, File]) -> File:
        """What all tests depend on: also modules that were imported nobody knows by whom."""
        known = graph.reachable(self._test_files, lambda path: _imports(files, path))
        imports = [path for path in (*self._lines.modules, *self._plugins) if path not in known]
        before = None if self._facts.complete else self._before.everybody
        return self._with(File(""), imports, self._seen.get(EVERYBODY, ()), before, EVERYBODY)

    def _test(self, done: Finished) -> Test:
        before = self._before.tests.get(done.test)
        seen = self._seen.get(f"::{done.test}", ())
        one = self._with(File(""), [], seen, None, "") if seen else File("")
        opaque = done.opaque or (f"it starts {one.starts}" if one.starts else "")
        used, reads, lists = done.used, one.reads, one.lists
        if done.outcome != PASSED:
            opaque = opaque or f"it {_said(done.outcome)} when it last ran"
            if before is not None:
                used = pairs((*before.used, *used))
                reads = tuple(sorted({*before.reads, *reads}))
                lists = tuple(sorted({*before.lists, *lists}))
        asked = (used, done.tapes, done.missed)
        return Test(done.file, done.outcome, *asked, reads, lists, one.imports, opaque)

    def _data(
        self, files: Mapping[str, File], tests: Mapping[str, Test], everybody: File
    ) -> dict[str, str]:
        """The ids of what is read: now, or when a test that did not run now last ran."""
        readers: list[File | Test] = [*files.values(), *tests.values(), everybody]
        now = {path for one in readers for path in one.reads}
        kept = {path for test in self._kept.values() for path in test.reads}
        data = {path: self._before.data[path] for path in kept if path in self._before.data}
        return data | {path: self._id(path) for path in now if path not in files}

    def _marked(
        self, files: Mapping[str, File], data: Mapping[str, str], configuration: Mapping[str, str]
    ) -> dict[str, Test]:
        """The tests that did not run, marked with what is not as it was for them."""
        before = self._before
        reasons = [*before.fingerprint.differences(self._facts.fingerprint)] if self._kept else []
        reasons += [
            f"{path} changed"
            for path in sorted(before.configuration.keys() | configuration.keys())
            if before.configuration.get(path) != configuration.get(path)
        ]
        opaque = f"since it last ran, {reasons[0]}" if reasons else ""
        edited = [p for p, one in before.files.items() if p not in files or one.id != files[p].id]
        edited += [p for p, was in before.data.items() if p in data and data[p] != was]
        behind: dict[str, set[str]] = {}
        if edited:
            edges = {p: (*one.imports, *one.reads) for p, one in before.files.items()}
            edges |= {
                f"::{name}": (test.file, *test.imports, *test.reads, *before.everybody.imports)
                for name, test in self._kept.items()
            }
            importers = graph.reversed_edges(edges)
            for path in edited:
                for node in graph.ways_to([path], importers):
                    behind.setdefault(node, set()).add(path)
        return {
            name: replace(
                test,
                opaque=test.opaque or opaque,
                behind=tuple(sorted({*test.behind, *behind.get(f"::{name}", ())})),
            )
            for name, test in self._kept.items()
        }


def _imports(files: Mapping[str, File], path: str) -> tuple[str, ...]:
    return files[path].imports if path in files else ()


def _and(one: File, seen: Seen) -> File:
    """The file, where it did what was *seen* as well."""
    name = {READ: "reads", LIST: "lists", IMPORT: "imports"}[seen.kind]
    more: dict[str, Any] = {name: tuple(sorted({*getattr(one, name), seen.target}))}
    return replace(one, **more)


def _said(outcome: str) -> str:
    return "was skipped" if outcome == _SKIPPED else outcome or "did not end"


def _files_in(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        return frozenset()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def suite_of(top: Path, root: Path) -> str:
    """The folder *root* as a suite's name below *top*."""
    return os.path.relpath(root, top).replace(os.sep, "/")
