"""How things are measured: each variant in a process of its own, asked in turn, round by round.

A ratio is taken within a round, where both sides had the same noise around them; what is reported
is the median of the rounds' ratios with the smallest and the largest beside it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import variants

HERE = Path(__file__).parent
_UNWANTED = re.compile(
    r"CAS_LLM_.*|.*_API_KEY|.*_API_TOKEN|(OPENAI|ANTHROPIC|AZURE|LANGCHAIN|LANGSMITH)_.*"
    r"|CI|(HTTPS?|ALL|NO)_PROXY|PYTHON(PATH|STARTUP|WARNINGS|HASHSEED)|PYTEST_.*|XDG_.*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Spread:
    """A figure of several rounds: their median, the smallest and the largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of *values*, one a round."""
        return cls(statistics.median(values), min(values), max(values))

    def over(self, other: Spread) -> Spread:
        """The ratio of two ratios that were not taken in the same rounds."""
        return Spread(self.median / other.median, self.low / other.high, self.high / other.low)

    def __str__(self) -> str:
        return f"{self.median:.2f}"


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds, seconds and recordings of one, sizes of stores, starts."""

    rounds: int = 24
    seconds: float = 0.06
    recordings: int = 8
    largest: int = 100_000
    starts: int = 12
    proofs: int = 7
    peers: bool = True

    def at_most(self, count: int) -> int:
        """*count* recordings, or as many as are made at all."""
        return min(count, self.largest)

    @classmethod
    def quick(cls, *, peers: bool = True) -> Effort:
        """Enough to see the order of things, in seconds."""
        return cls(12, 0.03, recordings=4, largest=10_000, starts=5, proofs=3, peers=peers)


def environment() -> dict[str, str]:
    """This process's environment without what would change what is measured.

    What is measured is the cas-llm beside this folder, installed or not.
    """
    kept = {name: value for name, value in os.environ.items() if not _UNWANTED.fullmatch(name)}
    fixed = {"PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": ""}
    return {**kept, **fixed}


class Stores:
    """Stores made once and shared by all rows of a run, in one temporary folder."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def at(self, name: str, kind: str, count: int) -> Path:
        """The folder of a variant's store with *count* entries; made if it is not there."""
        plain = re.sub(r"\W+", "-", name)
        root = self.home / f"{plain}-{kind}-{count}"
        done = root.with_name(f"{root.name}.made")
        if not done.exists():
            root.mkdir(parents=True, exist_ok=True)
            words = [sys.executable, str(HERE / "worker.py"), "build", name, str(root), kind]
            subprocess.run([*words, str(count)], check=True, env=environment(), cwd=self.home)
            _touch(root)
            done.touch()
        return root

    def copy(self, name: str, kind: str, count: int) -> Path:
        """A copy of such a store, for a writer of its own."""
        return Path(shutil.copytree(self.at(name, kind, count), self.scratch() / "store"))

    def scratch(self) -> Path:
        """A new empty folder."""
        return Path(tempfile.mkdtemp(dir=self.home))


def _touch(root: Path) -> None:
    # Piece by piece: a process started later would seem to have held what this one does.
    piece = bytearray(1 << 16)
    for folder, _, names in os.walk(root):
        for name in names:
            with Path(folder, name).open("rb", buffering=0) as file:
                while file.readinto(piece):
                    pass


class Worker:
    """A running `worker.py`; as a context manager it ends with the block."""

    def __init__(
        self,
        name: str,
        root: Path,
        kind: str,
        count: int,
        doing: str = "serve",
        *,
        label: str = "",
    ) -> None:
        self.name = label or name
        words = [sys.executable, str(HERE / "worker.py"), doing, name, str(root), kind, str(count)]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(),
            cwd=root,
        )
        self._line("ready")

    def ask(self, command: str, calls: int = 0) -> Any:
        """What the worker answers to *command*."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command} {calls}\n")
        self._process.stdin.flush()
        return json.loads(self._line())

    def _line(self, wanted: str = "") -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not wanted or line.strip() == wanted:
                return line
        self._process.wait()
        self._errors.seek(0)
        raise RuntimeError(f"{self.name}: {self._errors.read()[-2000:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()


@dataclass(frozen=True)
class Measured:
    """What one variant took: seconds of its calls, a list a round."""

    rounds: tuple[tuple[float, ...], ...]
    misses: int | None = None
    peak_kib: int = 0

    @property
    def seconds(self) -> float:
        """The median of all calls."""
        return statistics.median(second for one in self.rounds for second in one)

    @property
    def calls(self) -> int:
        """How many calls were timed."""
        return sum(len(one) for one in self.rounds)

    def over(self, base: Measured) -> Spread:
        """The ratio to *base*, taken within each round."""
        pairs = zip(self.rounds, base.rounds, strict=True)
        return Spread.of([statistics.median(a) / statistics.median(b) for a, b in pairs])


def interleaved(
    workers: Sequence[Worker],
    command: str,
    effort: Effort,
    *,
    least: int = 3,
    exactly: int = 0,
) -> dict[str, Measured]:
    """What each worker takes for *command*, round by round, every second round in reverse.

    A batch has as many calls as fit in the effort's seconds, but *least*; or it has *exactly* some.
    """
    calls = dict.fromkeys(workers, exactly)
    for worker in workers if not exactly else ():
        one = min(worker.ask(command, least))
        calls[worker] = max(least, min(400, int(effort.seconds / one)))
    found: dict[Worker, list[tuple[float, ...]]] = {worker: [] for worker in workers}
    for turn in range(effort.rounds):
        for worker in workers if turn % 2 == 0 else reversed(workers):
            found[worker].append(tuple(worker.ask(command, calls[worker])))
    measured = {}
    for worker in workers:
        facts = worker.ask("facts")
        measured[worker.name] = Measured(tuple(found[worker]), **facts)
    return measured


@dataclass(frozen=True)
class Command:
    """A program to run from its start to its end; `before` is done first and not timed."""

    words: Sequence[str]
    folder: Path
    before: Callable[[], object] = lambda: None
    more: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> tuple[float, int]:
        """Seconds it took, and its peak memory in KiB."""
        self.before()
        began = time.perf_counter()
        process = subprocess.Popen(
            self.words,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**environment(), **self.more},
            cwd=self.folder,
        )
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.stderr.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            raise RuntimeError(f"{' '.join(self.words)}: {errors.decode(errors='replace')[-2000:]}")
        return seconds, used.ru_maxrss


def timed(commands: Mapping[str, Command], rounds: int) -> dict[str, Measured]:
    """What whole programs take, in turn, after one round that does not count."""
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in commands}
    names = list(commands)
    for turn in range(rounds + 1):
        for name in names if turn % 2 == 0 else reversed(names):
            taken = commands[name].run()
            if turn:
                found[name].append(taken)
    return {
        name: Measured(
            tuple((seconds,) for seconds, _ in runs),
            peak_kib=round(statistics.median(peak for _, peak in runs)),
        )
        for name, runs in found.items()
    }


def present(names: Sequence[str], effort: Effort) -> tuple[list[str], list[str]]:
    """The variants that can be measured here, and those skipped, with what they lack."""
    here, skipped = [], []
    for name in names:
        lacking = variants.missing(name)
        if lacking:
            skipped.append(f"{name} (no {', '.join(lacking)})")
        elif effort.peers or not variants.variant(name).needs:
            here.append(name)
    return here, skipped
