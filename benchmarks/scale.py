"""What a store of N recordings costs: each row in a process of its own, beside a floor.

Makes a synthetic store (`synthetic_store`), and measures the first hit, the second, a miss with
its explanation, `ls`, `stats`, the index, and `verify` at its levels, with what git takes for the
same files. Ratios are to rows of the same run; ``cpu`` is what the process and its children used,
which a busy machine changes least.

Run as ``python benchmarks/scale.py [--git too|only] [N ...]``, with cas-llm installed; prints
Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from synthetic_store import JSON, URL, body, make, model_of

HERE = Path(__file__).resolve()
TREE = HERE.parents[1]
PYTHON = sys.executable
CLI = (PYTHON, "-m", "cas_llm")
RANDOM = 7919


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds of wall clock and of processor, and MiB at the most."""

    wall: float
    cpu: float
    peak: float
    said: str


def run(*command: str, folder: Path | None = None) -> Cost:
    """What *command* costs, and what it says; it must end with 0."""
    paths = [str(TREE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def row(name: str, cost: Cost, note: str = "") -> None:
    print(f"| {name} | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.peak:.0f} | {note} |", flush=True)


def hash_every_file(root: Path) -> None:
    """The floor of `verify`: open, read and hash each file, in one thread; says the seconds."""
    began, used = time.perf_counter(), time.process_time()
    for folder in ("requests", "objects", "manifest"):
        for place, _, names in os.walk(root / folder):
            for name in names:
                handle = os.open(f"{place}/{name}", os.O_RDONLY)
                hashlib.sha256(os.read(handle, 1 << 16)).hexdigest()
                os.close(handle)
    print(time.perf_counter() - began, time.process_time() - used)


def ask(root: Path, count: int, misses: int, hits: int) -> None:
    """Hits and then misses through the session, timed; says milliseconds and the peak."""
    import resource

    import cas_llm
    from cas_llm.session import Scope
    from cas_llm.wire import Request

    def ask_for(number: int) -> float:
        request = Request("POST", URL, JSON, body(number, model_of(number)))
        began = time.perf_counter()
        session.begin(request, scope)
        return (time.perf_counter() - began) * 1e3

    with cas_llm.use("replay", store=root) as session, cas_llm.expect_miss():
        scope = Scope()
        took = [ask_for(number * RANDOM % count) for number in range(hits)]
        missed = [ask_for(count * 10 + number) for number in range(misses)]
        told = [f"{value:.1f}" for value in (*took[:2], *missed)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(" ".join(told), f"peak {peak:.1f}", flush=True)
        os._exit(0)


def read_names(root: Path) -> None:
    """Every shared entry, from its name."""
    from cas_llm.store import Store

    began = time.perf_counter()
    count = sum(1 for _ in Store(root).manifest.shared())
    print(f"{count:,} names in {time.perf_counter() - began:.2f} s")


def build(root: Path, table: str) -> None:
    """The tables of the index, each from nothing."""
    from cas_llm.store import Store

    store = Store(root)
    began = time.perf_counter()
    store.index.tapes_with("0" * 64) if table == "tapes" else store.index.complete()
    print(f"{time.perf_counter() - began:.2f} s")
    store.close()


def made(root: Path, count: int, kind: str) -> None:
    """Make the store at *root*, and print the head of its table."""
    began = time.perf_counter()
    make(root, count, kind)
    print(f"\n## {count:,} recordings named by {kind}, made in {time.perf_counter() - began:.0f} s")
    print("\n| | wall s | cpu s | peak MiB | |\n| --- | --- | --- | --- | --- |", flush=True)
    time.sleep(3)  # a file younger than two seconds is never taken for settled


def measure(root: Path, count: int) -> None:
    """All rows of one store."""
    own, place = (PYTHON, str(HERE)), str(root)
    floor = run(*own, "--hash", place)
    wall, cpu = map(float, floor.said.split())
    row("hash every file, 1 thread", floor, f"{wall:.2f} s, {cpu:.2f} s of cpu in it")

    def ratio(cost: Cost) -> str:
        return f"{cost.wall / wall:.2f} x hash, {cost.cpu / cpu:.2f} x its cpu"

    for name, more in (
        ("a hit, and a second", ("0", "2")),
        ("1,500 hits over all shards", ("0", "1500")),
        ("a miss, no index yet", ("3", "1")),
        ("a miss, index begun", ("3", "1")),
    ):
        cost = run(*own, "--ask", place, str(count), *more)
        row(name, cost, f"ms: {cost.said.strip()}")
    shutil.rmtree(root / ".local")
    row("read all shared names", cost := run(*own, "--names", place), cost.said.strip())
    row("index: tapes", cost := run(*own, "--build", place, "tapes"), cost.said.strip())
    row("index: near-miss tables", cost := run(*own, "--build", place, "all"), cost.said.strip())
    row("`ls`", run(*CLI, "ls", "--store", place))
    row("`ls --test nothing`", run(*CLI, "ls", "--test", "nothing", "--store", place))
    row("`stats`", run(*CLI, "stats", "--store", place))
    for level in range(4):
        cost = run(*CLI, "verify", "--full", "--level", str(level), "--store", place)
        row(f"`verify --full --level {level}`", cost, ratio(cost))
    for what in ("noting", "nothing changed"):
        cost = run(*CLI, "verify", "--level", "2", "--store", place)
        row(f"`verify --level 2`, {what}", cost, ratio(cost))


def measure_git(root: Path) -> None:
    """What git takes for the same files."""
    shutil.rmtree(root / ".local", ignore_errors=True)
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "gc.auto=0")
    place = root.parent
    for name, words in (
        ("git init", ("init", "-q")),
        ("git add", ("add", ".")),
        ("git commit", ("commit", "-q", "-m", "x")),
        ("git status, cold", ("status", "--short")),
        ("git status", ("status", "--short")),
        ("git fsck, loose", ("fsck", "--no-progress")),
        ("git gc", ("gc", "-q")),
        ("git clone, without a work tree", ("clone", "-q", "--bare", "file://" + str(place), "b")),
    ):
        row(name, run(*git, *words, folder=place))
    for name in (".git", "b"):
        size = sum(path.stat().st_size for path in (place / name).rglob("*") if path.is_file())
        print(f"| {name} | | | | {size / 1e6:.0f} MB |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, help="how many recordings; 10000 if none")
    parser.add_argument("--kind", default="shared", choices=("shared", "tapes"))
    parser.add_argument(
        "--git", choices=("too", "only"), help="what git takes for the same files, or that alone"
    )
    for inner in ("hash", "names", "ask", "build"):
        parser.add_argument(f"--{inner}", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.hash:
        hash_every_file(Path(given.hash[0]))
    elif given.names:
        read_names(Path(given.names[0]))
    elif given.ask:
        place, *numbers = given.ask
        ask(Path(place), *map(int, numbers))
    elif given.build:
        build(Path(given.build[0]), given.build[1])
    else:
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
        for count in given.counts or [10_000]:
            with tempfile.TemporaryDirectory(prefix="cas-llm-scale-") as folder:
                root = Path(folder) / "cache_store"
                made(root, count, given.kind)
                if given.git != "only":
                    measure(root, count)
                if given.git:
                    measure_git(root)


if __name__ == "__main__":
    main()
