"""What makes an entry of a store stale: tapes and shared entries, and what none of them names.

Each rule is told which files to judge, and gives for each finding the rule it broke.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from cas_llm import gitrepo
from cas_llm.guard.defined import Definitions
from cas_llm.guard.staged import HEAD
from cas_llm.guard.stored import Stored, digest_of, stem_of
from cas_llm.store import pick
from cas_llm.store.pick import Shared
from cas_llm.store.pruning import live
from cas_llm.store.pruning.live import UNKNOWN, CompleteRun
from cas_llm.store.pruning.trees import is_tape, shared_entry
from cas_llm.store.tape import Tape

PRUNE = "cas-llm prune --apply"
DAY = 24 * 3600.0

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_UNMENTIONED = "its key record, answer or part replays for nobody"


@dataclass(frozen=True)
class Stale:
    """A file that is stale by `rule`; `path` is in the store, `tests` those that it concerns."""

    rule: str
    code: str
    path: str
    what: str
    why: str
    command: str
    tests: tuple[str, ...] = ()


class Takes:
    """The entries of *stored*, as *run*, the last complete run, and the texts of tests see them.

    Of tapes only those whose paths begin with one of *near*, where that is given.
    """

    def __init__(
        self,
        stored: Stored,
        tests: Definitions,
        run: CompleteRun = UNKNOWN,
        near: frozenset[str] | None = None,
    ) -> None:
        self._stored = stored
        self._tests = tests
        self._run = run
        self._near = near

    @cached_property
    def tapes(self) -> Mapping[str, Tape]:
        """The tapes by their paths: all, or those of the scopes that are *near*."""
        names = filter(is_tape, self._stored.names)
        near = self._near
        return dict(self._stored.tapes(n for n in names if near is None or stem_of(n) in near))

    @cached_property
    def shared(self) -> Mapping[str, Shared]:
        """All shared entries by their paths."""
        entries = ((name, shared_entry(name)) for name in self._stored.names)
        return {name: entry for name, entry in entries if entry}

    @cached_property
    def dead(self) -> Mapping[str, str]:
        """The entries that `prune` would take, and why."""
        return live.dead(live.Entries(self.tapes, self.shared), self._run)

    def unused(self, names: Collection[str]) -> Iterator[Stale]:
        """Key records, answers and parts among *names* that no entry leads to."""
        idle = {digest: name for name in names if (digest := digest_of(name))}
        # What is added with them names nearly all, so that the others need not be read.
        order = [*names, *self._stored.names]
        inner = [name for name in order if digest_of(name) and name.endswith(".json")]
        for name in order:
            if idle and name.startswith("manifest/"):
                _take_off(idle, self._mentions(name))
        for name in inner:
            if idle and digest_of(name) not in idle:
                _take_off(idle, self._mentions(name))
        for name in idle.values():
            yield Stale("unused", "CAS080", name, "nothing names it", _UNMENTIONED, PRUNE)

    def gone(self, names: Iterable[str]) -> Iterator[Stale]:
        """Tapes among *names* of tests that are no longer there."""
        for name, tape in self._among(names):
            by_run = name in self.dead and self.dead[name] == live.GONE
            there = self._tests.has(tape.scope, self._stored.folder)
            if there is not False and not (by_run and there is None):
                continue
            path = shlex.quote(self._stored.path(name))
            file = tape.scope.partition("::")[0]
            why = "no test replays from it; if the test was renamed, first write its own tape "
            why += f"without a call: pytest {shlex.quote(file)} --cas-llm=fallback"
            command = PRUNE if by_run else f"git rm -- {path}"
            what = f"its test is gone: {tape.scope}"
            yield Stale("gone", "CAS081", name, what, why, command, (tape.scope,))

    def superseded(self, now: float, grace_days: float) -> Iterator[Stale]:
        """Entries that another take stands before for longer than *grace_days*."""
        waiting = {name: why for name, why in self.dead.items() if why != live.GONE}
        if not waiting:
            return
        added = self._added()
        for name, why in waiting.items():
            when = [added[rival] for rival in self._rivals(name) if rival in added]
            if when and now - min(when) > grace_days * DAY:
                age = int((now - min(when)) // DAY)
                because = f"{why}, since {age} days; branches had time to take it over"
                yield Stale("superseded", "CAS082", name, "is superseded", because, PRUNE)

    def tied(self, names: Collection[str] | None) -> Iterator[Stale]:
        """Tapes, of which one is among *names*, that are equal in source and take."""
        scopes: dict[str, dict[str, Tape]] = {}
        places = {tape.digest: name for name, tape in self.tapes.items()}
        for tape in self.tapes.values():
            scopes.setdefault(tape.scope, {})[tape.digest] = tape
        for scope, own in scopes.items():
            for group in pick.ties(list(own.values())) if len(own) > 1 else ():
                used, *others = (places[tape.digest] for tape in group)
                if names is None or not {used, *others}.isdisjoint(names):
                    last = ", ".join(other.rpartition("/")[2] for other in others)
                    why = f"two branches recorded {scope}; nobody chose the one that is used"
                    command = f"pytest {shlex.quote(scope)} --cas-llm=capture, or git rm -f -- "
                    command += shlex.quote(self._stored.path(others[0]))
                    what = f"ties with {last}"
                    yield Stale("tied", "CAS040", used, what, why, command, (scope,))

    # -- small questions -----------------------------------------------------------------------

    def _among(self, names: Iterable[str]) -> Iterator[tuple[str, Tape]]:
        return ((name, self.tapes[name]) for name in names if name in self.tapes)

    def _mentions(self, name: str) -> Iterator[str]:
        if entry := shared_entry(name):
            yield from (entry.key, entry.digest)
        elif is_tape(name) or digest_of(name):
            data = self._stored.blob(self._stored.names[name])
            yield from (word.decode() for word in _DIGEST.findall(data))

    def _rivals(self, name: str) -> Iterator[str]:
        """The live entries that stand before the dead one *name*."""
        if tape := self.tapes.get(name):
            alike = (rival for rival, one in self.tapes.items() if one.scope == tape.scope)
        else:
            key = self.shared[name].key
            alike = (rival for rival, one in self.shared.items() if one.key == key)
        return (rival for rival in alike if rival not in self.dead)

    def _added(self) -> Mapping[str, float]:
        """When each entry was committed, in seconds since 1970; the last time it was added."""
        staged = self._stored.staged
        tip, folder = staged.commit or HEAD, self._stored.path("manifest")
        words = ("log", "--diff-filter=A", "--no-renames", "--name-only", "--format=%x01%ct", "-z")
        said = gitrepo.run_git(staged.top, *words, tip, "--", folder) or b""
        found: dict[str, float] = {}
        moment = 0.0
        for word in said.decode("utf-8", "surrogateescape").split("\0"):
            text = word.strip("\n")
            if text.startswith("\1"):
                time, _, text = text[1:].partition("\n")
                moment = float(time)
            if text:
                found.setdefault(self._stored.name(text), moment)
        return found


def _take_off(idle: dict[str, str], words: Iterable[str]) -> None:
    for word in words:
        idle.pop(word, None)
