"""``--cas-llm-from``: which tests the reports of earlier runs name as having missed.

Reads the reports before anything runs, chooses among the tests that are found, and says what it
chose. It never changes the mode: recording is asked for by ``--cas-llm``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from cas_llm.pytest_plugin.fixtures import WideFixtures
from cas_llm.redact import Redactor, secret_variables
from cas_llm.session import causes
from cas_llm.session.received import files_of, read

_LISTED = 5


class Wanted:
    """The tests to run, by test, module and wider fixture; empty `said` where nothing was asked."""

    def __init__(self, config: pytest.Config) -> None:
        self.said: list[str] = getattr(config.known_args_namespace, "cas_llm_from", None) or []
        self._tests: set[str] = set()
        self._fixtures: set[str] = set()
        self._unplaced = 0
        self._fixture_name = WideFixtures(config.rootpath).base_name
        self._redact = Redactor(secret_variables(os.environ)).text
        self.files = files_of(self.said, config.invocation_params.dir)
        for path in self.files:
            self._want(read(path)["problems"])

    def header(self, *, records: bool) -> str:
        """What the run's header adds."""
        if not self.said:
            return ""
        what = f"; only tests that {' '.join(self.said)} names as having missed"
        # Asked for by the wrong half of the command, it would look as if nothing was missing.
        return what if records else f"{what}; replay records nothing: add --cas-llm=fallback"

    def choose(self, items: list[pytest.Item], name_of: Callable[[pytest.Item], str]) -> None:
        """Leave in *items* those that are wanted, and tell pytest of the others."""
        if not self.said:
            return
        chosen = [item for item in items if self._wants(item, name_of(item))]
        kept = set(map(id, chosen))
        if left := [item for item in items if id(item) not in kept]:
            left[0].config.hook.pytest_deselected(items=left)
        items[:] = chosen

    def lines(self, extent: Mapping[str, Any]) -> list[str]:
        """What became of each name, as lines for the summary; *extent* is that of the whole run."""
        if not self.said:
            return []
        place, found = " ".join(self.said), set(map(self._redact, extent["collected"]))
        modules = {name.partition("::")[0] for name in found}
        lost = sorted(n for n in self._tests if n not in (found if "::" in n else modules))
        lines: list[str] = []
        if not (self._tests or self._fixtures or self._unplaced):
            lines.append(f"{place} names no test that missed: there is nothing to record")
        if self._unplaced:
            what = "1 miss" if self._unplaced == 1 else f"{self._unplaced} misses"
            lines.append(f"{what} in no test: at the start or the end of a run")
        if lost:
            what = "test" if len(lost) == 1 else "tests"
            lines.append(f"{len(lost)} {what} that {place} names and that cannot be found here:")
            lines += [f"  {name}" for name in lost[:_LISTED]]
            lines += [f"  and {len(lost) - _LISTED} more"] if len(lost) > _LISTED else []
        return lines

    def _want(self, problems: Iterable[Mapping[str, Any]]) -> None:
        problems = list(problems)
        kinds = causes.missing, causes.damaged, causes.unmade
        for problem in {id(p): p for kind in kinds for p in kind(problems)}.values():
            if problem["fixture"]:
                self._fixtures.add(problem["scope"])
            if problem["test"]:
                self._tests.add(problem["test"])
            elif not problem["fixture"]:
                self._unplaced += 1

    def _wants(self, item: pytest.Item, name: str) -> bool:
        names = {name, self._redact(name), item.nodeid.partition("::")[0]}
        if not names.isdisjoint(self._tests):
            return True
        return bool(self._fixtures) and any(map(self._is_wanted, _definitions(item)))

    def _is_wanted(self, definition: pytest.FixtureDef[Any]) -> bool:
        base = self._fixture_name(definition)
        return any(scope == base or scope.startswith(f"{base}[") for scope in self._fixtures)


def _definitions(item: pytest.Item) -> Sequence[pytest.FixtureDef[Any]]:
    """All fixtures that the test is known to ask for before it runs."""
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return [one for several in known.values() for one in several if one.scope != "function"]
