"""Scopes of fixtures wider than a function: one per fixture and parameter, whoever triggers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cas_llm.pytest_plugin.origins import FOREIGN, origin_of_function
from cas_llm.session import Kind, Scope

_PLAIN = (str, int, float, bool, type(None))


class WideFixtures:
    """The wider fixtures of a pytest session, and which of them a passing test has used."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._opened: dict[int, Scope] = {}
        self._all: list[Scope] = []
        self._vouched: set[int] = set()

    def scope_for(
        self,
        fixturedef: pytest.FixtureDef[Any],
        request: pytest.FixtureRequest,
        *,
        locked: bool = False,
    ) -> Scope:
        """A new scope for this set-up of the fixture."""
        origin = origin_of_function(fixturedef.func)
        place = self._place(origin)
        scope = Scope(
            f"{self.base_name(fixturedef)}{_parameter(fixturedef, request)}",
            Kind.FIXTURE,
            # A library's text is not the project's: it changes with the library's version.
            origin=origin if place else None,
            locked=locked,
            staged=True,
        )
        self._opened[id(fixturedef)] = scope
        self._all.append(scope)
        return scope

    def base_name(self, fixturedef: pytest.FixtureDef[Any]) -> str:
        """The name of the fixture's scopes, less the parameter."""
        place = self._place(origin_of_function(fixturedef.func))
        return f"{place or _home(fixturedef)}::{fixturedef.argname}"

    def used_by(self, item: pytest.Item) -> None:
        """Note that the passing test *item* used its fixtures."""
        self._vouched |= set(map(id, self.of(item)))

    def of(self, item: pytest.Item) -> list[Scope]:
        """The scopes of the wider fixtures that *item* asked for."""
        if not self._opened:
            return []
        request = getattr(item, "_request", None)
        dynamic = getattr(request, "_fixture_defs", {})
        static = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
        asked = {id(d): d for d in (*dynamic.values(), *(d for f in static.values() for d in f))}
        return [self._opened[name] for name in asked if name in self._opened]

    def opened(self) -> list[Scope]:
        """All scopes that used anything, in the order they were set up."""
        return [scope for scope in self._all if scope.uses or scope.problems]

    def passed(self) -> list[Scope]:
        """Scopes that a passing test has used, in the order they were set up."""
        return [scope for scope in self._all if id(scope) in self._vouched]

    def _place(self, origin: tuple[str, int] | None) -> str:
        """The project's file the fixture is defined in; empty for a fixture from elsewhere."""
        if origin is None:
            return ""
        path = Path(origin[0]).resolve()
        if not path.is_relative_to(self._root):
            return ""
        place = path.relative_to(self._root)
        return "" if FOREIGN.intersection(place.parts) else place.as_posix()


def _home(fixturedef: pytest.FixtureDef[Any]) -> str:
    # pytest's own, for setUpClass and setup_module: they belong to the class or module they serve.
    # A plugin's: its module is the same on every machine, its file is not.
    return fixturedef.baseid or str(fixturedef.func.__module__).replace(".", "/") + ".py"


def _parameter(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> str:
    if not hasattr(request, "param"):
        return ""
    index = getattr(request, "param_index", 0)
    ids = fixturedef.ids
    if isinstance(ids, (list, tuple)) and index < len(ids) and ids[index] is not None:
        return f"[{ids[index]}]"
    if isinstance(request.param, _PLAIN):
        return f"[{request.param}]"
    return f"[{fixturedef.argname}{index}]"
