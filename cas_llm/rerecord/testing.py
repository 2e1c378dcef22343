"""Runs the tests that are recorded anew, in the project's own Python, and follows what they do.

All or nothing for each test: the plugin lets answers in when their test has passed. Starts pytest,
ends it when it is told to, and reads what `cas_llm.pytest_plugin.anew` writes down.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from cas_llm.errors import CasLLMError
from cas_llm.rerecord.project import Project, environment
from cas_llm.session.runs import Run
from cas_llm.session.runtime import RESUMES

VARIABLE = "CAS_LLM_ANEW"
_BOOT = "from cas_llm.pytest_plugin.anew import main; main()"
_PREFIX = "cas-llm-anew-"
_LOOK = 0.1
_PATIENCE = 10.0
_LEFT_OUT = (
    "an option of pytest leaves it out, given or in its settings (-k, -m, --lf); give one that "
    "does not behind --, such as -k ''"
)
PASSED, FAILED, SKIPPED, MISSING = "passed", "failed", "skipped", "not found"


@dataclass(frozen=True)
class Batch:
    """Tests for one pytest: `arguments` are further ones of the user's, `resumes` earlier runs.

    `narrowed` names their files to pytest; else it looks for all there are, and runs these.
    """

    tests: tuple[str, ...]
    mode: str
    store: Path
    max_cost: float
    arguments: tuple[str, ...] = ()
    resumes: tuple[str, ...] = ()
    narrowed: bool = True
    replace_edited: bool = False
    live_on_ci: bool = False


@dataclass(frozen=True)
class Ended:
    """What became of a test; `text` says why where it did not pass."""

    test: str
    outcome: str
    text: str = ""
    locked: bool = False


@dataclass
class Running:
    """A pytest at work on *batch*, and what it has told so far."""

    batch: Batch
    process: subprocess.Popen[bytes]
    folder: Path
    run: Run | None = None
    began: set[str] = field(default_factory=set)
    ended: dict[str, Ended] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    _read: int = 0

    @property
    def spent(self) -> float:
        """US dollars it has spent."""
        return self.run.spent() if self.run else 0.0

    def news(self) -> Iterator[Mapping[str, Any]]:
        """The lines that it has written since the last time."""
        with suppress(FileNotFoundError):
            data = (self.folder / "results.jsonl").read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            new, self._read = whole[self._read :], len(whole)
            for line in new.splitlines():
                document = json.loads(line)
                self._take(document)
                yield document

    def _take(self, line: Mapping[str, Any]) -> None:
        if "run" in line:
            self.run = Run(Path(line["folder"]), line["run"])
        elif "began" in line:
            self.began.add(line["began"])
        elif "left_out" in line:
            self.left_out.add(line["left_out"])
        elif "broken" in line:
            self.broken[line["broken"]] = line["text"]
        elif "test" in line:
            ended = Ended(line["test"], line["outcome"], line["text"], line["locked"])
            self.ended[ended.test] = ended

    def report(self) -> Mapping[str, Any]:
        """The report that it wrote at its end; empty where it did not come to that."""
        try:
            document = json.loads((self.folder / "report.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def outcomes(self) -> list[Ended]:
        """What became of each test of the batch."""
        return [self.ended.get(bare(name)) or self._without(name) for name in self.batch.tests]

    def _without(self, name: str) -> Ended:
        file = name.partition("::")[0]
        if why := self.broken.get(file):
            return Ended(name, FAILED, f"{file} cannot be imported: {why}")
        if bare(name) in self.left_out:
            return Ended(name, MISSING, _LEFT_OUT)
        if self.run and self.process.returncode in {0, 1, 5}:
            return Ended(name, MISSING, "pytest finds no such test")
        return Ended(name, FAILED, f"pytest did not come to it: {self.said()}")

    def said(self) -> str:
        """The last thing that pytest printed."""
        text = (self.folder / "output.txt").read_text("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip(" =-")]
        told = [line for line in lines if "rror" in line] or lines
        return told[-1][:200] if told else f"exit code {self.process.returncode}"


class Bench:
    """Where pytests are started for *project*; use it as a context, which ends what it started."""

    def __init__(self, project: Project, environ: Mapping[str, str]) -> None:
        self._project = project
        self._environ = environment(project, environ)
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.running: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, batch: Batch) -> Running:
        """Start a pytest on *batch*.

        Raises:
            CasLLMError: the project's Python cannot be started.

        """
        folder = self.folder / str(len(self.running))
        folder.mkdir()
        chosen = {"tests": [bare(name) for name in batch.tests], "parent": os.getpid()}
        (folder / "chosen.json").write_text(json.dumps(chosen), "utf-8")
        environ = {**self._environ, VARIABLE: str(folder)}
        environ |= {RESUMES: " ".join(batch.resumes)} if batch.resumes else {}
        words = [*self._project.python, "-c", _BOOT, *_arguments(batch, folder)]
        try:
            with (folder / "output.txt").open("wb") as output:
                process = subprocess.Popen(  # noqa: S603 - pytest, on the project's own tests
                    words,
                    cwd=self._project.folder,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    # An interrupt at the terminal reaches it from here, once.
                    start_new_session=True,
                )
        except OSError as error:
            raise CasLLMError(f"cannot start {words[0]}: {error.strerror}; name --python") from None
        self.running.append(Running(batch, process, folder))
        return self.running[-1]

    def end(self) -> None:
        """End every pytest that is still at work, as a person would."""
        for one in self.running:
            _end(one.process)

    def follow(self, tell: Callable[[Mapping[str, Any]], None]) -> None:
        """Wait until every pytest is over, and *tell* what each writes down as it does."""
        while True:
            over = [one.process.poll() is not None for one in self.running]
            for one in self.running:
                for line in one.news():
                    tell(line)
            if all(over):
                return
            time.sleep(_LOOK)


def left_in(folder: Path) -> tuple[list[str], set[str]]:
    """The runs, and the tests that passed, of a bench whose owner was killed; it is taken away."""
    runs: list[str] = []
    outcomes: dict[str, str] = {}
    for path in sorted(folder.glob("*/results.jsonl")):
        for data in path.read_bytes().splitlines():
            with suppress(ValueError, KeyError):
                line = json.loads(data)
                runs += [line["run"]] if "run" in line else []
                outcomes |= {line["test"]: line["outcome"]} if "test" in line else {}
    if folder.name.startswith(_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
    passed = {test for test, outcome in outcomes.items() if outcome == PASSED}
    return runs, passed


def batches(batch: Batch, count: int) -> list[Batch]:
    """*batch* as at most *count* of about the same size, each file in one, the money shared out."""
    files: dict[str, list[str]] = {}
    for name in batch.tests:
        files.setdefault(name.partition("::")[0], []).append(name)
    number = max(1, min(count, len(files))) if batch.narrowed else 1
    piles: list[list[str]] = [[] for _ in range(number)]
    for tests in sorted(files.values(), key=len, reverse=True):
        min(piles, key=len).extend(tests)
    share = batch.max_cost / number
    return [replace(batch, tests=tuple(pile), max_cost=share) for pile in piles if pile]


def _arguments(batch: Batch, folder: Path) -> list[str]:
    words = ["-q", "--maxfail=0", f"--cas-llm={batch.mode}", f"--cas-llm-store={batch.store}"]
    words += [f"--cas-llm-max-cost={batch.max_cost!r}", f"--cas-llm-report={folder}/report.json"]
    words += ["--cas-llm-replace-edited"] if batch.replace_edited else []
    words += ["--cas-llm-live-on-ci"] if batch.live_on_ci else []
    places = dict.fromkeys(name.partition("::")[0] for name in batch.tests)
    return [*words, *batch.arguments, *(places if batch.narrowed else ())]


def bare(name: str) -> str:
    """The id of a test without the number of its repetition."""
    head, mark, number = name.rpartition("#")
    return head if mark and number.isdigit() else name


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a pytest as a person would, so that it keeps what has passed; then insist."""
    if process.poll() is not None:
        return
    with suppress(OSError):
        _signal(process, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
            return
        _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send *process* a signal, and all that it has started: it may only have started pytest."""
    if sys.platform == "win32":
        process.send_signal(number)
    else:
        os.killpg(process.pid, number)
