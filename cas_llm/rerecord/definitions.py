"""What a recorded scope is in the project's files: a test, a fixture, locked, or no longer there.

Reads test files as text; nothing is imported. Where a text does not show it, it is taken for a
test: pytest tells, once it runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TEST, FIXTURE, BLOCK, GONE = "test", "fixture", "block", "gone"

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class About:
    """What a scope is (`kind`), and whether its marker keeps it out of every re-record."""

    kind: str
    locked: bool = False


class Definitions:
    """The test files below the folder *project*; each is read once."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._trees: dict[str, ast.Module | None] = {}

    def about(self, scope: str) -> About:
        """What *scope* is."""
        place, found, name = scope.partition("::")
        if not found or place == "use":
            return About(BLOCK)
        if not (self._project / place).is_file():
            return About(GONE)
        tree = self._tree(place)
        if tree is None:
            return About(TEST)
        path = [part.partition("[")[0] for part in name.partition("[")[0].split("::")]
        trail = list(_trail(tree, path))
        is_fixture = place.rpartition("/")[2] == "conftest.py" or (
            bool(trail) and any(_ends(one, "fixture") for one in trail[-1].decorator_list)
        )
        locked = any(_locks(one) for node in trail for one in node.decorator_list)
        return About(FIXTURE if is_fixture else TEST, locked or any(map(_locks, _marks(tree))))

    def opening(self, scope: str) -> list[str]:
        """Where the named block *scope* is opened: ``file:line`` below the project."""
        name = scope.removeprefix("use::")
        return [
            f"{path}:{number}"
            for path, text in self._texts.items()
            if name in text
            for number, line in enumerate(text.splitlines(), 1)
            if f'name="{name}"' in line.replace("'", '"').replace("name = ", "name=")
        ]

    @cached_property
    def _texts(self) -> dict[str, str]:
        from cas_llm import gitrepo

        top = self._project
        said = gitrepo.run_git(top, "ls-files", "-co", "--exclude-standard", "-z", "--", "*.py")
        names = (said or b"").decode("utf-8", "surrogateescape").split("\0")
        return {name: _read(top / name) for name in names if name}

    def _tree(self, place: str) -> ast.Module | None:
        if place not in self._trees:
            try:
                self._trees[place] = ast.parse(_read(self._project / place))
            except (SyntaxError, ValueError):
                self._trees[place] = None
        return self._trees[place]


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _trail(tree: ast.Module, path: list[str]) -> Iterator[_Definition]:
    """The definitions that lead to the one at *path*, outermost first."""
    body = tree.body
    for name in path:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        node = next((one for one in body if isinstance(one, kinds) and one.name == name), None)
        if node is None:
            return
        yield node
        body = node.body


def _marks(tree: ast.Module) -> Iterator[ast.expr]:
    """What ``pytestmark`` says at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            named = any(
                isinstance(one, ast.Name) and one.id == "pytestmark" for one in node.targets
            )
            value = node.value if named else ast.List([])
            yield from value.elts if isinstance(value, (ast.List, ast.Tuple)) else [value]


def _ends(node: ast.expr, name: str) -> bool:
    """Whether *node* is ``…name`` or a call of it."""
    target = node.func if isinstance(node, ast.Call) else node
    return (isinstance(target, ast.Attribute) and target.attr == name) or (
        isinstance(target, ast.Name) and target.id == name
    )


def _locks(node: ast.expr) -> bool:
    """Whether *node* is cas-llm's marker with ``locked=True``."""
    return (
        isinstance(node, ast.Call)
        and _ends(node, "cas_llm")
        and any(
            word.arg == "locked" and isinstance(word.value, ast.Constant) and word.value.value
            for word in node.keywords
        )
    )
