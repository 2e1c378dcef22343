"""Where the settings and the store of a project are found."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cas_llm.errors import ConfigError
from cas_llm.gitrepo import git_root

STORE_NAME = "cache_store"
_TABLE = "cas-llm"
_NO_LETTER = re.compile(r"[\W_]")


def find_table(start: Path) -> tuple[Path | None, Mapping[str, Any]]:
    """The nearest folder upwards with ``[tool.cas-llm]`` in its pyproject.toml, and that table."""
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"is not valid TOML: {error}", source=str(path)) from error
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", source=str(path)) from error
        tools = document.get("tool")
        if not isinstance(tools, Mapping):
            continue
        _refuse_misspelt(tools, str(path))
        table = tools.get(_TABLE)
        if table is not None:
            return folder, _table_of(table, str(path))
    return None, {}


def _refuse_misspelt(tools: Mapping[str, Any], source: str) -> None:
    """A table that is meant and not read would leave every setting in it at its default."""
    for name in tools:
        if name != _TABLE and _NO_LETTER.sub("", name).lower() == "casllm":
            raise ConfigError(
                f"[tool.{name}] is read by nobody; write [tool.{_TABLE}]", source=source
            )


def _table_of(table: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise ConfigError("[tool.cas-llm] must be a table", source=source)
    return table


def folder(place: Path, source: str) -> Path:
    """*place*, which may be missing but must not be a file; *source* said it."""
    if place.is_file():
        raise ConfigError(f"store must be a folder, and {place} is a file", source=source)
    return place


def find_store(start: Path) -> Path | None:
    """The nearest store upwards: a folder `cache_store` with a ``format`` file."""
    for folder in (start, *start.parents):
        if (folder / STORE_NAME / "format").is_file():
            return folder / STORE_NAME
        if folder.name == STORE_NAME and (folder / "format").is_file():
            return folder
    return None


def default_store(start: Path, project: Path | None) -> tuple[Path, str]:
    """Where the store of *project* lies if nothing says so, and the words to say why."""
    if project is not None:
        return (project / STORE_NAME).absolute(), "beside pyproject.toml [tool.cas-llm]"
    found = find_store(start)
    if found is not None:
        return found.absolute(), "the nearest store upwards"
    top = git_root(start.absolute())
    if top is not None:
        return top / STORE_NAME, "the git root"
    return (start / STORE_NAME).absolute(), "no git repository: the current folder"
