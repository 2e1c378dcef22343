"""The pytest plugin: does nothing until it is asked for.

It is asked for by ``--cas-llm…``, ``CAS_LLM_MODE``, a ``[tool.cas-llm]`` table, an ini option, a
store, the marker or the fixture. Until then it registers options and imports nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cas_llm.pytest_plugin.running import Running
    from cas_llm.session import Session

MARKER = "cas_llm"
_RUNNING: pytest.StashKey[Running] = pytest.StashKey()
_OPTIONS = ("mode", "store", "report", "from", "max_cost", "live_on_ci", "strict", "replace_edited")
_INI_LISTS = ("hosts", "ignore_hosts", "normalise", "redact", "record_errors")
_INI_TEXTS = (
    "mode",
    "store",
    "block_network",
    "namespace",
    "repeat",
    "exhausted",
    "max_cost",
    "durable",
    "pace",
    "placeholder_keys",
    "live_on_ci",
    "vcr",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cas-llm", "record and replay LLM calls")
    group.addoption(
        "--cas-llm",
        dest="cas_llm_mode",
        metavar="MODE",
        help="replay (default), fallback: record what is missing, capture: record all anew, "
        "disabled: neither",
    )
    group.addoption(
        "--cas-llm-store", dest="cas_llm_store", metavar="DIR", help="where recordings lie"
    )
    group.addoption(
        "--cas-llm-report",
        dest="cas_llm_report",
        metavar="FILE",
        help="write what happened as JSON",
    )
    group.addoption(
        "--cas-llm-from",
        dest="cas_llm_from",
        action="append",
        metavar="FILE",
        help="run just the tests that a report names as having missed; may be repeated",
    )
    group.addoption(
        "--cas-llm-max-cost",
        dest="cas_llm_max_cost",
        metavar="USD",
        help="stop calling once the run has spent this much (default 5)",
    )
    group.addoption(
        "--cas-llm-live-on-ci",
        dest="cas_llm_live_on_ci",
        action="store_true",
        help="allow calls beyond loopback where CI is set",
    )
    group.addoption(
        "--cas-llm-strict",
        dest="cas_llm_strict",
        action="store_true",
        help="a passing test that leaves recordings of its own unplayed fails",
    )
    group.addoption(
        "--cas-llm-replace-edited",
        dest="cas_llm_replace_edited",
        action="store_true",
        help="with capture: also ask anew what was edited by hand",
    )
    for name in _INI_LISTS:
        parser.addini(f"cas_llm_{name}", f"cas-llm: {name}, see its configuration", "linelist")
    for name in _INI_TEXTS:
        parser.addini(f"cas_llm_{name}", f"cas-llm: {name}, see its configuration", "string")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # Before any conftest: it may make a client, which wants a key, or even a call.
    if is_asked_for(early_config):
        _start(early_config)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "cas_llm(mode=None, locked=False, **settings): how this test's LLM calls are recorded; "
        "locked=True keeps its recordings out of every re-record",
    )
    if _RUNNING not in config.stash and config.pluginmanager.hasplugin("xdist"):
        from cas_llm.pytest_plugin.workers import Latecomers

        late = Latecomers(lambda: config.stash.get(_RUNNING, None), lambda: _start(config))
        config.pluginmanager.register(late, "cas_llm_latecomers")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _RUNNING not in config.stash and any(map(_wants, items)):
        _start(config)
    if running := config.stash.get(_RUNNING, None):
        running.collected(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if running := item.config.stash.get(_RUNNING, None):
        running.refuse(item)


@pytest.fixture
def cas_llm(request: pytest.FixtureRequest) -> Session:
    """The session that holds in this test."""
    running = request.config.stash[_RUNNING]
    return running.session


@pytest.fixture
def cas_llm_config() -> dict[str, Any]:
    """Settings for the tests that see this fixture; override it to change them."""
    return {}


@pytest.fixture
def _cas_llm_settings(request: pytest.FixtureRequest, cas_llm_config: dict[str, Any]) -> None:
    """Makes what `cas_llm_config` says hold; asked for where that is overridden."""
    request.config.stash[_RUNNING].override(request.node, cas_llm_config)


def is_asked_for(config: pytest.Config) -> bool:
    """Whether anything asks for cas-llm before a test does."""
    options = config.known_args_namespace
    if any(getattr(options, f"cas_llm_{name}", None) for name in _OPTIONS):
        return True
    if os.environ.get("CAS_LLM_MODE") or os.environ.get("CAS_LLM_STORE"):
        return True
    if any(config.getini(f"cas_llm_{name}") for name in (*_INI_LISTS, *_INI_TEXTS)):
        return True
    root = config.rootpath
    return any(_is_ours(folder) for folder in (root, *root.parents))


def ini_values(config: pytest.Config) -> dict[str, Any]:
    """The settings given as ini options."""
    names = (*_INI_LISTS, *_INI_TEXTS)
    return {name: value for name in names if (value := config.getini(f"cas_llm_{name}"))}


def _is_ours(folder: Path) -> bool:
    # Also a store that has lost its format file: going on without it would call for real.
    store = folder / "cache_store"
    if any((store / name).exists() for name in ("format", "manifest", "requests")):
        return True
    try:
        return "[tool.cas-llm" in (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _wants(item: pytest.Item) -> bool:
    return item.get_closest_marker(MARKER) is not None or MARKER in getattr(
        item, "fixturenames", ()
    )


def _start(config: pytest.Config) -> Running:
    from cas_llm.errors import CasLLMError
    from cas_llm.pytest_plugin.running import Running

    _check_report(config)
    try:
        running = Running(config)
    except CasLLMError as error:
        raise pytest.UsageError(f"cas-llm: {error}") from None
    config.stash[_RUNNING] = running
    config.add_cleanup(running.stop)
    config.pluginmanager.register(running, "cas_llm_running")
    if config.pluginmanager.hasplugin("xdist"):
        from cas_llm.pytest_plugin.workers import Workers

        config.pluginmanager.register(Workers(running), "cas_llm_workers")
    return running


def _check_report(config: pytest.Config) -> None:
    """Refuse a report that could not be written, before anything is paid for."""
    said = getattr(config.known_args_namespace, "cas_llm_report", None)
    if not said:
        return
    place = config.invocation_params.dir / said
    above = next(folder for folder in place.parents if folder.exists())
    why = ""
    if place.is_dir():
        why = "it is a folder"
    elif not above.is_dir():
        why = f"{above} is a file"
    elif not os.access(place if place.exists() else above, os.W_OK):
        why = "no permission to write there"
    if why:
        raise pytest.UsageError(f"cas-llm: --cas-llm-report={said}: {why}; name a file to write")


def pytest_report_header(config: pytest.Config) -> Iterator[str] | list[str]:
    running = config.stash.get(_RUNNING, None)
    return [running.header()] if running else []
