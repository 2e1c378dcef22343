"""The tests that a project has, read from their files; nothing is imported or collected.

A test is known by the id pytest gives it, without parameters, and by the digest of its function's
own text, which ties its tapes to it.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cas_llm.session.sources import source_digest

_PRUNED = frozenset({"node_modules", "site-packages", "__pycache__", "venv", "build", "dist"})
# An empty pytest.ini counts; the others need their table.
_INI = {
    "pytest.ini": "\n",
    ".pytest.ini": "\n",
    "pyproject.toml": "\n[tool.pytest",
    "tox.ini": "\n[pytest]",
    "setup.cfg": "\n[tool:pytest]",
}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Test:
    """A test function: its `id` without parameters, and where its text begins.

    `words` are the texts in its decorators and its body; `cls` is the class it stands in or is
    inherited by, empty for none.
    """

    id: str
    path: Path
    line: int
    name: str
    cls: str = ""
    words: frozenset[str] = field(default=frozenset(), repr=False)

    @cached_property
    def named(self) -> frozenset[str]:
        """What may be the name of a file among the texts: the last piece of each."""
        return frozenset(word.rpartition("/")[2] for word in self.words)

    @property
    def source(self) -> str:
        """The digest of the function's own text."""
        return source_digest(str(self.path), self.line)


class Suite:
    """The tests below *root*, the folder that test ids are relative to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tests: dict[Path, tuple[Test, ...]] = {}

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every Python file that may hold tests, sorted."""
        found: list[Path] = []
        for place, folders, names in os.walk(self.root):
            folders[:] = [n for n in folders if n not in _PRUNED and not n.startswith(".")]
            found += [Path(place, name) for name in names if name.endswith(".py")]
        return tuple(sorted(found))

    @cached_property
    def by_stem(self) -> Mapping[str, tuple[Path, ...]]:
        """The files by their name without its ending."""
        found: dict[str, tuple[Path, ...]] = {}
        for path in self.files:
            found[path.stem] = (*found.get(path.stem, ()), path)
        return found

    def tests_in(self, path: Path) -> tuple[Test, ...]:
        """The tests in the file *path*; none where it cannot be read or is no Python."""
        if path not in self._tests:
            self._tests[path] = tuple(_tests(path, self._id_of(path)))
        return self._tests[path]

    def test(self, name: str) -> Test | None:
        """The test with the id *name*, with or without parameters; None where there is none."""
        place, _, rest = name.partition("::")
        bare = f"{place}::{rest.partition('[')[0]}"
        return next((t for t in self.tests_in(self.root / place) if t.id == bare), None)

    def _id_of(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.root)).as_posix()


def root_of(start: Path) -> Path:
    """The folder that pytest, started in *start*, writes its test ids relative to."""
    folders = (start, *start.parents)
    for folder in folders:
        for name, section in _INI.items():
            if section in _text(folder / name):
                return folder
    for name in ("pyproject.toml", "setup.py"):
        for folder in folders:
            if (folder / name).is_file():
                return folder
    return start


def _text(path: Path) -> str:
    """The text of *path*, with a line break before it; empty where there is no such file."""
    try:
        return "\n" + path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _tests(path: Path, name: str) -> Iterator[Test]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    classes: dict[str, ast.ClassDef] = {}
    yield from _in_body(tree.body, path, name, "", classes)


def _in_body(
    body: list[ast.stmt], path: Path, prefix: str, cls: str, classes: dict[str, ast.ClassDef]
) -> Iterator[Test]:
    for node in body:
        if isinstance(node, _Function):
            # Any function: which ones are tests is the project's to say.
            yield _test(node, path, f"{prefix}::{node.name}", cls)
        elif isinstance(node, ast.ClassDef):
            classes[node.name] = node
            place = f"{prefix}::{node.name}"
            own = list(_in_body(node.body, path, place, node.name, classes))
            yield from own
            yield from _inherited(node, path, place, {test.name for test in own}, classes)
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from _in_body(node.body, path, prefix, cls, classes)


def _inherited(
    node: ast.ClassDef, path: Path, place: str, own: set[str], classes: dict[str, ast.ClassDef]
) -> Iterator[Test]:
    """The tests a class has from bases that stand before it in the same file."""
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    for base in (classes[name] for name in bases if name in classes and classes[name] is not node):
        for inner in base.body:
            if isinstance(inner, _Function) and inner.name not in own:
                own.add(inner.name)
                yield _test(inner, path, f"{place}::{inner.name}", node.name)
        yield from _inherited(base, path, place, own, classes)


def _test(node: _Function, path: Path, name: str, cls: str) -> Test:
    line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    inner = list(ast.walk(node))
    texts = (n.value for n in inner if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return Test(name, path, line, node.name, cls, frozenset(texts))
