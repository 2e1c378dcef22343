"""The level table of the architecture page, held against what the code imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
PACKAGE = TREE / "cas_llm"
PAGE = TREE / "docs" / "architecture" / "index.md"
ROW = re.compile(r"^\| (\d) \| `(\w+)` \| ([^|]*)\|", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One line of the table: a module's level, and whom it may use beside itself."""

    level: int
    beside: frozenset[str]


def table() -> dict[str, Row]:
    """The table of the page, by module."""
    return {
        name: Row(int(level), frozenset(re.findall(r"`(\w+)`", beside)))
        for level, name, beside in ROW.findall(PAGE.read_text("utf-8"))
    }


def modules() -> dict[str, list[Path]]:
    """The top-level modules and packages of cas_llm with their files; the root's own stay out."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if not name.startswith("__"):
            found.setdefault(name, []).append(path)
    return found


def imports(source: str, package: str, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Line and top-level module of everything *source* imports from cas_llm when it runs.

    *package* is the dotted name of the package the source lies in, which relative imports need.
    """

    def top(dotted: str, names: tuple[str, ...] = ()) -> Iterator[str]:
        root, _, rest = dotted.partition(".")
        if root == "cas_llm":
            candidates = (rest.split(".")[0],) if rest else names
            yield from (name for name in candidates if name in known)

    def walk(node: ast.AST) -> Iterator[tuple[int, str]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                yield from walk(child)
            return
        found: list[str] = []
        match node:
            case ast.Import():
                found = [name for alias in node.names for name in top(alias.name)]
            case ast.ImportFrom():
                base = package.split(".")[: len(package.split(".")) - node.level + 1]
                dotted = ".".join([*base, node.module or ""]) if node.level else node.module or ""
                found = list(top(dotted.rstrip("."), tuple(alias.name for alias in node.names)))
            case ast.Call(args=[ast.Constant(value=str(dotted)), *_]) if re.search(
                r"\b(import_module|__import__)$", ast.unparse(node.func)
            ):
                found = list(top(dotted))
        yield from ((getattr(node, "lineno", 0), name) for name in found)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    yield from walk(ast.parse(source))


def may_import(importer: str, imported: str, rows: dict[str, Row]) -> bool:
    """Whether the table lets *importer* use *imported*."""
    mine, theirs = rows[importer], rows[imported]
    return importer == imported or theirs.level < mine.level or imported in mine.beside


def test_the_page_holds_a_table() -> None:
    """The table can be read, and each module a row names beside its own is of the same level."""
    rows = table()
    assert {"errors", "session", "cli"} <= rows.keys()
    for name, row in rows.items():
        for beside in row.beside:
            assert rows[beside].level == row.level, f"{name} names {beside}, of another level"


def test_every_module_is_in_the_table() -> None:
    """A new module needs a row on the architecture page."""
    assert modules().keys() - table().keys() == set()


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_only_go_down(name: str) -> None:
    """A module imports only lower levels and what its row allows beside it."""
    rows, known = table(), frozenset(modules())
    if name not in rows:
        pytest.fail(f"{name} has no row in {PAGE.relative_to(TREE)}")
    wrong = []
    for path in modules()[name]:
        package = ".".join(path.relative_to(TREE).parent.parts)
        for line, imported in imports(path.read_text("utf-8"), package, known):
            if imported in rows and not may_import(name, imported, rows):
                wrong.append(f"{path.relative_to(TREE)}:{line} imports {imported}")
    assert not wrong, f"level {rows[name].level} may not: {wrong}"


def test_the_rows_allow_no_circle() -> None:
    """What modules of one level may use of each other has no circle."""
    rows = table()
    open_rows = {name: set(row.beside) for name, row in rows.items()}
    while free := {name for name, beside in open_rows.items() if not beside}:
        open_rows = {n: beside - free for n, beside in open_rows.items() if n not in free}
    assert not open_rows


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from cas_llm.store.tapes import Tape", ["store"]),
        ("from cas_llm import store, OpenAI", ["store"]),
        ("import cas_llm.session.misses", ["session"]),
        ("def f():\n    from cas_llm.session import Session", ["session"]),
        ("from ..session import Session", ["session"]),
        ("from . import canonical", ["keys"]),
        ("import importlib\nimportlib.import_module('cas_llm.session')", ["session"]),
        ("__import__('cas_llm.store')", ["store"]),
        ("if TYPE_CHECKING:\n    from cas_llm.session import Session", []),
        (
            "if TYPE_CHECKING:\n    pass\nelse:\n    from cas_llm.session import Session",
            ["session"],
        ),
        ("import cas_llm", []),
        ("import cas_llm_other.store", []),
    ],
)
def test_an_import_is_seen_in_every_form(source: str, found: list[str]) -> None:
    """Local, relative and dynamic imports count; those for the type checker and the root do not."""
    known = frozenset({"store", "session", "keys"})
    assert [name for _, name in imports(source, "cas_llm.keys", known)] == found
