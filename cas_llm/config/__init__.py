"""Settings and where each came from: one table, one order of precedence.

Command line > environment > per call > marker > ``use()`` > ``[tool.cas-llm]`` > default. The
order is one for all settings: ``CAS_LLM_STORE`` outranks ``use(store=…)``, too. Only ``hosts`` add
up; where two name the same host, the order decides. Every way to set a thing (pytest options, ini
options, ``CAS_LLM_*``, the table) is derived from `OPTIONS`, so that a name is known in all places
or in none.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cas_llm.config.options import BY_NAME, OPTIONS, OTHER_VARIABLES, Option, read_option
from cas_llm.config.places import STORE_NAME, default_store, find_store, find_table, folder
from cas_llm.config.settings import COMMAND_LINE, Rank, Said, Settings
from cas_llm.errors import ConfigError
from cas_llm.modes import Mode

__all__ = [
    "COMMAND_LINE",
    "OPTIONS",
    "STORE_NAME",
    "Option",
    "Rank",
    "Said",
    "Settings",
    "find_store",
    "find_table",
    "load",
    "on_ci",
    "read_option",
]


def load(
    start: Path,
    environ: Mapping[str, str] | None = None,
    *,
    command_line: Mapping[str, Any] | None = None,
    ini: Mapping[str, Any] | None = None,
    under_pytest: bool = False,
) -> Settings:
    """The settings that hold for code below the folder *start*.

    Raises:
        ConfigError: a setting is unknown or has a bad value; says where it stands.

    """
    environ = os.environ if environ is None else environ
    start = start.absolute()
    project, table = find_table(start)
    table_source = str(project / "pyproject.toml") if project else "pyproject.toml"
    layers: list[tuple[Rank, str, Mapping[str, Any]]] = [
        (Rank.TABLE, f"{table_source} [tool.cas-llm]", table),
        (Rank.TABLE, "pytest's ini options", ini or {}),
        (Rank.ENVIRONMENT, "the environment", _from_environment(environ)),
        (Rank.COMMAND_LINE, COMMAND_LINE, command_line or {}),
    ]
    said = [_default_mode(environ, under_pytest=under_pytest)]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for rank, where, layer in layers:
        for name, raw in layer.items():
            source = BY_NAME[name].variable if rank is Rank.ENVIRONMENT else where
            value = read_option(name, raw, source)
            sources[name] = source
            if name == "mode":
                said = [s for s in said if s.rank != rank] + [Said(rank, value, source)]
            elif name == "store":
                base = project if rank is Rank.TABLE and project and where != layers[1][1] else None
                place = ((base or start) / Path(value).expanduser()).absolute()
                values["store"] = folder(place, source)
            else:
                values[name] = value
    if "store" not in values:
        values["store"], sources["store"] = default_store(start, project)
    return Settings(said=tuple(said), **values, sources=sources)


def _default_mode(environ: Mapping[str, str], *, under_pytest: bool) -> Said:
    if under_pytest:
        return Said(Rank.DEFAULT, Mode.REPLAY, "default under pytest")
    if on_ci(environ):
        return Said(Rank.DEFAULT, Mode.REPLAY, "default on CI")
    return Said(Rank.DEFAULT, Mode.FALLBACK, "default")


def on_ci(environ: Mapping[str, str]) -> bool:
    """Whether the environment says that this is CI."""
    return environ.get("CI", "").lower() not in {"", "0", "false", "no"}


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    known = {option.variable: option.name for option in OPTIONS}
    found = {}
    for variable, value in environ.items():
        if not variable.startswith("CAS_LLM_") or variable in OTHER_VARIABLES:
            continue
        if variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"unknown variable; {hint}", source=variable)
        if value:
            found[known[variable]] = value
    return found
