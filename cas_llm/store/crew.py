"""Work that is the same for many files, over as many processes as there are cores.

Results come in the order of the items, whoever did the work. Where there is little to do, or no
process can be started, the process does it itself; so it does with what is left when a worker was
killed. Workers end with the process that started them, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
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
    pool = _pool(count) if count > 1 else None
    left = iter(items)
    asked: deque[Item] = deque()
    if pool is not None:
        with pool:
            try:
                yield from _through(pool, work, left, asked, ahead=_AHEAD * count)
            except BrokenProcessPool:
                pass  # a worker was killed, by whoever needed its memory
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    yield from ((item, work(item)) for item in chain(asked, left))


def _through(
    pool: ProcessPoolExecutor,
    work: Callable[[Item], Result],
    left: Iterator[Item],
    asked: deque[Item],
    *,
    ahead: int,
) -> Iterator[tuple[Item, Result]]:
    """Each item *left* with its result; *asked* are those whose results were not given yet."""
    waiting: deque[Future[Result]] = deque()
    for item in left:
        asked.append(item)
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            result = waiting.popleft().result()
            yield asked.popleft(), result
    while waiting:
        result = waiting.popleft().result()
        yield asked.popleft(), result


def _pool(count: int) -> ProcessPoolExecutor | None:
    """Workers, or None where this process may have none."""
    if multiprocessing.current_process().daemon:
        return None  # itself a worker of a pool, which must have no children
    # A process forked beside threads may inherit a lock that nobody will release.
    alone = threading.active_count() == 1 and "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if alone else "spawn")
    try:
        return ProcessPoolExecutor(count, context, initializer=_begin)
    except (ImportError, NotImplementedError, OSError):
        return None  # no semaphores: a sandbox, or a system without shared memory


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begin() -> None:
    # The parent tells who waits; a child's traceback beside that would only confuse.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when its parent was killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
