"""One process that holds one variant open and does what it is told, a JSON line a command.

``worker.py build VARIANT ROOT KIND COUNT`` makes the store; ``first`` opens it, asks once and
ends; ``serve`` and ``serve-async`` answer commands on standard input: ``hits K``, ``together K``,
``record K`` give seconds a call, ``facts`` what was missed and how much memory was used.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from asking import UPSTREAM, credential
from payloads import KINDS, Kind
from variants import Variant, variant

TOGETHER = 50
_WARM_SECONDS = 0.7
_WARM_CALLS = 700


class Held:
    """A variant in use: its calls, one after another or many at once."""

    def __init__(self, held: Variant, root: Path, kind: Kind, count: int, *, is_async: bool):
        self.held, self.root, self.kind, self.count = held, root, kind, count
        self.is_async = is_async
        self.chance = random.Random(count)
        self.loop = asyncio.new_event_loop() if is_async else None
        self.call = held.open(root, kind, is_async=is_async)

    def first(self) -> None:
        """Ask for one entry, and check that it is its own answer."""
        number = self.chance.randrange(self.count)
        result = self.call(number)
        if self.loop is not None:
            result = self.loop.run_until_complete(_awaited(result))
        if not self.held.is_right(result, number):
            raise SystemExit(f"asked for entry {number} and got {str(result)[:300]}")

    def warm(self) -> None:
        """Ask until what is read once a process or a folder has been read."""
        until = time.perf_counter() + _WARM_SECONDS
        for _ in range(_WARM_CALLS):
            self.hits(1)
            if time.perf_counter() > until:
                break

    def hits(self, calls: int) -> list[float]:
        """Seconds of each of *calls* hits on entries drawn by chance."""
        numbers = [self.chance.randrange(self.count) for _ in range(calls)]
        if self.loop is not None:
            return self.loop.run_until_complete(self._hits_async(numbers))
        clock, call, found = time.perf_counter, self.call, []
        for number in numbers:
            began = clock()
            call(number)
            found.append(clock() - began)
        return found

    async def _hits_async(self, numbers: list[int]) -> list[float]:
        clock, found = time.perf_counter, []
        for number in numbers:
            began = clock()
            await self.call(number)
            found.append(clock() - began)
        return found

    def together(self, calls: int) -> list[float]:
        """Seconds a call, of groups of concurrent ones."""
        if self.loop is None:
            raise SystemExit("only an async variant can ask for several at once")
        found = []
        for _ in range(max(1, calls // TOGETHER)):
            numbers = [self.chance.randrange(self.count) for _ in range(TOGETHER)]
            began = time.perf_counter()
            self.loop.run_until_complete(self._gathered(numbers))
            found.append((time.perf_counter() - began) / TOGETHER)
        return found

    async def _gathered(self, numbers: list[int]) -> None:
        await asyncio.gather(*(self.call(number) for number in numbers))


class Recording:
    """A variant that records: each call is for an entry nobody has."""

    def __init__(self, held: Variant, root: Path, kind: Kind, count: int) -> None:
        self.record_one = held.recorder(root, kind)
        self.first_new = self.next_new = count
        self.held = held

    def record(self, calls: int) -> list[float]:
        """Seconds of each of *calls* recordings."""
        clock, found = time.perf_counter, []
        for number in range(self.next_new, self.next_new + calls):
            began = clock()
            self.record_one(number)
            found.append(clock() - began)
        self.next_new += calls
        if not self.held.has_recorded(self.next_new - self.first_new):
            raise SystemExit("an answer was not kept")
        return found


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def peak_kib() -> int:
    """The most memory this process held at once."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def main(words: list[str]) -> None:
    """Do what the first word says."""
    doing, name, folder, kind_name, count_text = words
    held, root, kind, count = variant(name), Path(folder), KINDS[kind_name], int(count_text)
    if doing == "build":
        held.build(root, kind, count)
        return
    os.environ.setdefault("OPENAI_API_KEY", credential())
    UPSTREAM.bar_network()
    if doing == "record":
        served: Any = Recording(held, root, kind, count)
        served.record(2)
    else:
        served = Held(held, root, kind, count, is_async=doing == "serve-async")
        served.first()
        if doing != "first":
            served.warm()
    print("ready", flush=True)
    if doing != "first":
        for line in sys.stdin:
            command, calls = line.split()
            if command == "facts":
                answer: Any = {"misses": _missed(doing, held), "peak_kib": peak_kib()}
            else:
                answer = getattr(served, command)(int(calls))
            print(json.dumps(answer), flush=True)
    held.close()


def _missed(doing: str, held: Variant) -> int | None:
    return None if doing == "record" else UPSTREAM.reached + held.missed()


if __name__ == "__main__":
    main(sys.argv[1:])
