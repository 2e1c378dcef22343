"""How many processes share the work, and how they are started."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading

import pytest

from cas_llm.store import crew


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """For how many processes a pool was asked; none is ever started."""
    counts: list[int] = []

    def pool(count: int) -> None:
        counts.append(count)

    monkeypatch.setattr(crew, "_pool", pool)
    monkeypatch.setattr(crew, "cores", lambda: 3)
    return counts


@pytest.mark.parametrize(
    ("files", "workers", "processes"),
    [
        (crew.WORTHWHILE - 1, 8, []),
        (crew.WORTHWHILE, 2, [2]),
        (crew.WORTHWHILE, 0, [3]),
        (crew.WORTHWHILE, 1, []),
        (10**6, 5, [5]),
    ],
)
def test_processes_are_asked_for_only_where_they_pay(asked, files, workers, processes):
    """As many as are wanted, or as there are cores; alone the work is the same."""
    found = list(crew.spread(str, [1, 2], files=files, workers=workers))
    assert found == [(1, "1"), (2, "2")]
    assert asked == processes


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs affinity")
def test_cores_are_those_this_process_may_use(monkeypatch):
    """Not all the machine has; where the system can't say, these, and one at least."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert crew.cores() == 7
    monkeypatch.delattr(os, "sched_getaffinity")
    assert crew.cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert crew.cores() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
@pytest.mark.parametrize(("threads", "way"), [(1, "fork"), (2, "spawn")])
def test_beside_threads_processes_are_started_anew(monkeypatch, threads, way):
    """A forked one may inherit a lock that nobody will release."""
    ways, real = [], multiprocessing.get_context
    monkeypatch.setattr(threading, "active_count", lambda: threads)
    monkeypatch.setattr(
        multiprocessing, "get_context", lambda name: (ways.append(name), real(name))[1]
    )
    pool = crew._pool(2)
    assert ways == [way]
    if pool is not None:
        pool.shutdown()
