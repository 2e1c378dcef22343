"""What a run's scopes used and keep: the tapes of those that passed, and notes for the end.

Decides nothing: which scopes passed is told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cas_llm.errors import CasLLMError
from cas_llm.session import Kind, Scope
from cas_llm.session.closing import passed
from cas_llm.session.runtime import Runtime
from cas_llm.store import pick


class Notes:
    """The notes of one process of the run."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.scopes: dict[str, dict[str, list[str]]] = {}
        self.borrowers: list[str] = []
        self.unkept: list[str] = []
        self._tests: dict[str, dict[str, Any]] = {}
        self._ties: dict[str, list[str]] = {}
        self._totals = {"new_recordings": 0, "new_tapes": 0}

    def document(self) -> dict[str, Any]:
        """As JSON that can be merged with another process's."""
        return {
            **self._totals,
            "borrowers": list(self.borrowers),
            "unkept": list(self.unkept),
            "ties": dict(self._ties),
            "tests": dict(self._tests),
            "scopes": dict(self.scopes),
        }

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Let the summary tell what could not be kept after the last test."""
        try:
            yield
        except CasLLMError as error:
            self.unkept.append(str(error))

    def keep(self, scope: Scope) -> None:
        """Keep what *scope*, which passed, recorded; raises `StoreError` where that can't be."""
        written = passed(scope, self._runtime)
        self._totals["new_recordings"] += written.recordings
        self._totals["new_tapes"] += written.tape is not None

    def test(self, scope: Scope, *, passed: bool) -> None:
        """Note what a test used that is over."""
        if not scope.uses and not scope.problems:
            return
        self._tests[scope.name] = {
            "passed": passed,
            "used": [{"key": use.key, "digest": use.digest} for use in scope.in_order()],
        }
        self.tie(scope)
        if passed:
            self.usage(scope)

    def usage(self, scope: Scope) -> None:
        """Note which tapes served a scope that passed, and which it has now."""
        if scope.uses and scope.kind is not Kind.SHARED:
            own = self._runtime.store.manifest.tapes_of(scope.name)
            served = {use.tape for use in scope.uses.values()} - {""}
            before = {tape.digest for tape in scope.tapes(self._runtime.store)}
            had = [tape.digest for tape in own]
            self.scopes[scope.name] = {
                "tapes": sorted(served | (set(had) - before)),
                "had": had,
            }

    def tie(self, scope: Scope) -> None:
        """Note the tapes of which chance would choose one, if the scope has such."""
        if tied := pick.tied(scope.tapes(self._runtime.store), scope.source):
            root = self._runtime.store.root
            self._ties[scope.name] = [relative(tape.path(root)) for tape in tied]


def relative(path: Path) -> str:
    """*path* as a person in the current folder would write it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
