"""Runs chosen tests only, and writes down what became of each as soon as it is known.

For the git hook: loaded by ``-p cas_llm.pytest_plugin.trial`` in a pytest of its own, which may be
killed at its time limit; what was written until then counts. `CAS_LLM_TRIAL` names a folder: there
lies `CHOSEN`, and `RESULTS` is written, a line of JSON each.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cas_llm.pytest_plugin.outcomes import Outcomes, last_line
from cas_llm.store import layout

VARIABLE = "CAS_LLM_TRIAL"
CHOSEN = "chosen.json"
RESULTS = "results.jsonl"

# What a project's own options may say, and here is otherwise.
_OPTIONS: Mapping[str, Any] = {
    # A handful of tests are done before workers have started.
    "numprocesses": None,
    "dist": "no",
    "tx": [],
    # Tests are run, all of them, and nobody sits at the keyboard.
    "collectonly": False,
    "setuponly": False,
    "setupplan": False,
    "stepwise": False,
    "usepdb": False,
    "trace": False,
    # Reports that lie in the work tree are about whole runs.
    "xmlpath": None,
    "log_file": None,
    "htmlpath": None,
    "report_log": None,
    "json_report": False,
    "allure_report_dir": None,
    "cas_llm_report": None,
    "cas_llm_from": None,
}
_REPETITION = re.compile(r"#\d+\Z")


class Trial:
    """The plugin: what is chosen is read from *folder*, as `guard.trial.Chosen` writes it.

    A test is chosen by its id or by its file and name, both with or without its parameters, by the
    file or a folder it lies in, or by a fixture it asks for. What the project's own options leave
    out is run if *store* has a tape of it.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        self._store = store
        chosen: Mapping[str, Any] = json.loads((folder / CHOSEN).read_text("utf-8"))
        self._tests = {_REPETITION.sub("", name) for name in chosen["tests"]}
        self._parts = {(Path(path), _REPETITION.sub("", name)) for path, name in chosen["parts"]}
        self._files = {Path(path) for path in chosen["files"]}
        self._folders = tuple(Path(path) for path in chosen["folders"])
        self._fixtures = {(name, place) for name, place in chosen["fixtures"]}
        self._results = folder / RESULTS
        self._outcomes = Outcomes(last_line)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        chosen = [item for item in items if self._is_chosen(item)]
        result = yield
        kept = set(map(id, items))
        left_out = [item for item in chosen if id(item) not in kept]
        again = {id(item) for item in left_out if self._is_recorded(item)}
        others = [item for item in items if not self._is_chosen(item)]
        if others:
            config.hook.pytest_deselected(items=others)
        if others or again:
            gone = set(map(id, others))
            mine = {id(item) for item in chosen if id(item) in kept or id(item) in again}
            more = [item for item in items if id(item) not in gone | mine]
            items[:] = [*(item for item in chosen if id(item) in mine), *more]
        self._write({"collected": [item.nodeid for item in items]})
        self._write({"left_out": [one.nodeid for one in left_out if id(one) not in again]})
        return result

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write({"broken": report.nodeid, "text": report.longreprtext})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (outcome := self._outcomes.take(report)) is not None:
            self._write({"test": report.nodeid, **outcome})

    def _is_chosen(self, item: pytest.Item) -> bool:
        path = Path(item.path)
        # The name alone: a folder may have a bracket in its own.
        file, _, name = item.nodeid.partition("::")
        names = {name, name.partition("[")[0]}
        return (
            any(f"{file}::{one}" in self._tests or (path, one) in self._parts for one in names)
            or path in self._files
            or any(path.is_relative_to(folder) for folder in self._folders)
            or self._asks_for_one(getattr(item, "fixturenames", ()), path)
        )

    def _is_recorded(self, item: pytest.Item) -> bool:
        folder, stem = layout.tape_folder_and_stem(item.nodeid)
        return any((self._store / folder).glob(f"{glob.escape(stem)}.*.json"))

    def _asks_for_one(self, names: Iterable[str], path: Path) -> bool:
        asked = set(names)
        return any(name in asked and path.is_relative_to(place) for name, place in self._fixtures)

    def _write(self, line: Mapping[str, Any]) -> None:
        # At once, and not through a buffer: the process may be killed at any moment.
        with self._results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # What the project's own options may ask for, and what would write to its work tree.
    for name, value in (("no_cov", True), ("cas_llm_report", None), ("cas_llm_from", None)):
        if hasattr(early_config.known_args_namespace, name):
            setattr(early_config.known_args_namespace, name, value)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    for name, value in _OPTIONS.items():
        if hasattr(config.option, name):
            setattr(config.option, name, value)


def pytest_configure(config: pytest.Config) -> None:
    folder = os.environ.get(VARIABLE, "")
    # A test may start a pytest of its own; it inherits the variable, and is no trial.
    if folder and not config.pluginmanager.hasplugin("cas_llm_trial"):
        os.environ.pop(VARIABLE)
        store = Path(config.getoption("cas_llm_store"))
        config.pluginmanager.register(Trial(Path(folder), store), "cas_llm_trial")
