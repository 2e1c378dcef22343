"""Which tests of a file an edit touches, told from its text before and after.

A pure function; it imports nothing of the project and runs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

Parts = dict[str, list[str]]
_REST = ""


def edited_tests(old: bytes, new: bytes) -> frozenset[str] | None:
    """The tests, as ``test_x`` and ``TestA::test_x``, that *new* adds or writes differently.

    None where anything else of the file differs, an import, a fixture, a constant: then every test
    of the file may be another one. Comments and white space make no difference.
    """
    try:
        before, after = _parts(old), _parts(new)
    except (SyntaxError, ValueError, RecursionError):
        return None
    if before.pop(_REST) != after.pop(_REST):
        return None
    return frozenset(name for name, texts in after.items() if before.get(name) != texts)


def _parts(source: bytes) -> Parts:
    """The text of each test by its name, and of all else under no name, without positions."""
    found: Parts = {_REST: []}
    for name, text in _named(ast.parse(source).body, ""):
        found.setdefault(name, []).append(text)
    return found


def _named(nodes: Iterable[ast.stmt], above: str) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _is_test(node.name):
            yield above + node.name, ast.dump(node)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            # A class without its tests: its bases, decorators and helpers.
            yield from _named(node.body, f"{above}{node.name}::")
            node.body = []
            yield _REST, ast.dump(node)
        else:
            yield _REST, ast.dump(node)


def _is_test(name: str) -> bool:
    return name.startswith("test")
