"""The report file of a run: what a summary does not say, and the writing of it.

A report travels between machines: paths in it are the project's, and what is secret here is taken
out before it is written. It is there from the start, as that of a run which did not end.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cas_llm import gitrepo
from cas_llm.pytest_plugin.choosing import is_worker
from cas_llm.pytest_plugin.origins import definition_of, origin_of
from cas_llm.redact import Redactor, secret_variables
from cas_llm.session import Problem, Scope
from cas_llm.session.closing import unplayed
from cas_llm.session.report import DID_NOT_END, portable, report_document
from cas_llm.session.runtime import Runtime
from cas_llm.store.answer import pretty


class Reporting:
    """What one process sees that only a report says; without ``--cas-llm-report`` next to nothing.

    `place` is the file that was asked for, None if none was.
    """

    def __init__(self, config: pytest.Config, runtime: Runtime, store: Path) -> None:
        said = getattr(config.known_args_namespace, "cas_llm_report", None)
        self.place = config.invocation_params.dir / said if said else None
        self._config = config
        self._root = config.rootpath
        self._runtime = runtime
        self._store = store
        self._found_in: dict[int, str] = {}
        self._places: dict[str, str] = {}
        self._left: dict[str, list[str]] = {}
        self._uncollected: dict[str, int] = {}

    def found(self, problems: Sequence[Problem], where: str, item: pytest.Item | None) -> None:
        """Note the test, or the module while it is imported, that *problems* were found in."""
        for problem in problems:
            # The log keeps each problem for as long as it is asked about.
            self._found_in.setdefault(id(problem), where)
        if problems and self.place and item is not None and (origin := origin_of(item)):
            self._put(where, origin)

    def not_collected(self, report: pytest.CollectReport) -> None:
        """Note a module whose tests nobody knows, as it failed or skipped itself."""
        if not report.passed:
            self._uncollected[report.nodeid] = 1

    def passed(self, scope: Scope) -> None:
        """Note which recordings of its own a test that passed in replay has left unplayed."""
        if self.place and (left := unplayed(scope, self._runtime)):
            self._left[scope.name] = [turn.key for turn in left]

    def log(self, document: dict[str, Any]) -> dict[str, Any]:
        """*document* of this process's log, each problem with where it was found."""
        problems = zip(self._runtime.log.problems, document["problems"], strict=False)
        for problem, told in problems:
            told["test"] = self._found_in.get(id(problem), "")
        return document

    def document(self, fixtures: Sequence[Scope]) -> dict[str, Any]:
        """As JSON that can be merged with another process's; *fixtures* had requests."""
        for scope in fixtures:
            if scope.problems and scope.origin and self.place:
                self._put(scope.name, scope.origin)
        return {
            "places": dict(self._places),
            "left": dict(self._left),
            "uncollected": dict(self._uncollected),
        }

    def begin(self, kept: Sequence[Path]) -> None:
        """Write the report of a run that did not end, to be there if this one does not.

        Not over one of *kept*, which the processes of this run have still to read. Where it cannot
        be written is told at the end.
        """
        if self.place and self.place.resolve() not in [path.resolve() for path in kept]:
            self.write({}, stopped=DID_NOT_END)

    def write(self, document: Mapping[str, Any], *, stopped: str = "") -> str:
        """Write the report of what *document* tells, whole or not at all; says why it cannot."""
        if self.place is None or is_worker():
            return ""
        whole = report_document(
            document,
            run=self._runtime.run.id,
            commit=self._commit(),
            python=f"{platform.python_implementation()} {platform.python_version()}",
            project=self._project(),
            store=self._relative(self._store),
            asked=[self._asked(place) for place in self._config.args],
            stopped=stopped,
        )
        redact = Redactor(secret_variables(os.environ)).text
        roots = {str(self._root): ".", str(Path.home()): "~"}
        data = pretty(portable(whole, roots, redact))
        try:
            _write(self.place, data)
        except OSError as error:
            return f"cannot write {self.place}: {error.strerror or error}"
        return ""

    def _put(self, name: str, origin: tuple[str, int]) -> None:
        path, line = Path(origin[0]), definition_of(*origin)
        with contextlib.suppress(ValueError):
            self._places[name] = f"{path.relative_to(self._root).as_posix()}:{line}"

    def _commit(self) -> str:
        said = gitrepo.run_git(self._root, "rev-parse", "-q", "--verify", "HEAD^{commit}")
        return (said or b"").decode("ascii").strip()

    def _project(self) -> str:
        """The project's folder in its repository; empty at the top, and where there is none."""
        root = self._root.resolve()
        top = gitrepo.git_root(root)
        place = root.relative_to(top).as_posix() if top else "."
        return "" if place == "." else place

    def _relative(self, path: Path) -> str:
        return Path(os.path.relpath(path.resolve(), self._root.resolve())).as_posix()

    def _asked(self, argument: str) -> str:
        place, mark, name = argument.partition("::")
        path = self._config.invocation_params.dir / place
        return f"{self._relative(path)}{mark}{name}"


def _write(place: Path, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and not place.is_file():
        # A pipe or a terminal: nothing can take its place.
        place.write_bytes(data)
        return
    place = place.resolve()
    new = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        new.write_bytes(data)
        new.replace(place)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
