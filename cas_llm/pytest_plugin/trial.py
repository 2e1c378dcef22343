"""Runs chosen tests only, and writes down what became of each as soon as it is known.

For the git hook: loaded by ``-p cas_llm.pytest_plugin.trial`` in a pytest of its own, which may be
killed at its time limit; what was written until then counts. `CAS_LLM_TRIAL` names a folder: there
lies `CHOSEN`, and `RESULTS` is written, a line of JSON each.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "CAS_LLM_TRIAL"
CHOSEN = "chosen.json"
RESULTS = "results.jsonl"

_REPETITION = re.compile(r"#\d+\Z")


class Trial:
    """The plugin: what is chosen is read from *folder*, as `guard.trial.Chosen` writes it.

    A test is chosen by its id, with or without its parameters, by its file and name, by the file
    or a folder it lies in, or by a fixture it asks for.
    """

    def __init__(self, folder: Path) -> None:
        chosen: Mapping[str, Any] = json.loads((folder / CHOSEN).read_text("utf-8"))
        self._tests = {_REPETITION.sub("", name) for name in chosen["tests"]}
        self._parts = {(Path(path), name) for path, name in chosen["parts"]}
        self._files = {Path(path) for path in chosen["files"]}
        self._folders = tuple(Path(path) for path in chosen["folders"])
        self._fixtures = {(name, place) for name, place in chosen["fixtures"]}
        self._results = folder / RESULTS
        self._outcomes: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        left = [item for item in items if not self._is_chosen(item)]
        if left:
            config.hook.pytest_deselected(items=left)
            gone = set(map(id, left))
            items[:] = [item for item in items if id(item) not in gone]
        self._write({"collected": [item.nodeid for item in items]})

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write({"broken": report.nodeid, "text": report.longreprtext})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = self._outcomes.setdefault(report.nodeid, {"outcome": "passed", "problems": []})
        if report.failed and found["outcome"] != "failed":
            found |= {"outcome": "failed", "text": _last_line(report.longreprtext)}
        elif report.skipped and found["outcome"] == "passed":
            found["outcome"] = "skipped"
        found["problems"] += getattr(report, "cas_llm_problems", [])
        if report.when == "teardown":
            self._write({"test": report.nodeid, **self._outcomes.pop(report.nodeid)})

    def _is_chosen(self, item: pytest.Item) -> bool:
        name, path = item.nodeid, Path(item.path)
        bare = name.partition("[")[0]
        return (
            not self._tests.isdisjoint((name, bare))
            or (path, bare.partition("::")[2]) in self._parts
            or path in self._files
            or any(path.is_relative_to(folder) for folder in self._folders)
            or self._asks_for_one(getattr(item, "fixturenames", ()), path)
        )

    def _asks_for_one(self, names: Iterable[str], path: Path) -> bool:
        asked = set(names)
        return any(name in asked and path.is_relative_to(place) for name, place in self._fixtures)

    def _write(self, line: Mapping[str, Any]) -> None:
        # At once, and not through a buffer: the process may be killed at any moment.
        with self._results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    return (errors or lines or [""])[0 if errors else -1][:200]


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # What the project's own options may ask for, and what would write to its work tree.
    if hasattr(early_config.known_args_namespace, "no_cov"):
        early_config.known_args_namespace.no_cov = True


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    # A handful of tests are done before workers have started.
    for name, value in (("numprocesses", None), ("dist", "no"), ("tx", [])):
        if hasattr(config.option, name):
            setattr(config.option, name, value)


def pytest_configure(config: pytest.Config) -> None:
    folder = os.environ.get(VARIABLE, "")
    # A test may start a pytest of its own; it inherits the variable, and is no trial.
    if folder and not config.pluginmanager.hasplugin("cas_llm_trial"):
        os.environ.pop(VARIABLE)
        config.pluginmanager.register(Trial(Path(folder)), "cas_llm_trial")
