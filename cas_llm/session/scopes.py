"""A scope: whose requests belong together and are counted together."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from cas_llm.session.misses import Problem
from cas_llm.session.runs import Run
from cas_llm.session.sources import source_digest
from cas_llm.store import Store, Tape
from cas_llm.store.pending import Waiting
from cas_llm.store.pick import Served

SHARED = "shared"


class Kind(Enum):
    """What a scope is."""

    TEST = "test"
    FIXTURE = "fixture"
    BLOCK = "block"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Use:
    """One answer a scope was given: which ask of which request, and what a tape says of it."""

    order: int
    key: str
    ordinal: int
    digest: str
    ask: tuple[str, ...]
    answer: tuple[str, ...]
    fresh: bool
    body: Any = None
    within: tuple[tuple[str, str], ...] = ()


@dataclass(eq=False)
class Scope:
    """One opening of a scope in one process family.

    `name` is the tape's identity; `owner` tells this opening from others of the same name, and is
    what child processes inherit. `origin` is the file and first line of the test function.
    """

    name: str = SHARED
    kind: Kind = Kind.SHARED
    origin: tuple[str, int] | None = None
    locked: bool = False
    attempt: int = 1
    staged: bool = False
    owner: str = ""
    closed: bool = False
    served: list[Served] = field(default_factory=list)
    uses: dict[tuple[str, int], Use] = field(default_factory=dict)
    recorded: dict[str, dict[int, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.owner = self.owner or f"{self.name}#{os.getpid()}#{id(self)}#{self.attempt}"
        self.lock = threading.RLock()
        self._taken: dict[str, set[int]] = {}
        self._pid = os.getpid()
        self._tapes: tuple[Tape, ...] | None = None
        self._waiting: list[Waiting] | None = None

    @property
    def is_test(self) -> bool:
        """Whether this is a test's own scope."""
        return self.kind is Kind.TEST

    @property
    def joined(self) -> bool:
        """Whether another process opened the scope, and so writes its tape."""
        return self._pid != os.getpid()

    @cached_property
    def source(self) -> str:
        """The digest of the test function's own text, empty where there is none."""
        return source_digest(*self.origin) if self.origin else ""

    def tapes(self, store: Store) -> tuple[Tape, ...]:
        """The scope's own tapes, as they were when it first asked."""
        if self._tapes is None:
            self._tapes = () if self.kind is Kind.SHARED else store.manifest.tapes_of(self.name)
        return self._tapes

    def waiting(self, store: Store) -> Sequence[Waiting]:
        """Pending answers of earlier runs that this scope may have."""
        if self._waiting is None:
            self._waiting = store.pending.of_scope(self.name)
        return self._waiting

    def take(self, run: Run, key: str, *, claimed: bool) -> tuple[int, int]:
        """The number of this ask of *key*, and its place among all asks of the scope.

        With *claimed* the number is the only one in the whole run; it is given back with
        `give_back` if nothing comes of it.
        """
        with self.lock:
            taken = self._taken.setdefault(key, set())
            for number in itertools.count(1):
                if number not in taken and (not claimed or run.claim(self.owner, key, number)):
                    taken.add(number)
                    # The same clock in all processes of the machine, so that a child's requests
                    # take their place among the parent's.
                    return number, time.monotonic_ns()
        raise AssertionError("unreachable")

    def claim(self, run: Run, key: str, number: int) -> int:
        """The number of this ask among all processes of the scope, *number* or a later one."""
        with self.lock:
            while not run.claim(self.owner, key, number):
                number += 1
            self._taken.setdefault(key, set()).add(number)
        return number

    def give_back(self, run: Run, key: str, number: int) -> None:
        """Let the next ask of *key* have the number *number*."""
        with self.lock:
            self._taken.get(key, set()).discard(number)
        if run.started:
            run.unclaim(self.owner, key, number)

    def use(self, use: Use) -> None:
        """Note an answer the scope was given."""
        with self.lock:
            self.uses.setdefault((use.key, use.ordinal), use)
            served = (use.key, use.ordinal, use.digest)
            if served not in self.served:
                self.served.append(served)
            if use.fresh:
                self.recorded.setdefault(use.key, {})[use.ordinal] = use.digest

    def in_order(self) -> list[Use]:
        """What the scope used, in the order the requests began."""
        with self.lock:
            return sorted(self.uses.values(), key=lambda use: use.order)

    def describe(self) -> Mapping[str, Any]:
        """What a child process needs to belong to this scope."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "origin": self.origin,
            "locked": self.locked,
            "attempt": self.attempt,
            "staged": self.staged,
            "owner": self.owner,
        }

    @classmethod
    def join(cls, description: Mapping[str, Any]) -> Scope:
        """The scope a parent process described."""
        values = dict(description)
        kind, origin = Kind(values.pop("kind")), values.pop("origin")
        scope = cls(kind=kind, origin=tuple(origin) if origin else None, **values)
        scope._pid = -1
        return scope
