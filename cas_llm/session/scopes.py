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
from typing import Any, NamedTuple

from cas_llm.session.misses import Problem
from cas_llm.session.runs import Run
from cas_llm.session.sources import source_digest
from cas_llm.store import Answer, Store, Tape
from cas_llm.store.pending import Waiting
from cas_llm.store.pick import Served

SHARED = "shared"
_OPENINGS = itertools.count(1)


class Kind(Enum):
    """What a scope is."""

    TEST = "test"
    FIXTURE = "fixture"
    BLOCK = "block"
    SHARED = "shared"


class Use(NamedTuple):
    """One answer a scope was given: which ask of which request, and what a tape says of it.

    `tape` is the digest of the tape that it was found on.
    """

    order: int
    key: str
    ordinal: int
    digest: str
    ask: tuple[str, ...]
    answer: tuple[str, ...]
    fresh: bool
    body: Any = None
    within: tuple[tuple[str, str], ...] = ()
    tape: str = ""


@dataclass(eq=False)
class Scope:
    """One opening of a scope in one process family.

    `name` is the tape's identity; `owner` tells this opening from others of the same name, and is
    what child processes inherit. `origin` is the file and first line of the test function.
    `unanswered` are the hosts that a call was made to and that broke off, each with its last error.
    `served` only grows or is replaced, so that other threads may read it without a lock.
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
    mocks: dict[str, Answer] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Not id(): a later scope may get a dead one's, and with it the claims it left.
        self.owner = self.owner or f"{self.name}#{os.getpid()}#{next(_OPENINGS)}#{self.attempt}"
        self.lock = threading.RLock()
        self._held = set(self.served)
        self._taken: dict[str, set[int]] = {}
        self._pid = os.getpid()
        self._bodies = itertools.count(1)
        self._home: Scope | None = None
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

    @property
    def home(self) -> Scope:
        """The scope whose call of a function this one lies within, else this one."""
        return self._home or self

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
        """Pending answers of earlier runs that this scope may have.

        One that a power loss took a part of is as good as none.
        """
        if self._waiting is None:
            self._waiting = [
                waiting
                for waiting in store.pending.of_scope(self.name)
                if store.objects.has(waiting.digest)
                or store.pending.is_whole(waiting.run, waiting.digest)
            ]
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

    def give_back(self, run: Run, key: str, number: int, *, claimed: bool = True) -> None:
        """Let the next ask of *key* have the number *number*; *claimed* as it was taken."""
        with self.lock:
            self._taken.get(key, set()).discard(number)
        if claimed and run.started:
            run.unclaim(self.owner, key, number)

    def use(self, use: Use) -> None:
        """Note an answer the scope was given."""
        with self.lock:
            place = (use.key, use.ordinal)
            served = (*place, use.digest)
            if place in self.uses and use.fresh and served not in self._held:
                # Recorded anew after it was served: the tape holds what the scope got last.
                self.served = [other for other in self.served if other[:2] != place]
                self._held = set(self.served)
                del self.uses[place]
            self.uses.setdefault(place, use)
            if served not in self._held:
                self._held.add(served)
                self.served.append(served)
            if use.fresh:
                self.recorded.setdefault(use.key, {})[use.ordinal] = use.digest

    def body(self) -> Scope:
        """A scope for the requests that the body of a function makes, counted by themselves.

        They belong to the same tape and wait for the same scope to pass; `enclose` notes them.
        Shared scopes and those of another process have no tape here, so theirs is the same scope.
        """
        if self.kind is Kind.SHARED or self.joined:
            return self
        with self.lock:
            owner = f"{self.owner}/{next(self._bodies)}"
        inner = Scope(
            self.name, self.kind, self.origin, self.locked, self.attempt, self.staged, owner
        )
        inner.problems, inner._home = self.problems, self.home
        return inner

    def enclose(self, key: str, inner: Scope) -> None:
        """Note what the body *inner* used as lying within the call *key*, and close it."""
        if inner is self:
            return
        inner.closed = True
        within = [call for use in inner.in_order() for call in ((use.key, use.digest), *use.within)]
        with self.lock:
            use = self.uses.get((key, 1))
            if use is not None:
                self.uses[key, 1] = use._replace(within=tuple(dict.fromkeys(within)))

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
