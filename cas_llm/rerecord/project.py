"""The project whose tests are run: its folder, and the Python they run in.

Reads folders; runs nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from cas_llm import gitrepo
from cas_llm.config import Settings
from cas_llm.errors import ConfigError
from cas_llm.guard.replaying import interpreter


@dataclass(frozen=True)
class Project:
    """A folder to start pytest in, and the words that start its Python."""

    folder: Path
    python: tuple[str, ...]


def folder_of(store: Path, start: Path, scopes: Collection[str]) -> Path:
    """The folder that the tests *scopes* are named from: where most of their files are found.

    Looked for in *start* and above it, then above the *store*, then below the top of the
    repository, as a pytest.ini there makes it the folder that tests are named from. Where no file
    is anywhere, the nearest with a pyproject.toml, else the store's own.
    """
    files = {scope.partition("::")[0] for scope in scopes if "::" in scope}
    places = list(dict.fromkeys([*_upwards(start.absolute()), *_upwards(store.absolute().parent)]))
    found = [(sum((place / file).is_file() for file in files), place) for place in places]
    most = max((count for count, _ in found), default=0)
    if most:
        return next(place for count, place in found if count == most)
    if files and (below := _below(store, files)):
        return below
    named = (place for place in places if (place / "pyproject.toml").is_file())
    return next(named, store.absolute().parent)


def opened(folder: Path, settings: Settings, python: str, environ: Mapping[str, str]) -> Project:
    """The project in *folder*, with the Python that *python* or its settings name, or its own.

    Raises:
        ConfigError: none is found, or the one that was named is not there.

    """
    top = gitrepo.git_root(folder) or folder
    setting = python or str(settings.hooks.get("python", ""))
    try:
        return Project(folder, interpreter.find(folder, top, setting, environ).words)
    except ConfigError as error:
        source = "--python" if python else error.source
        raise ConfigError(f"{error}; or give --python", source=source) from None


def environment(project: Project, environ: Mapping[str, str]) -> dict[str, str]:
    """*environ* for the project's Python, without what an outer pytest or run has set."""
    ours = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST", "CAS_LLM_MODE", "CAS_LLM_RUN", "CAS_LLM_SESSION")
    kept = {name: value for name, value in environ.items() if not name.startswith(ours)}
    if len(project.python) > 1:
        return kept
    # Not resolved: an environment's python is a link to the one it was made from.
    home = os.path.dirname(project.python[0])  # noqa: PTH120
    return {**kept, "PATH": os.pathsep.join([home, kept.get("PATH", "")])}


def _below(store: Path, files: Collection[str]) -> Path | None:
    """The folder of the repository below which most of *files* lie, the outermost of several."""
    top = gitrepo.git_root(store.absolute().parent)
    listed = gitrepo.run_git(top, "ls-files", "-co", "--exclude-standard", "-z") if top else b""
    names = (listed or b"").decode("utf-8", "surrogateescape").split("\0")
    ends = tuple(f"/{file}" for file in files)
    held: Counter[str] = Counter()
    for name in names:
        if name.endswith(ends):
            held.update(name.removesuffix(end) for end in ends if name.endswith(end))
    if not held or top is None:
        return None
    return top / min(held, key=lambda place: (-held[place], place.count("/"), place))


def _upwards(start: Path) -> list[Path]:
    """*start* and the folders above it, to the top of its repository."""
    top = gitrepo.git_root(start)
    found = []
    for place in (start, *start.parents):
        found.append(place)
        if place == top or top is None:
            break
    return found
