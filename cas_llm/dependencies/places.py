"""Which files are the project's own, and under which names they are imported.

Paths are texts relative to the top of the work tree, with ``/`` between their parts; a root is a
folder of ``sys.path`` below that top, ``.`` for the top itself. Looks for no file: who asks says
which there are.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

FOREIGN = frozenset(
    {"site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox", ".eggs", "node_modules"}
    | {".git", ".hg", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}
)
"""Folders whose files are not the project's own, though they may lie in it."""

CONFTEST = "conftest.py"
CONFIGURATION = ("pyproject.toml", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg")
"""The files that pytest takes settings from."""


def is_own(path: str) -> bool:
    """Whether *path* may be the project's own, by the folders it lies in."""
    return FOREIGN.isdisjoint(path.split("/"))


def folders_above(path: str) -> Iterator[str]:
    """The folders that *path* lies in, the nearest first and ``.`` last."""
    while path and path != ".":
        path = posixpath.dirname(path)
        yield path or "."


def join(folder: str, name: str) -> str:
    """The path of *name* in *folder*."""
    return name if folder == "." else f"{folder}/{name}"


def packages_of(path: str, exists: Callable[[str], bool]) -> list[str]:
    """The ``__init__.py`` of the packages around the module at *path*, which run before it."""
    found = []
    for folder in folders_above(path):
        init = join(folder, "__init__.py")
        if not exists(init):
            break
        if init != path:
            found.append(init)
    return found


def conftests_of(path: str, exists: Callable[[str], bool]) -> list[str]:
    """The conftest files that hold for the tests in *path*."""
    places = (join(folder, CONFTEST) for folder in folders_above(path))
    return [place for place in places if place != path and exists(place)]


@dataclass(frozen=True)
class Roots:
    """The folders below the top that names are looked up in."""

    folders: tuple[str, ...] = (".",)

    def files(
        self, importer: str, names: Iterable[str], exists: Callable[[str], bool]
    ) -> list[str]:
        """The files that *names* in *importer* may stand for: in all roots, not in the first."""
        found: dict[str, None] = {}
        for name in names:
            for stem in self.stems(importer, name):
                for path in (f"{stem}.py", join(stem, "__init__.py")):
                    if path != importer and exists(path):
                        found[path] = None
        return list(found)

    def stems(self, importer: str, name: str) -> Iterator[str]:
        """Where the module *name* may lie, without its ending."""
        bare = name.lstrip(".")
        relative = bare.replace(".", "/")
        if dots := len(name) - len(bare):
            folders = list(folders_above(importer))
            if dots <= len(folders):
                yield join(folders[dots - 1], relative) if relative else folders[dots - 1]
            return
        for folder in self.folders:
            yield join(folder, relative)
