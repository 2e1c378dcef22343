"""Work that is the same for many files, over as many processes as there are cores.

Results come in the order of the items, whoever did the work. Where there is little to do the
process does it itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

WORTHWHILE = 4000
"""From so many files on, starting processes costs less than it saves."""

_AHEAD = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    work: Callable[[Item], Result], items: Iterable[Item], *, files: int, workers: int = 0
) -> Iterator[tuple[Item, Result]]:
    """Each of *items* with what *work* makes of it; both must be values that can be pickled.

    *files* is how many files it is about, *workers* of 0 a process for each core.
    """
    count = (workers or cores()) if files >= WORTHWHILE else 1
    if count < 2:
        yield from ((item, work(item)) for item in items)
        return
    # A process forked beside threads may inherit a lock that nobody will release.
    alone = threading.active_count() == 1 and "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if alone else "spawn")
    with ProcessPoolExecutor(count, context, initializer=_begin) as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > _AHEAD * count:
                    done, result = waiting.popleft()
                    yield done, result.result()
            for done, result in waiting:
                yield done, result.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begin() -> None:
    # The parent tells who waits; a child's traceback beside that would only confuse.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
