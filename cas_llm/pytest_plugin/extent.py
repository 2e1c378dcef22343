"""How much of the project a run covers: which tests there are, which ran, and why not all.

Only watches; what is told here decides what `cas-llm prune` may take for unused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from cas_llm.pytest_plugin.choosing import is_partial, is_worker
from cas_llm.session.usage import Extent

_FAILED, _SKIPPED = "failed", "skipped"


class Watched:
    """What one process sees of the run's extent."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._left_out = False
        self.collected: dict[str, int] = {}
        self.fixtures: dict[str, int] = {}
        self.outcomes: dict[str, str] = {}

    def collect(self, name: str, item: pytest.Item) -> None:
        """Note a test that was found, before any is left out, and the fixtures it asks for."""
        self.collected[name] = 1
        self.fixtures |= dict.fromkeys(getattr(item, "fixturenames", ()), 1)

    def leave_out(self, count: int) -> None:
        """Note that tests were deselected or not collected, by whatever."""
        self._left_out = self._left_out or count > 0

    def report(self, name: str, report: pytest.TestReport) -> None:
        """Note what became of one phase of a test; the worst counts, and a rerun anew."""
        if report.when == "setup":
            self.outcomes.pop(name, None)
        if report.failed or getattr(report, "outcome", "") == "rerun":
            self.outcomes[name] = _FAILED
        elif report.skipped:
            self.outcomes.setdefault(name, _SKIPPED)
        elif report.when == "teardown":
            self.outcomes.setdefault(name, "passed")

    def document(self) -> dict[str, Any]:
        """As JSON that can be merged with another process's."""
        narrowed = [] if is_worker() else list(_narrowed(self._config))
        return {
            "narrowed": [*narrowed, *(["tests were left out"] if self._left_out else [])],
            "collected": dict(self.collected),
            "fixtures": dict(self.fixtures),
            "outcomes": dict(self.outcomes),
            "root": str(self._config.rootpath),
        }


def extent_of(document: Mapping[str, Any]) -> Extent:
    """The extent of a run, from its processes' merged documents."""
    return Extent(
        narrowed=tuple(document["narrowed"]),
        collected=frozenset(document["collected"]),
        outcomes=dict(document["outcomes"]),
        fixtures=frozenset(document["fixtures"]),
        root=document["root"],
    )


def stopped_by(reporter: Any, status: int) -> str:
    """What ended the run before its tests did; empty where nothing has."""
    session = getattr(reporter, "_session", None)
    said = getattr(session, "shouldfail", "") or getattr(session, "shouldstop", "")
    if status == pytest.ExitCode.INTERRUPTED:
        return f"interrupted: {said}" if isinstance(said, str) and said else "interrupted"
    return str(said) if said else ""


def _narrowed(config: pytest.Config) -> Iterable[str]:
    """Why a run that was started like this is not one of all tests."""
    if is_partial(config):
        yield "some tests were chosen"
    # What `testpaths` names, or else the folder it was started in.
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        places = [config.invocation_params.dir / place for place in config.args]
        if config.rootpath not in places:
            yield f"only {' '.join(config.args)} was asked for"
    options = config.known_args_namespace
    if any(getattr(options, name, None) for name in ("ignore", "ignore_glob", "collectonly")):
        yield "something was left out by an option"
