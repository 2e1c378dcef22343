"""What a Python file may import, told from its text; nothing is run and no file is looked for.

Every statement counts, wherever it stands: in a function, behind a condition, in a `try`. A name
is absolute, or begins with the dots of a relative import; the names above it belong to it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+(?::[\w.]+)?\Z")
_LONGEST_HINT = 200
# Called with a text they import what it says; with anything else, nobody knows what.
_BY_NAME = frozenset({"import_module", "__import__", "importorskip"})
_BY_PATH = frozenset(
    {"exec", "exec_module", "iter_modules", "load_module", "run_module", "run_path"}
    | {"spec_from_file_location", "walk_packages"}
)


@dataclass(frozen=True)
class Imports:
    """`names` a file imports, `hints` it holds as texts, and whether some are made at run time.

    A hint is a text of the shape of a dotted name, as in ``patch("app.bot.ask")``: a name only
    where there is such a module.
    """

    names: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    dynamic: bool = False


def imports_of(source: bytes) -> Imports:
    """What the file with the text *source* may import; unknown where it can't be parsed."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Imports(dynamic=True)
    names: dict[str, None] = {}
    hints: dict[str, None] = {}
    dynamic = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names |= dict.fromkeys(_with_those_above(alias.name))
        elif isinstance(node, ast.ImportFrom):
            names |= dict.fromkeys(_from(node))
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str) and _is_dotted(node.value):
                hints |= dict.fromkeys(_with_those_above(node.value.replace(":", ".")))
        elif isinstance(node, ast.Call):
            called = _called(node.func)
            text = _first_text(node)
            if called in _BY_NAME and text:
                names |= dict.fromkeys(_with_those_above(text))
            dynamic = dynamic or called in _BY_PATH or (called in _BY_NAME and not text)
        elif isinstance(node, ast.Assign) and _is_plugins(node):
            names |= dict.fromkeys(_plugins(node.value))
    return Imports(tuple(names), tuple(hints.keys() - names.keys()), dynamic)


def _with_those_above(dotted: str) -> Iterator[str]:
    """``a``, ``a.b`` and ``a.b.c`` of ``a.b.c``; the dots of a relative name stay in front."""
    bare = dotted.lstrip(".")
    dots = dotted[: len(dotted) - len(bare)]
    if dots:
        yield dots
    parts = bare.split(".") if bare else []
    for count in range(1, len(parts) + 1):
        yield dots + ".".join(parts[:count])


def _from(node: ast.ImportFrom) -> Iterator[str]:
    place = "." * node.level + (node.module or "")
    yield from _with_those_above(place)
    joint = "" if place.endswith(".") else "."
    for alias in node.names:
        if alias.name != "*":
            yield f"{place}{joint}{alias.name}"


def _is_dotted(text: str) -> bool:
    return len(text) <= _LONGEST_HINT and _DOTTED.match(text) is not None


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _first_text(call: ast.Call) -> str:
    named = (word.value for word in call.keywords if word.arg in {"name", "modname"})
    first = call.args[0] if call.args else next(named, None)
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _is_plugins(node: ast.Assign) -> bool:
    return any(isinstance(t, ast.Name) and t.id == "pytest_plugins" for t in node.targets)


def _plugins(value: ast.expr) -> Iterator[str]:
    for part in ast.walk(value):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from _with_those_above(part.value)
