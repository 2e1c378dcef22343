"""The reference of everything that can be set, read from the tables that the program reads."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from cas_llm import pytest_plugin
from cas_llm.config.options import OPTIONS, Option
from cas_llm.errors import CasLLMError
from cas_llm.session import policy

_DEFAULTS = {
    "mode": "replay under pytest and on CI, else fallback",
    "store": "`cache_store/` at the git root",
    "repeat": "each in a capture inside a test, else once",
}
"""What `None` means, where a default depends on more than the setting."""

Table = Callable[[Any, Any], str]


def settings(table: Table) -> str:
    """Every setting, in the words of the program."""
    rows = ((f"`{one.name}`", one.help, _default(one)) for one in OPTIONS)
    return table(("Setting", "What it says", "Default"), rows)


def variables(table: Table) -> str:
    """The variable of each setting that a text can give."""
    rows = ((f"`{one.variable}`", f"`{one.name}`", one.help) for one in OPTIONS if _is_text(one))
    return table(("Variable", "Setting", "What it says"), rows)


def headers(table: Table) -> str:
    """What one call can say for itself."""
    rows = (
        (f"`{policy.MODE_HEADER}`", "`mode`", "of this call"),
        (f"`{policy.REPEAT_HEADER}`", "`repeat`", "of this call"),
        (f"`{policy.NAMESPACE_HEADER}`", "`namespace`", "of this call"),
    )
    return table(("Header", "Setting", "Holds"), rows)


class _Parser:
    """Takes down what the plugin registers."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []
        self.ini: list[tuple[str, str]] = []
        self.markers: list[str] = []

    def getgroup(self, *_: str) -> _Parser:
        return self

    def addoption(self, name: str, **said: Any) -> None:
        self.options.append((name, said))

    def addini(self, name: str, _: str, kind: str) -> None:
        self.ini.append((name, kind))

    def addinivalue_line(self, _: str, line: str) -> None:
        self.markers.append(line)


def pytest_options(table: Table) -> str:
    """What ``pytest --help`` says of cas-llm."""
    parser = _Parser()
    pytest_plugin.pytest_addoption(parser)
    rows = (
        (f"`{name}{'=' + said['metavar'] if 'metavar' in said else ''}`", said["help"])
        for name, said in parser.options
    )
    return table(("Option", "What it does"), rows)


def pytest_ini(table: Table) -> str:
    """The ini options, each with the setting it gives."""
    parser = _Parser()
    pytest_plugin.pytest_addoption(parser)
    kinds = {"linelist": "one value a line", "string": "one value"}
    rows = (
        (f"`{name}`", f"`{name.removeprefix('cas_llm_')}`", kinds[kind])
        for name, kind in parser.ini
    )
    return table(("Ini option", "Setting", "Value"), rows)


def fixtures(table: Table) -> str:
    """The fixtures that a test may ask for."""
    rows = []
    for name in ("cas_llm", "cas_llm_config"):
        function = getattr(pytest_plugin, name)
        said = inspect.getdoc(getattr(function, "__wrapped__", function)) or ""
        rows.append((f"`{name}`", re.split(r"\n\n", said)[0]))
    return table(("Fixture", "What it is"), rows)


def _is_text(option: Option) -> bool:
    """Whether one text can hold it; tables can't be written on one line."""
    try:
        option.read("x")
    except (ValueError, CasLLMError) as error:
        return "must be a table" not in str(error)
    return True


def _default(option: Option) -> str:
    if option.default is None:
        return _DEFAULTS[option.name]
    if option.default in ((), {}, "", frozenset()):
        return "none"
    return f"`{str(option.default).lower()}`"
