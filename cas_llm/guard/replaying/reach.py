"""Which tests a change reaches through the files they depend on, by what runs have seen.

Asks the run logs that lie beside the store on this machine; where they don't hold, says so, and
whoever asks takes all tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from cas_llm.dependencies import fingerprint, runlog, selection
from cas_llm.dependencies.runlog import RunLog
from cas_llm.dependencies.selection import Tree
from cas_llm.guard.replaying.projects import Project
from cas_llm.store import layout


@dataclass(frozen=True)
class Reached:
    """Tests, each with the way from it to what changed, and reasons why these may not be all."""

    tests: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


class Reach:
    """What runs of the tests of *project* have seen of their dependencies."""

    def __init__(self, project: Project, environ: Mapping[str, str]) -> None:
        self._project = project
        self._staged = project.staged
        self._environ = environ

    def of_changes(self) -> Reached:
        """The tests that the staged changes reach; what changes in the store does by its tapes.

        At a push also those that earlier changes reached, and that have not run since.
        """
        start = f"{self._project.store}/"
        changes = [one for one in self._staged.changes if not one.path.startswith(start)]
        texts = dict(self._staged.contents({one.new for one in changes if one.new}))
        return self._of({one.path: texts.get(one.new) for one in changes}, tree=self._tree)

    def of_edits(self, paths: Iterable[str]) -> Reached:
        """The tests that see one of the files at *paths*, whatever is in them."""
        return self._of(dict.fromkeys(paths), tree=None)

    def asking(self, names: frozenset[str]) -> frozenset[str]:
        """The tests that were seen to use one of the keys and digests *names*."""
        return frozenset(
            name
            for log in self._logs
            for name, test in log.llm_tests().items()
            if any(not names.isdisjoint(one) for one in test.used)
        )

    def everybody(self) -> frozenset[str]:
        """All tests that were seen to ask an LLM."""
        return frozenset(name for log in self._logs for name in log.llm_tests())

    def _of(self, changed: Mapping[str, bytes | None], tree: Tree | None) -> Reached:
        if not changed:
            return Reached()
        more = self._project.settings.hooks.get("environment", ())
        now = fingerprint.take(self._environ, more) if tree is not None else None
        logs: list[RunLog | None] = list(self._logs) or [None]
        found = [selection.affected(log, changed, now, tree) for log in logs]
        doubts = [*self._unreadable, *(doubt for one in found for doubt in one.doubts)]
        tests: dict[str, str] = {}
        for one in found:
            tests |= one.behind if self._staged.is_push else {}
            tests |= one.tests
        return Reached(tests, tuple(dict.fromkeys(doubts)))

    @cached_property
    def _logs(self) -> tuple[RunLog, ...]:
        return self._read[0]

    @cached_property
    def _unreadable(self) -> tuple[str, ...]:
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[tuple[RunLog, ...], tuple[str, ...]]:
        local = self._project.settings.store / layout.LOCAL
        try:
            return tuple(runlog.read_all(local)), ()
        except ValueError as error:
            return (), (f"what earlier runs saw cannot be read: {error}",)

    @cached_property
    def _tree(self) -> Tree:
        ids = self._staged.files(".")

        def read(path: str) -> bytes | None:
            return dict(self._staged.contents([ids[path]])).get(ids[path]) if path in ids else None

        return Tree(ids, read)
