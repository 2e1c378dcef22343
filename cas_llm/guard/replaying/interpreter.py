"""The interpreter that a project's tests run in, found from outside it.

pre-commit starts a hook in an environment of its own, first on ``PATH`` and in ``VIRTUAL_ENV``: it
has cas-llm, but not the project's packages. Reads the environment and folders; runs nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cas_llm.errors import ConfigError

FOLDERS = (".venv", "venv")
_SETTING = '[tool.cas-llm.hooks] python = "..."'


@dataclass(frozen=True)
class Interpreter:
    """The words that start a project's Python, and where they were found."""

    words: tuple[str, ...]
    found: str

    @property
    def is_this(self) -> bool:
        """Whether it is the running one."""
        # Not resolved: an environment's python is a link to the one it was made from.
        return len(self.words) == 1 and Path(self.words[0]).parent == Path(sys.executable).parent


def find(project: Path, top: Path, setting: str, environ: Mapping[str, str]) -> Interpreter:
    """The interpreter of *project* in the work tree *top*.

    The setting, then the environment that is active, then ``.venv`` or ``venv`` in the project or
    in a folder above it, then uv's, then the running one where it is not pre-commit's own.

    Raises:
        ConfigError: none is found, or the setting names none.

    """
    if setting:
        return _set(project, setting)
    for found in _candidates(project, top, environ):
        return found
    raise ConfigError(
        f"no Python found to run the tests of {project}: no environment is active, and there is "
        f"no {' or '.join(FOLDERS)}; name it: {_SETTING}",
        source="cas-llm-replayable",
    )


def _set(project: Path, setting: str) -> Interpreter:
    place = project / Path(setting).expanduser()
    words = (str(place),) if place.is_file() else ()
    if not words and (on_path := shutil.which(setting)):
        words = (on_path,)
    if not words:
        raise ConfigError(f"python is {setting!r}, and there is no such file", source=_SETTING)
    return Interpreter(words, "[tool.cas-llm.hooks] python")


def _candidates(project: Path, top: Path, environ: Mapping[str, str]) -> Iterator[Interpreter]:
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        folder = environ.get(variable, "")
        if folder and not _is_pre_commits(Path(folder)):
            yield from _in(Path(folder), variable)
    # pre-commit overwrites VIRTUAL_ENV, and leaves what was active before on the path.
    for entry in environ.get("PATH", "").split(os.pathsep):
        folder = str(Path(entry).parent) if entry else ""
        if folder and (Path(folder) / "pyvenv.cfg").is_file() and not _is_pre_commits(Path(folder)):
            yield from _in(Path(folder), "PATH")
    for place in (project, *project.parents):
        for name in FOLDERS:
            yield from _in(place / name, f"{name} in {place}")
        if place == top:
            break
    uv = shutil.which("uv", path=environ.get("PATH"))
    if uv and any((place / "uv.lock").is_file() for place in (project, top)):
        words = (uv, "run", "--no-sync", "--project", str(project), "python")
        yield Interpreter(words, "uv")
    if not _is_pre_commits(Path(sys.prefix)):
        yield Interpreter((sys.executable,), "the hook's own")


def _in(folder: Path, found: str) -> Iterator[Interpreter]:
    for place in ("bin/python", "Scripts/python.exe", "python.exe"):
        if (folder / place).is_file():
            yield Interpreter((str(folder / place),), found)
            return


def _is_pre_commits(folder: Path) -> bool:
    """Whether *folder* is an environment that pre-commit made for a hook."""
    return folder.name.startswith("py_env-")
