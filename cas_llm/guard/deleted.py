"""Whether what a commit deletes from a store may go: it must be dead, and nothing may name it.

An entry is dead by the rule of `store.pruning.live`, if its test is gone, or if another recording
of the same rank takes its place. Key records, answers and parts may go once nothing names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from cas_llm.guard.defined import Definitions
from cas_llm.guard.staged import Change, Staged
from cas_llm.guard.stored import Stored, digest_of, stem_of, tapes_in
from cas_llm.guard.touched import restore
from cas_llm.guard.used import last_run
from cas_llm.store import layout
from cas_llm.store.pick import Shared
from cas_llm.store.proof.census import ERROR, WARNING, Finding
from cas_llm.store.pruning import live
from cas_llm.store.pruning.trees import is_tape, shared_entry
from cas_llm.store.tape import Tape

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_ANSWER = b'{\n  "format": "cas-llm/answer/'
_MEANT = "if it is meant: SKIP=cas-llm-verify git commit"


class Deletions:
    """The deletions in *stored*: a question each for what was named and for what named it."""

    def __init__(self, stored: Stored, changes: Iterable[Change], tests: Definitions) -> None:
        self._stored = stored
        self._tests = tests
        self._gone = {stored.name(one.path): one.old for one in changes if one.is_deletion}

    def findings(self) -> Iterator[Finding]:
        """Each file that may not go, and why."""
        if not self._gone:
            return
        if not self._stored.names:
            if not self._moved():
                yield self._all_gone()
            return
        yield from self._named()
        yield from self._entries()

    # -- key records, answers, parts ----------------------------------------------------------

    def _named(self) -> Iterator[Finding]:
        gone = {found: name for name in self._gone if (found := digest_of(name))}
        named: dict[str, list[str]] = {}
        for path in self._naming(gone.values()):
            for word in gone.keys() & _named_in(path, self._stored):
                named.setdefault(word, []).append(path)
        for digest, by in sorted(named.items()):
            name, first = gone[digest], min(by)
            code, what = _kind(name, first)
            tests = tuple(dict.fromkeys(filter(None, map(self._scope, sorted(by)))))
            why = f"{_shown(tests) if tests else first} still needs it"
            path = self._stored.path(name)
            command = restore(self._stored.staged, path)
            yield Finding(code, ERROR, path, f"is deleted: {what}", why, command, tests)

    def _naming(self, names: Iterable[str]) -> Iterator[str]:
        """The files of the store that may name what went at *names*."""
        may_be_part = any(self._may_be_part(name) for name in names)
        for name in self._stored.names if names else ():
            if name.startswith("manifest/") or (may_be_part and name.endswith(".json")):
                yield name

    def _may_be_part(self, name: str) -> bool:
        if not name.startswith(f"{layout.OBJECTS}/"):
            return False
        return not name.endswith(".json") or not self._old(name).startswith(_ANSWER)

    def _scope(self, name: str) -> str:
        """The scope of the tape *name*; empty where it is none."""
        return next(
            (tape.scope for _, tape in self._stored.tapes([name] if is_tape(name) else [])), ""
        )

    # -- entries ------------------------------------------------------------------------------

    def _entries(self) -> Iterator[Finding]:
        tapes = dict(tapes_in((name, self._old(name)) for name in self._gone if is_tape(name)))
        shared = {name: entry for name in self._gone if (entry := shared_entry(name))}
        if not tapes and not shared:
            return
        here = self._rivals(tapes, shared)
        before = live.Entries({**here.tapes, **tapes}, {**here.shared, **shared})
        run = last_run(self._stored.staged.top / self._stored.folder)
        dead = live.dead(before, run)
        for name, one in sorted(tapes.items()):
            used = one.digest in run.tapes
            if name not in dead and not self._may_go(one, here.tapes.values(), used=used):
                what = f"is deleted, and {one.scope} still replays from it"
                yield self._in_use(name, what, (one.scope,))
        for name, entry in sorted(shared.items()):
            kept = any(other[:4] == entry[:4] for other in here.shared.values())
            if name not in dead and not kept:
                what = f"is deleted, and it answers the request {entry.key[:12]} outside of tests"
                yield self._in_use(name, what, ())

    def _may_go(self, one: Tape, others: Iterable[Tape], *, used: bool) -> bool:
        """Whether another tape takes the place of *one*, or its test is gone.

        Where no run is known to have *used* it, a later take of the same text does: what the
        lower one alone holds is asked no more, or `cas-llm-replayable` finds out.
        """
        own = [other for other in others if other.scope == one.scope]
        if any((other.source, other.take) == (one.source, one.take) for other in own):
            return True  # one of a tie
        if not used and any(o.source == one.source and o.take > one.take for o in own):
            return True
        return self._tests.has(one.scope, self._stored.folder) is False

    def _in_use(self, name: str, what: str, tests: tuple[str, ...]) -> Finding:
        path = self._stored.path(name)
        why = f"only what nothing replays from may go, as cas-llm prune finds it; {_MEANT}"
        return Finding("CAS061", ERROR, path, what, why, restore(self._staged, path), tests)

    def _rivals(self, tapes: dict[str, Tape], shared: dict[str, Shared]) -> live.Entries:
        """What stays of the scopes and of the requests that something was deleted of."""
        stems = {stem_of(name) for name in tapes}
        keys = {entry.key for entry in shared.values()}
        near = [name for name in self._stored.names if is_tape(name) and stem_of(name) in stems]
        kept = self._stored.tapes(near)
        entries = ((name, shared_entry(name)) for name in (self._stored.names if keys else ()))
        return live.Entries(
            dict(kept), {name: entry for name, entry in entries if entry and entry.key in keys}
        )

    # -- all of it ----------------------------------------------------------------------------

    def _moved(self) -> bool:
        """Whether another store gets all that this one loses."""
        for folder, changes in self._staged.stores.items():
            start = 0 if folder == "." else len(folder) + 1
            there = {(one.path[start:], one.new) for one in changes if one.new}
            if folder != self._stored.folder and there >= set(self._gone.items()):
                return True
        return False

    def _all_gone(self) -> Finding:
        answers = sum(name.startswith(f"{layout.OBJECTS}/") for name in self._gone)
        tapes = sum(is_tape(name) for name in self._gone)
        what = f"is deleted as a whole: {answers} recorded files, {tapes} tapes"
        why = "every test that replays from it will ask its provider, or fail"
        folder = self._stored.folder
        return Finding("CAS064", WARNING, folder, what, why, restore(self._staged, folder))

    @cached_property
    def _staged(self) -> Staged:
        return self._stored.staged

    def _old(self, name: str) -> bytes:
        return self._stored.blob(self._gone[name])


def _named_in(name: str, stored: Stored) -> set[str]:
    """The digests and keys that the file *name* holds, a shared entry in its own name."""
    if entry := shared_entry(name):
        return {entry.key, entry.digest}
    own = digest_of(name)
    words = {word.decode() for word in _DIGEST.findall(stored.blob(stored.names[name]))}
    return words - {own}


def _kind(name: str, by: str) -> tuple[str, str]:
    digest = digest_of(name)[:12]
    if name.startswith(f"{layout.REQUESTS}/"):
        return "CAS011", f"the key record {digest}"
    if by.startswith("manifest/"):
        return "CAS010", f"the answer {digest}"
    return "CAS012", f"the part {digest}"


def _shown(tests: tuple[str, ...]) -> str:
    return tests[0] if len(tests) == 1 else f"{tests[0]} and {len(tests) - 1} more"
