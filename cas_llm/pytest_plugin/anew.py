"""Runs the tests that are to be recorded anew, and writes down what became of each at once.

For `cas-llm rerecord`, in the project's own Python: ``python -c "from … import main; main()"``.
`VARIABLE` names a folder: there lies `CHOSEN`, and `RESULTS` is written, a line of JSON each. The
process may be killed at any moment; what was written until then counts. It runs what is chosen or
nothing, whatever stands between it and who started it (``uv run``, a script).
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from cas_llm.pytest_plugin.outcomes import Outcomes, last_line

VARIABLE = "CAS_LLM_ANEW"
CHOSEN = "chosen.json"
RESULTS = "results.jsonl"

_FOLDER = "cas_llm_anew"
_REPETITION = re.compile(r"#\d+\Z")
_OPTIONS: Mapping[str, Any] = {"collectonly": False, "setupplan": False, "usepdb": False}


def main() -> None:
    """Run pytest with the plugin, with the words of the command line."""
    # Taken away: a pytest that a test starts is not this one.
    folder = Path(os.environ.pop(VARIABLE))
    named = any(entry.name == "cas_llm" for entry in entry_points(group="pytest11"))
    words = ("-p", "cas_llm" if named else "cas_llm.pytest_plugin", "-p", __name__)
    sys.exit(pytest.main([*words, *sys.argv[1:]], plugins=[Started(folder)]))


class Started:
    """Puts the plugin for *folder* into the pytest that `main` runs, and into its workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> None:
        for name, value in _OPTIONS.items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)

    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(Anew(self._folder, is_worker=False), "cas_llm_anew")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_FOLDER] = str(self._folder)


class Anew:
    """The plugin: runs what *folder* says is chosen, for as long as who started it is there."""

    def __init__(self, folder: Path, *, is_worker: bool) -> None:
        document = json.loads((folder / CHOSEN).read_text("utf-8"))
        self._chosen = {_REPETITION.sub("", name) for name in document["tests"]}
        self._parent = None if is_worker else int(document["parent"])
        self._above = os.getppid()
        self._results = folder / RESULTS
        self._outcomes = Outcomes(_told)
        self._expected: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        others = [item for item in items if item.nodeid not in self._chosen]
        if others:
            config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if item.nodeid in self._chosen]

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        for item in items if self._parent is not None else ():
            if item.nodeid in self._chosen:
                self._write({"left_out": item.nodeid})

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        # Here, and not when it is registered: the run is there once everything is configured.
        running = session.config.pluginmanager.get_plugin("cas_llm_running")
        if running is not None and self._parent is not None:
            run = running.runtime.run
            self._write({"run": run.id, "folder": str(run.folder)})

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self._parent is not None:
            self._write({"broken": report.nodeid, "text": last_line(report.longreprtext)})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        report = yield
        from cas_llm.pytest_plugin import MARKER

        markers = [
            marker.kwargs for marker in item.iter_markers(MARKER) if "locked" in marker.kwargs
        ]
        report.cas_llm_locked = bool(markers) and bool(markers[0]["locked"])
        return report

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self._parent is not None:
            if os.getppid() != self._above or _is_gone(self._parent):
                # Killed: nobody counts what is spent any more, and the next one will go on.
                pytest.exit("cas-llm rerecord, which started this run, is gone", returncode=2)
            self._write({"began": nodeid})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._parent is None:
            return
        if report.skipped and hasattr(report, "wasxfail"):
            self._expected.add(report.nodeid)
        outcome = self._outcomes.take(report)
        if outcome is None:
            return
        if outcome["outcome"] == "skipped" and report.nodeid in self._expected:
            # It failed as it should, and the plugin keeps what it recorded.
            outcome["outcome"] = "passed"
        locked = bool(getattr(report, "cas_llm_locked", False))
        said = {"outcome": outcome["outcome"], "text": outcome.get("text", "")}
        self._write({"test": report.nodeid, "locked": locked, **said})

    def _write(self, line: Mapping[str, Any]) -> None:
        # At once, and not through a buffer.
        with self._results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _told(text: str) -> str:
    """What cas-llm says in *text*, else what is wrong."""
    lines = (line.removeprefix("E").strip() for line in text.splitlines())
    said = next((line for line in lines if line.startswith("cas-llm: ")), "")
    return said[:200] or last_line(text)


def _is_gone(process: int) -> bool:
    """Whether no process has that number; never so where asking would end it."""
    if sys.platform == "win32":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def pytest_configure(config: pytest.Config) -> None:
    if folder := getattr(config, "workerinput", {}).get(_FOLDER, ""):
        config.pluginmanager.register(Anew(Path(folder), is_worker=True), "cas_llm_anew")
