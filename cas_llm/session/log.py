"""What happened in a run: one entry a call, and the sums people see at the end."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from cas_llm.prices import money
from cas_llm.session.misses import Problem

logger = logging.getLogger("cas_llm")

HIT = "HIT"
MISS = "MISS"
LIVE = "LIVE"
_KEPT = 10_000


class Call(NamedTuple):
    """One request and what became of it; `seconds` it took, `saved` is what a hit spared."""

    outcome: str
    key: str
    api: str
    path: str
    model: str
    scope: str
    seconds: float
    digest: str = ""
    ordinal: int = 0
    status: int = 0
    cost: float | None = None
    saved_seconds: float = 0.0
    from_pending: bool = False
    stored: bool = False

    def __str__(self) -> str:
        name = f"{self.api} {self.path}".strip()
        return f"{self.outcome} {self.key[:12]} {self.seconds * 1000:.1f} ms {name} {self.model}"


@dataclass
class Sums:
    """Counts and money over calls; `unknown` are live calls whose price is not known."""

    served: int = 0
    missed: int = 0
    live: int = 0
    stored: int = 0
    from_pending: int = 0
    spent: float = 0.0
    unknown: int = 0
    saved: float = 0.0
    saved_seconds: float = 0.0

    def add(self, call: Call) -> None:
        """Count one call in."""
        if call.outcome == HIT:
            self.served += 1
            self.saved += call.cost or 0.0
            self.saved_seconds += call.saved_seconds
            self.from_pending += call.from_pending
        elif call.outcome == MISS:
            self.missed += 1
        else:
            self.live += 1
            self.stored += call.stored
            self.spent += call.cost or 0.0
            self.unknown += call.cost is None

    def spent_text(self) -> str:
        """Money spent, with unknown prices said."""
        if not self.unknown:
            return money(self.spent)
        if not self.spent:
            return "unknown"
        return f"{money(self.spent)} and {self.unknown} of unknown price"


@dataclass
class Log:
    """The calls and problems of one process; safe to use from any thread."""

    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=_KEPT))
    problems: list[Problem] = field(default_factory=list)
    sums: Sums = field(default_factory=Sums)
    blocked: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def begin_anew_in_child(self) -> None:
        """Forget, in a forked child, what the parent counted: the parent reports it itself."""
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            self._pid = os.getpid()
            self.calls.clear()
            self.problems.clear()
            self.sums = Sums()
            self.blocked = 0

    def add(self, call: Call) -> None:
        """Note *call*, and say it in one line to the logger ``cas_llm``."""
        with self._lock:
            self.calls.append(call)
            self.sums.add(call)
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s", call)

    def trouble(self, problem: Problem) -> None:
        """Note *problem*."""
        with self._lock:
            self.problems.append(problem)

    def by_model(self) -> Iterator[tuple[str, Sums]]:
        """The sums of each model."""
        found: dict[str, Sums] = {}
        with self._lock:
            for call in self.calls:
                found.setdefault(call.model, Sums()).add(call)
        yield from sorted(found.items())
