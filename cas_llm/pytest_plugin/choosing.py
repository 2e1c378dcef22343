"""Which settings hold where: the run's, then an overridden fixture's, then the markers'.

Reads options, ini files, markers and the environment; starts nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cas_llm import config as settings_table
from cas_llm.config import COMMAND_LINE, Rank, Settings
from cas_llm.errors import ConfigError
from cas_llm.pytest_plugin import MARKER, ini_values
from cas_llm.session.runs import Run

RUN_VARIABLE = "CAS_LLM_RUN"
_WHOLE_RUN = frozenset({"store", "placeholder_keys", "vcr"})


def run_settings(config: pytest.Config) -> Settings:
    """The settings of the whole run.

    Raises:
        ConfigError: one is unknown or has a bad value.

    """
    options = config.known_args_namespace
    given = {
        name: value
        for name in ("mode", "store", "max_cost", "live_on_ci")
        if (value := getattr(options, f"cas_llm_{name}", None))
    }
    settings = settings_table.load(
        config.rootpath, command_line=given, ini=ini_values(config), under_pytest=True
    )
    if "store" in given:
        # A path on the command line is relative to where the command was typed.
        place = (config.invocation_params.dir / Path(given["store"]).expanduser()).absolute()
        settings = settings.but(COMMAND_LINE, store=str(place))
    return settings


def settings_for(
    node: pytest.Item | pytest.Collector, base: Settings, overridden: Mapping[str, Any]
) -> tuple[Settings, bool]:
    """The settings for *node*, and whether its recordings are locked.

    Raises:
        ConfigError: the marker or the fixture names an unknown setting, or a bad value.

    """
    settings = _with(base, overridden, Rank.TABLE, "the fixture cas_llm_config")
    locked = False
    for marker in reversed(list(node.iter_markers(MARKER))):
        source = f"@pytest.mark.cas_llm of {node.nodeid}"
        if len(marker.args) > 1:
            raise ConfigError("the marker takes one mode; name the rest", source=source)
        values = dict(marker.kwargs)
        locked = bool(values.pop("locked", locked))
        if marker.args:
            values.setdefault("mode", marker.args[0])
        settings = _with(settings, values, Rank.MARKER, source)
    return settings, locked


def is_partial(config: pytest.Config) -> bool:
    """Whether the run was told to leave some tests out: by name, file, keyword, marker or --lf."""
    if is_worker():
        return " partial " in os.environ.get(RUN_VARIABLE, "")
    options = config.known_args_namespace
    if any(
        getattr(options, name, None)
        for name in ("keyword", "markexpr", "lf", "deselect", "cas_llm_from")
    ):
        return True
    places = getattr(options, "file_or_dir", None) or ()
    return any("::" in place or place.endswith(".py") for place in places)


def announce_run(run: Run, *, partial: bool) -> None:
    """Let the processes this one distributes tests to be of its run."""
    extent = "partial" if partial else "whole"
    os.environ[RUN_VARIABLE] = f"{run.id} {extent} {run.folder}"


def run_of_environment() -> Run | None:
    """The run of the process that distributes the tests, if this is one of its workers."""
    about = os.environ.get(RUN_VARIABLE, "")
    if not (is_worker() and about):
        return None
    run_id, _, folder = about.split(" ", 2)
    return Run(Path(folder), run_id)


def is_worker() -> bool:
    """Whether this process runs tests that another one distributes."""
    return "PYTEST_XDIST_WORKER" in os.environ and "xdist" in sys.modules


def overrides_config(item: pytest.Item) -> bool:
    """Whether a conftest, module or class gives `cas_llm_config` values for *item*."""
    manager = item.session._fixturemanager  # noqa: SLF001 - there is no public way to ask
    # pytest 8.0 wants the id, later ones the node.
    where: Any = item if pytest.version_tuple >= (8, 1) else item.nodeid
    found = manager.getfixturedefs("cas_llm_config", where)
    return found is not None and len(found) > 1


def _with(settings: Settings, values: Mapping[str, Any], rank: Rank, source: str) -> Settings:
    given = dict(values)
    for name in _WHOLE_RUN.intersection(given):
        raise ConfigError(
            f"{name} holds for the whole run; set it in [tool.cas-llm] or on the command line",
            source=source,
        )
    return settings.says(given.pop("mode", None), rank, source).but(source, **given)
