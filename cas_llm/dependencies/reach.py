"""How far a change reaches: from changed files to all that imports, reads or lists them.

What a log knows of a file holds for the text that was logged; an edited or a new module is read
anew, and what was known of it counts as well.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from cas_llm.dependencies import graph
from cas_llm.dependencies.blobs import blob_id
from cas_llm.dependencies.places import (
    CONFTEST,
    Roots,
    conftests_of,
    folders_above,
    is_own,
    packages_of,
)
from cas_llm.dependencies.runlog import File, RunLog, Test

EVERYBODY = "*"
"""The node that every test depends on."""


@dataclass(frozen=True)
class Tree:
    """The tree that is judged: `ids` maps each of its files to its blob id, `read` gives a text."""

    ids: Mapping[str, str]
    read: Callable[[str], bytes | None]


class Reach:
    """What *changed* reaches by what *log* knows; see `selection.affected`.

    `changed` is what of it may be the project's own.
    """

    def __init__(self, log: RunLog, changed: Mapping[str, bytes | None], tree: Tree | None) -> None:
        self.log = log
        self.changed = {path: data for path, data in changed.items() if is_own(path)}
        self._tree = tree
        self._roots = Roots(log.roots)
        self._tails: dict[str, str] = {}

    @cached_property
    def ways(self) -> dict[str, str]:
        """The files that the change reaches, each with the next one on a shortest way to it."""
        return graph.ways_to(sorted(self.changed), self._importers)

    def ways_to(self, goals: Iterable[str]) -> dict[str, str]:
        """The files that reach one of *goals*, each with the next one on a shortest way there."""
        return graph.ways_to(sorted(goals), self._importers)

    def first_step(self, test: Test, ways: Mapping[str, str]) -> str:
        """The first of what *test* itself depends on that is in *ways*; empty if none is."""
        if test.file in ways:
            return test.file
        own = (*test.imports, *test.reads, *self._listed(test.lists)) if _looks(test) else ()
        return next((path for path in own if path in ways), EVERYBODY if EVERYBODY in ways else "")

    def why(self, name: str, test: Test) -> str:
        """The way from a test to what changed, for a person; empty where there is none."""
        step = self.first_step(test, self.ways)
        if step == test.file or not step:
            return step and f"{step}{self._tail(step)}"
        if step == EVERYBODY:
            step = self.ways[EVERYBODY]
            return f"every test depends on {step}{self._tail(step)}"
        return f"{name} depends on {step}{self._tail(step)}"

    def how(self, path: str) -> str:
        """What the change does to *path*, in a word."""
        if self.changed[path] is None:
            return "deleted"
        return "changed" if path in self._known else "added"

    def id_of(self, path: str, known: str) -> str:
        """The blob id *path* has beside the change; *known* where the tree doesn't have it."""
        return self._ids.get(path, known)

    @cached_property
    def edited(self) -> dict[str, bytes]:
        """The known modules whose text is not the one that was logged, with the new one."""
        found: dict[str, bytes] = {}
        for path, one in self.log.files.items():
            if path in self.changed:
                data = self.changed[path]
                if data is not None and blob_id(data, self.log.algorithm) != one.id:
                    found[path] = data
            elif self._tree is not None and self._ids.get(path, one.id) != one.id:
                found[path] = self._tree.read(path) or b""
        return found

    @cached_property
    def texts(self) -> dict[str, tuple[tuple[str, ...], bool]]:
        """What edited and new modules import, and whether some of it is made at run time."""
        new = {
            path: data
            for path, data in self.changed.items()
            if data is not None and path.endswith(".py") and path not in self.log.files
        }
        if not (self.edited or new):
            return {}
        from cas_llm.dependencies.imports import imports_of

        found = {}
        for path, data in {**self.edited, **new}.items():
            text = imports_of(data)
            files = self._roots.files(path, (*text.names, *text.hints), self._exists)
            # A module nobody knows may be a test.
            files += [*packages_of(path, self._exists), *conftests_of(path, self._exists)]
            found[path] = (tuple(files), text.dynamic)
        return found

    @cached_property
    def starters(self) -> dict[str, str]:
        """The files whose code, or code they import, starts a process: which file and program."""
        programs = {path: one.starts for path, one in self.log.files.items() if one.starts}
        ways = self.ways_to(programs) if programs else {}
        found = {}
        for path in ways:
            starter = graph.end_of(path, ways)
            found[path] = f"{starter} starts {programs[starter]}, whose reads can't be seen"
        return found

    @cached_property
    def _ids(self) -> Mapping[str, str]:
        """The tree's files; the known ones where the tree is not."""
        if self._tree is not None:
            return self._tree.ids
        known = {path: one.id for path, one in self.log.files.items()}
        return {**known, **self.log.configuration, **self.log.data}

    @cached_property
    def _known(self) -> frozenset[str]:
        """The files that there were when the log was written, as far as anybody knows."""
        there = {path for path, found in self.log.data.items() if found}
        return frozenset(self.log.files) | self.log.configuration.keys() | there

    def _exists(self, path: str) -> bool:
        if path in self.changed:
            return self.changed[path] is not None
        return path in self._ids or path in self.log.files

    @cached_property
    def _importers(self) -> dict[str, list[str]]:
        edges: dict[str, list[str]] = {}
        for path, one in self.log.files.items():
            edges[path] = self._edges(one)
        for path, (imports, _) in self.texts.items():
            edges[path] = [*edges.get(path, ()), *imports]
        for path, data in self.changed.items():
            if data is not None and path.endswith(".py") and path not in self.log.files:
                for importer in self._askers(path):
                    edges[importer].append(path)
        edges[EVERYBODY] = self._edges(self.log.everybody)
        return graph.reversed_edges(edges)

    def _edges(self, one: File) -> list[str]:
        return [*one.imports, *one.reads, *self._listed(one.lists)]

    def _askers(self, path: str) -> Iterator[str]:
        """The known modules that ask for a name which the new module *path* has."""
        stem = path.removesuffix(".py").removesuffix("/__init__")
        last = posixpath.basename(stem)
        for importer, one in self.log.files.items():
            names = [name for name in one.names if name.rpartition(".")[2] in {last, ""}]
            if names and self._roots.files(importer, names, path.__eq__):
                yield importer

    @cached_property
    def _comings(self) -> dict[str, list[str]]:
        """Folders whose list of names changes, with the files that come or go below them."""
        found: dict[str, list[str]] = {}
        moved = {p for p, data in self.changed.items() if data is None or p not in self._known}
        for path in sorted(moved):
            for folder in folders_above(path):
                found.setdefault(folder, []).append(path)
                start = f"{folder}/"
                # A folder that was there before is no news to who lists the one above it.
                if any(other.startswith(start) and other not in moved for other in self._ids):
                    break
        return found

    def _listed(self, folders: Iterable[str]) -> Iterator[str]:
        for folder in folders:
            yield from self._comings.get(folder, ())

    def _tail(self, path: str) -> str:
        """How the way goes on from *path*."""
        found = self._tails.get(path)
        if found is None:
            steps: list[str] = []
            place = path
            while self.ways[place] != place:
                step = self.ways[place]
                joint = ", which" if steps else ""
                steps.append(f"{joint} {self._verb(place, step)} {step}")
                place = step
            found = self._tails[path] = f"{''.join(steps)}, {self.how(place)}"
        return found

    def _verb(self, path: str, target: str) -> str:
        one = self.log.files.get(path)
        imported = [*(one.imports if one else ()), *self.texts.get(path, ((), False))[0]]
        if target in imported:
            return "is set up by" if target.endswith(CONFTEST) else "imports"
        if one is not None and target in one.reads:
            return "reads"
        if one is not None and target in self._listed(one.lists):
            return "lists the folder of"
        return "imports"


def _looks(test: Test) -> bool:
    return bool(test.imports or test.reads or test.lists)
