"""The projects of a repository that a commit touches, each with its store and its settings.

A project is a folder whose pyproject.toml has the table ``[tool.cas-llm]``, or one that a store
lies in. Reads folders and pyproject.toml as they are on disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cas_llm.guard.staged import Change, Staged

if TYPE_CHECKING:
    from cas_llm.config import Settings

WITHIN = "CAS_LLM_GUARD"
"""The variable that names the work tree whose tests are being checked, for what these start."""

_STORE = "cache_store"


@dataclass(frozen=True)
class Project:
    """A project: its folder, relative to the top of the work tree, and what changes below it."""

    staged: Staged
    folder: str
    changes: tuple[Change, ...] = ()
    settings: Settings = field(kw_only=True)

    @property
    def path(self) -> Path:
        """The folder on disk."""
        return self.staged.top / self.folder

    @property
    def store(self) -> str | None:
        """The folder of its store, relative to the top; None where it lies in another tree."""
        try:
            place = self.settings.store.resolve().relative_to(self.staged.top.resolve())
        except ValueError:
            return None
        return place.as_posix()


def touched(staged: Staged, environ: Mapping[str, str]) -> list[Project]:
    """The projects that the changes of *staged* may concern, with what changes in each.

    Those that a change lies in, or whose store one does. All, at a push and where a change lies in
    no project: their tests may use what lies beside them.

    Raises:
        ConfigError: a project's settings cannot be read.

    """
    found: dict[str | None, list[Change]] = {}
    known: dict[str, str | None] = {}
    for change in staged.changes:
        folder = _project_of(staged.top, change.path, known)
        found.setdefault(folder, []).append(change)
    beside = found.pop(None, [])
    projects = [opened(staged, at, environ, own) for at, own in found.items() if at is not None]
    own_stores = {project.store for project in projects}
    if beside or staged.is_push or staged.stores.keys() - own_stores:
        there = {project.folder for project in projects}
        projects += [one for one in all_of(staged, environ) if one.folder not in there]
    return [_with_store(project) for project in projects]


def all_of(staged: Staged, environ: Mapping[str, str]) -> list[Project]:
    """All projects of the tree that have a store.

    Raises:
        ConfigError: a project's settings cannot be read.

    """
    found: dict[str, None] = {}
    known: dict[str, str | None] = {}
    files = staged.files(".")
    for path in files:
        place, _, name = path.rpartition("/")
        if name in {"format", "pyproject.toml"}:
            # A store's project lies above it, unless another one names it.
            folder = _project_of(staged.top, place if name == "format" else path, known)
            if folder is not None:
                found[folder] = None
    projects = [opened(staged, folder, environ) for folder in found]
    return [one for one in projects if one.store and f"{one.store}/format" in files]


def opened(
    staged: Staged, folder: str, environ: Mapping[str, str], changes: Iterable[Change] = ()
) -> Project:
    """The project in *folder*, with its settings."""
    from cas_llm import config

    settings = config.load(staged.top / folder, environ)
    return Project(staged, folder, tuple(changes), settings=settings)


def _with_store(project: Project) -> Project:
    """*project* with the changes of its store, wherever that lies."""
    there = set(project.changes)
    more = project.staged.stores.get(project.store or "", ())
    changes = (*project.changes, *(one for one in more if one not in there))
    return replace(project, changes=changes)


def _project_of(top: Path, path: str, known: dict[str, str | None]) -> str | None:
    folder = os.path.dirname(path)  # noqa: PTH120 - texts of git
    if folder not in known:
        # Above a store, not in it: it has its own folders.
        if _is_project(top / folder):
            known[folder] = folder
        else:
            known[folder] = _project_of(top, folder, known) if folder else None
    return known[folder]


def _is_project(folder: Path) -> bool:
    if (folder / _STORE / "format").is_file():
        return True
    try:
        return "[tool.cas-llm" in (folder / "pyproject.toml").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
