"""Killed at any moment, the store holds whole files only, names nothing absent, and goes on.

A process that records, promotes, edits, mends or accepts is ended with SIGKILL: at each call that
changes the disk, before it and within it, and at random. A fresh process then looks at what is
there: no torn file under a final name, no tape, shared entry or waiting answer without its files,
and every answer the program had been given by then is still found. The same work done again comes
to its end and pays only for what was not acknowledged.
"""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cas_llm.store import Store

if sys.platform == "win32":
    pytest.skip("needs fork and SIGKILL", allow_module_level=True)

from support.crash_work import WORKS, Bench, Found, Work, examine, laid_out
from support.extent import extent
from support.faults import Calls, Killing, quick_folder
from support.forks import Child, Tell, fork

SLOW = extent(200, 10_000)
RANDOM = 0.2
"""The part of all kills that strike at a random moment."""


@dataclasses.dataclass(frozen=True)
class Kill:
    """One kill: of which work, under which policy, at which call; step 0 is a random moment."""

    work: Work
    durable: bool
    step: int
    half: bool = False


class Kitchen:
    """Lays out each work once and lets it be done, and killed, on copies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self.templates: dict[tuple[str, bool], Path] = {}
        self.steps: dict[tuple[str, bool], int] = {}
        self.seconds: dict[tuple[str, bool], float] = {}
        for work in WORKS.values():
            for durable in (False, True):
                self._prepare(work, durable=durable)

    def _prepare(self, work: Work, *, durable: bool) -> None:
        """Lay the work out, and do it once to the end: how many calls, how long; imports are done."""
        key = (work.name, durable)
        template = self._folder / f"{work.name}-{durable}"
        laid_out(work, template, durable=durable)
        self.templates[key] = template
        root = self._copy(key)
        counting = Killing(0)
        acknowledged: dict[str, str] = {}
        bench = Bench(root, durable=durable, acknowledge=acknowledged.__setitem__)
        began = time.perf_counter()
        with Calls(counting, root.parent):
            work.do(bench)
            bench.close()
        self.seconds[key] = time.perf_counter() - began
        self.steps[key] = counting.seen
        if work.beside is None:
            found = examine(work, root, acknowledged, durable=durable)
            assert found.well, f"{work.name} is not well without a kill: {found}"
        shutil.rmtree(root.parent)

    def _copy(self, key: tuple[str, bool]) -> Path:
        self._count += 1
        folder = self._folder / str(self._count)
        shutil.copytree(self.templates[key], folder)
        return folder / "cache_store"

    def plan(self, count: int) -> list[Kill]:
        """*count* kills: as many of each work and policy, spread over its steps, some at random."""
        plan = []
        for place, (name, durable) in enumerate(self.steps):
            share = count // len(self.steps) + (place < count % len(self.steps))
            anywhere = round(share * RANDOM)
            # Each step before the call and within it; a few kills are spread over all of them.
            moments = 2 * self.steps[name, durable]
            for number in range(share - anywhere):
                spread = number * moments // (share - anywhere)
                step, half = divmod(spread if share < moments else number % moments, 2)
                plan.append(Kill(WORKS[name], durable, step + 1, half=bool(half)))
            plan += [Kill(WORKS[name], durable, 0)] * anywhere
        return plan

    def strike(self, kill: Kill, chance: random.Random) -> tuple[bool, Found]:
        """Do the work on a copy and kill it; whether it was killed, and what was found then."""
        key = (kill.work.name, kill.durable)
        root = self._copy(key)
        run = _one_run(root) if kill.work.beside else None

        def work(tell: Tell) -> None:
            bench = Bench(root, durable=kill.durable, run=run, acknowledge=tell)
            with Calls(Killing(kill.step, half=kill.half), root.parent):
                kill.work.do(bench)
                bench.close()

        def beside(tell: Tell) -> None:
            bench = Bench(root, "x", durable=kill.durable, run=run, acknowledge=tell)
            assert kill.work.beside is not None
            kill.work.beside(bench)
            bench.close()

        child = fork(work)
        other = fork(beside) if kill.work.beside else None
        if not kill.step:
            time.sleep(chance.uniform(0.0, self.seconds[key] * 1.5))
            child.kill()
        code, told = child.join()
        assert code in {-9, 0}, "the work failed before it was killed"
        acknowledged: dict[str, str] = dict(told)
        found = Found()
        if other is not None:
            acknowledged |= _told_beside(other, found)
        _merge(found, _examined(kill, root, acknowledged))
        shutil.rmtree(root.parent)
        return code == -9, found


def _one_run(root: Path):
    from cas_llm.session.runs import Run

    return Run(root / ".local" / "runs" / "00c0ffee", "00c0ffee")


def _told_beside(other: Child, found: Found) -> dict[str, str]:
    try:
        code, told = other.join(20)
    except TimeoutError as error:
        found.unfinished.append(f"the process beside: {error}")
        return {}
    if code:
        found.unfinished.append(f"the process beside ended with {code}")
    return {f"beside {what}": value for what, value in told}


def _examined(kill: Kill, root: Path, acknowledged: dict[str, str]) -> Found:
    def look(tell: Tell) -> None:
        tell(dataclasses.asdict(examine(kill.work, root, acknowledged, durable=kill.durable)))

    code, told = fork(look).join()
    assert code == 0, f"the examination of {kill} failed"
    return Found(**told[0][0])


def _merge(found: Found, other: Found) -> None:
    for name, said in dataclasses.asdict(other).items():
        getattr(found, name).extend(said)


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory) -> Iterator[Kitchen]:
    with quick_folder(tmp_path_factory.mktemp("crash")) as folder:
        yield Kitchen(folder)


def kill_all(kitchen: Kitchen, count: int, seed: int) -> None:
    """Carry out *count* kills; all must have left the store well."""
    chance = random.Random(seed)
    kills, killed = kitchen.plan(count), Counter()
    wrong: list[tuple[Kill, Found]] = []
    began = time.perf_counter()
    for kill in kills:
        struck, found = kitchen.strike(kill, chance)
        killed[kill.work.name if struck else "ended first"] += 1
        if not found.well:
            wrong.append((kill, found))
    total = sum(killed.values()) - killed["ended first"]
    sums = Counter({name: sum(len(getattr(found, name)) for _, found in wrong) for name in _NAMES})
    print(
        f"{total} kills in {time.perf_counter() - began:.0f} s: {sums['torn']} torn, "
        f"{sums['dangling']} dangling, {sums['lost']} acknowledged lost, "
        f"{sums['unfinished']} not finished by doing it again"
    )
    print("  " + ", ".join(f"{name} {number}" for name, number in sorted(killed.items())))
    shown = "\n".join(f"{kill.work.name} {kill.step} {kill.half} {f}" for kill, f in wrong[:10])
    assert not wrong, f"{len(wrong)} of {total} kills:\n{shown}"
    assert total > 0.8 * count, "most of the work ended before it was killed"


_NAMES = [field.name for field in dataclasses.fields(Found)]


def test_killed_at_any_step_the_store_is_whole_and_the_work_ends(kitchen):
    """A sample of all steps of all works; the slow test takes 500 and more."""
    kill_all(kitchen, 40, seed=1)


@pytest.mark.slow
def test_killed_hundreds_of_times_nothing_is_torn_dangling_or_lost(kitchen):
    """200 kills; under CAS_LLM_THOROUGH 10,000."""
    kill_all(kitchen, SLOW, seed=2)


def test_a_killed_process_never_blocks_another(kitchen):
    """Locks and calls in flight of a killed process go with it: the next one does not wait."""
    work = WORKS["promotion"]
    steps = kitchen.steps["promotion", False]
    for step in (steps // 4, steps // 2, steps - 1):
        began = time.perf_counter()
        struck, found = kitchen.strike(Kill(work, durable=False, step=step), random.Random(0))
        assert struck
        assert found.well, found
        assert time.perf_counter() - began < 10


def test_a_pilot_killed_before_it_signed_blocks_nobody(tmp_path):
    """A call in flight that names no process, or half of one, is over after a moment."""
    from cas_llm.session.runs import Run

    run = Run(tmp_path, "00c0ffee")
    flight = tmp_path / "flights" / "x"
    flight.parent.mkdir()
    for unsigned in ("", str(os.getpid())):
        flight.write_text(unsigned)
        assert run.in_flight("x")
        os.utime(flight, (1, 1))
        assert not run.in_flight("x")
    assert run.take_off("x")
    assert run.in_flight("x")


def test_processes_killed_at_random_leave_a_store_that_verifies(tmp_path):
    """Four programs of their own writing into one store, killed at any moment, again and again."""
    root = tmp_path / "cache_store"
    program = (
        "import sys; sys.path[:0] = eval(sys.argv[2])\n"
        "from pathlib import Path\n"
        "from support.crash_work import Bench, Scope\n"
        "bench = Bench(Path(sys.argv[1]), 'p', durable=False)\n"
        "desk, scope = bench.desk(), Scope()\n"
        "print('ready', flush=True)\n"
        "for number in range(int(sys.argv[3])):\n"
        "    bench.ask(desk, f'ask {number}', scope)\n"
        "bench.close()\n"
    )
    argv = [sys.executable, "-c", program, str(root), repr(sys.path)]
    for pause in (0.0, 0.02):
        children = [subprocess.Popen([*argv, "100000"], stdout=subprocess.PIPE) for _ in range(3)]
        for child in children:
            assert child.stdout.readline() == b"ready\n"
        with suppress(subprocess.TimeoutExpired):
            children[0].wait(pause)
        for child in children:
            child.kill()
            child.wait()
            child.stdout.close()
        found = Found()
        from support.crash_work import look

        look(root, found, whole=False)
        assert found.well, found
    subprocess.run([*argv, "5"], check=True, capture_output=True)
    assert len(list(Store(root).manifest.shared())) >= 5
