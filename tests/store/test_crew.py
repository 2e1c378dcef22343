"""Work shared out over processes: whoever does it, and whoever is killed, each item is done once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import cas_llm
from cas_llm.store import crew

MANY = 1_000_000
NUMBERS = range(60)


def doubled(number: int) -> int:
    return 2 * number


def deadly(number: int) -> int:
    """As `doubled`; takes its process with it, unless that is the one that shares out the work."""
    if number == 20 and multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def done(work) -> list[tuple[int, int]]:
    return list(crew.spread(work, iter(NUMBERS), files=MANY, workers=2))


WHOLE = [(number, 2 * number) for number in NUMBERS]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_what_a_killed_worker_was_asked_is_done_all_the_same() -> None:
    """Every item comes once and in order, though a worker dies in the middle."""
    assert done(deadly) == WHOLE


@pytest.mark.parametrize("error", [OSError, ImportError, NotImplementedError])
def test_without_processes_the_work_is_done_here(monkeypatch, error: type[Exception]) -> None:
    """A sandbox without semaphores has no pool; nothing else changes."""

    def refused(*_args: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(crew, "ProcessPoolExecutor", refused)
    assert done(doubled) == WHOLE


def test_a_worker_of_another_pool_starts_no_processes(monkeypatch) -> None:
    """Daemons may have no children."""
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    monkeypatch.setattr(crew, "ProcessPoolExecutor", None)
    assert done(doubled) == WHOLE


def test_beside_threads_the_work_is_shared_out_too() -> None:
    """A process that has threads starts its workers anew instead of forking."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert done(doubled) == WHOLE
    finally:
        over.set()
        thread.join()


def test_an_error_of_the_work_is_the_callers() -> None:
    """It is no worker's death, so nothing is tried again."""
    with pytest.raises(TypeError):
        list(crew.spread(doubled, iter([1, None]), files=MANY, workers=2))  # type: ignore[list-item]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """A `verify` that runs out of time leaves nobody behind."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, time\n"
        "from cas_llm.store import crew\n"
        "def work(number):\n"
        "    time.sleep(0.01)\n"
        "    return os.getpid()\n"
        'if __name__ == "__main__":\n'
        "    for _, pid in crew.spread(work, range(100_000), files=10**6, workers=2):\n"
        "        print(pid, flush=True)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(cas_llm.__file__).parents[1])},
    )
    assert parent.stdout is not None
    workers = {parent.stdout.readline().strip() for _ in range(40)}
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert workers
    assert all(pid.isdigit() for pid in workers)
    until = time.monotonic() + 20
    while time.monotonic() < until and any(Path("/proc", pid).exists() for pid in workers):
        time.sleep(0.05)
    assert [pid for pid in workers if Path("/proc", pid).exists()] == []
