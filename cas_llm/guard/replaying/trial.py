"""Runs tests in replay for a hook, with a time limit, and tells what became of each.

The only module here that runs the project's code. The pytest it starts sees nothing of the
surrounding git command: a test that runs git itself would else write to the user's commit.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

_PLUGIN = "cas_llm.pytest_plugin.trial"
_NO_TESTS = 5


@dataclass(frozen=True)
class Chosen:
    """Which tests to run: all of `files` and `folders`, and those that `tests` name.

    `tests` are named as pytest names them, `parts` by their file and their names in it.
    `fixtures` are pairs of a fixture's name and the file or folder whose tests see it: all that
    ask for it run. Paths are absolute.
    """

    tests: frozenset[str] = frozenset()
    parts: frozenset[tuple[Path, str]] = frozenset()
    files: frozenset[Path] = frozenset()
    folders: frozenset[Path] = frozenset()
    fixtures: frozenset[tuple[str, Path]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.tests or self.parts or self.files or self.folders or self.fixtures)

    def __or__(self, other: Chosen) -> Chosen:
        return Chosen(
            self.tests | other.tests,
            self.parts | other.parts,
            self.files | other.files,
            self.folders | other.folders,
            self.fixtures | other.fixtures,
        )

    def document(self) -> dict[str, Any]:
        """As the plugin of the trial reads it."""
        return {
            "tests": sorted(self.tests),
            "parts": sorted([str(path), name] for path, name in self.parts),
            "files": sorted(map(str, self.files)),
            "folders": sorted(map(str, self.folders)),
            "fixtures": sorted([name, str(place)] for name, place in self.fixtures),
        }


@dataclass(frozen=True)
class Result:
    """What became of one test; `problems` are its requests that have no recording."""

    test: str
    outcome: str
    text: str = ""
    problems: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What a trial found out.

    `broken` are files that could not be collected, with the reason; `unfinished` the tests that
    the time did not suffice for, or that pytest did not come to; `left_out` those that the
    project's own options did not let in; `failure` what pytest said where it did not run at all.
    """

    results: tuple[Result, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    collected: bool = False
    in_time: bool = True
    failure: str = ""


def run(
    project: Path,
    store: Path,
    chosen: Chosen,
    places: Sequence[Path],
    *,
    seconds: float,
    environ: Mapping[str, str],
) -> Verdict:
    """Run *chosen* in replay from *store*, started in *project*, for *seconds* at the most.

    *places* are the files and folders that pytest collects; all it finds by itself if empty.
    """
    with tempfile.TemporaryDirectory(prefix="cas-llm-trial-") as place:
        folder = Path(place)
        (folder / "chosen.json").write_text(json.dumps(chosen.document()), "utf-8")
        words = _command(folder, store, {_argument(place, project) for place in places})
        output = folder / "output.txt"
        code = _within(seconds, words, project, _environment(environ, folder), output)
        return _verdict(folder / "results.jsonl", code, output)


def _argument(place: Path, project: Path) -> str:
    """What pytest is told of *place*: it takes a bracket in a path for a test's parameters."""
    path, bracket, _ = os.path.relpath(place, project).partition("[")
    return os.path.dirname(path) or "." if bracket else path  # noqa: PTH120 - texts of pytest


def _command(folder: Path, store: Path, places: Iterable[str]) -> list[str]:
    words = [sys.executable, "-m", "pytest", *_plugins(), "-q", "--maxfail=0"]
    words += ["--cas-llm=replay", f"--cas-llm-store={store}"]
    # What pytest and the tests leave behind goes with the folder.
    words += ["-o", f"cache_dir={folder}/cache", f"--basetemp={folder}/tests"]
    return [*words, "--", *sorted(places)]


def _plugins() -> tuple[str, ...]:
    """The options that load the plugin, and no second time where it is loaded by itself."""
    named = any(entry.name == "cas_llm" for entry in entry_points(group="pytest11"))
    return ("-p", "cas_llm" if named else "cas_llm.pytest_plugin", "-p", _PLUGIN)


def _environment(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment without what git, pre-commit and an outer pytest set."""
    ours = (
        *("GIT_", "PRE_COMMIT", "PYTEST_CURRENT_TEST", "PYTEST_XDIST"),
        *("CAS_LLM_MODE", "CAS_LLM_RUN", "CAS_LLM_SESSION"),
    )
    kept = {name: value for name, value in environ.items() if not name.startswith(ours)}
    return {**kept, "CAS_LLM_TRIAL": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _within(
    seconds: float, words: Sequence[str], project: Path, environ: dict[str, str], output: Path
) -> int | None:
    """The exit code of *words*, or None where they took longer and were killed, children too."""
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - pytest, on the project's own tests
            words,
            cwd=project,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _verdict(results: Path, code: int | None, output: Path) -> Verdict:
    lines = []
    with suppress(FileNotFoundError):
        for line in results.read_text("utf-8").splitlines():
            # The last one may be cut off.
            with suppress(ValueError):
                lines.append(json.loads(line))
    done = {
        line["test"]: Result(
            line["test"], line["outcome"], line.get("text", ""), tuple(line["problems"])
        )
        for line in lines
        if "test" in line
    }
    found = [line["collected"] for line in lines if "collected" in line]
    left = [name for names in found for name in names if name not in done]
    left_out = tuple(name for line in lines for name in line.get("left_out", ()))
    broken = {line["broken"]: line["text"] for line in lines if "broken" in line}
    ran = code is None or code in {0, 1, _NO_TESTS} or bool(broken)
    said = "" if ran else output.read_text("utf-8", "replace")[-2000:]
    in_time, ended = code is not None, tuple(done.values())
    return Verdict(ended, broken, tuple(left), left_out, bool(found), in_time, said)
