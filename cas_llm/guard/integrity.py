"""`cas-llm-verify`: whether the store that is about to be is what it says, file by file.

Of a commit the files that it touches are proved, and that what they name is there; of a push those
of all its commits together; where somebody just asks, the whole staged store. The proof itself is
`store.proof`, reading git's blobs; here is what only a change can be wrong with: a file edited in
place, one deleted while it is needed, one that was not added.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from cas_llm import gitrepo
from cas_llm.guard.checks import checks
from cas_llm.guard.defined import Definitions
from cas_llm.guard.deleted import Deletions
from cas_llm.guard.staged import Change, Staged, store_of
from cas_llm.guard.stored import Stored
from cas_llm.guard.touched import damage, is_right, modes, restore, sizes
from cas_llm.store import layout
from cas_llm.store.proof import census as census_of
from cas_llm.store.proof.census import ERROR, INFO, Finding
from cas_llm.store.proof.verify import verify
from cas_llm.store.pruning.live import files
from cas_llm.store.pruning.trees import is_tape, shared_entry

_MISSING = frozenset({"CAS010", "CAS011", "CAS012"})
_DAMAGED = frozenset({"CAS020", "CAS021"})
_OWN = frozenset({"CAS001", "CAS002", "CAS003"})
# `cas-llm-stale` says these.
_ELSEWHERE = frozenset({"CAS013", "CAS040"})
_ANY = f"{layout.OBJECTS}/x.json"
_MUST_BE_UNSET = ("text", "merge")
_ATTRIBUTES = (*_MUST_BE_UNSET, "ident", "filter", "working-tree-encoding")


def judge(staged: Staged) -> list[Finding]:
    """What is wrong with the stores that *staged* touches, or with all if nothing is changed."""
    look = staged.whole() if staged.asks else staged
    found: list[Finding] = list(_conflicts(look))
    if look.stores:
        found += _attributes(look)
        tests = Definitions(look)
        for folder, changes in look.stores.items():
            stored = Stored(look, folder)
            stored.fetch(one.new for one in changes if one.is_file)
            try:
                found += _Store(stored, changes, tests, is_whole=look is not staged).findings()
            finally:
                stored.close()
    # What the store's own file lacks is the cause of what its recordings lack.
    lacks = {one.path for one in found if one.code == "CAS002"}
    return [one for one in found if one.code != "CAS054" or one.path not in lacks]


class _Store:
    """One store and what changes in it."""

    def __init__(
        self, stored: Stored, changes: Iterable[Change], tests: Definitions, *, is_whole: bool
    ) -> None:
        self._stored = stored
        self._staged = stored.staged
        self._changes = {stored.name(change.path): change for change in changes}
        self._tests = tests
        self._is_whole = is_whole

    def findings(self) -> Iterator[Finding]:
        """All that is wrong, deletions last."""
        changes = self._changes.values()
        if self._stored.names:
            yield from modes(changes)
            yield from sizes(self._stored, changes)
            yield from self._proof()
        yield from Deletions(self._stored, changes, self._tests).findings()

    def _proof(self) -> Iterator[Finding]:
        """What `store.proof` says of the files that change, with git's words for it."""
        stored = self._stored
        census = census_of.of_names(stored.place, stored.names, stored)
        only = None if self._is_whole else self._concerned()
        # Secrets are looked for by `cas-llm-secrets`, in the same commit: once is enough.
        proofs = replace(checks(noted=False), secret_in=lambda _: "")
        for found in verify(stored.place, proofs, census=census, source=stored, only=only):
            if found.code in _ELSEWHERE:
                continue
            change = self._changes.get(found.path)
            if found.code in _MISSING and found.path not in stored.names:
                # What is deleted here is told with who needs it.
                if change is None:
                    yield self._missing(found)
            elif found.code in _OWN:
                yield self._own(found)
            elif change is not None and change.is_file:
                yield self._told(found, change)

    def _told(self, found: Finding, change: Change) -> Finding:
        if found.code in _DAMAGED:
            return damage(self._stored, change, found)
        command = found.command
        if found.code == "CAS004":
            command = f"git rm --cached -- {shlex.quote(change.path)}"
        elif command == census_of.REPAIR and not self._is_whole:
            command = restore(self._staged, change.path) if change.old else command
        return replace(found, path=change.path, command=command)

    def _own(self, found: Finding) -> Finding:
        """A file that the store explains itself with."""
        change = self._changes.get(found.path)
        path = self._stored.path(found.path)
        command = found.command
        if change is not None and change.old and not self._is_whole:
            command = restore(self._staged, path)
        elif (self._staged.top / path).is_file():
            command = f"git add -- {shlex.quote(path)}"
        command = command if found.severity != INFO else ""
        return replace(found, path=path, command=command)

    def _missing(self, found: Finding) -> Finding:
        """What an entry names and the tree does not hold: most often it was not added."""
        path = self._stored.path(found.path)
        command = found.command
        try:
            is_there = is_right(path, (self._staged.top / path).read_bytes())
        except OSError:
            is_there = False
        tests = " ".join(shlex.quote(test) for test in found.tests)
        what, why = found.what.replace("is missing", "is not in git"), found.why
        if is_there:
            what = found.what.replace("is missing", "is not added")
            why = f"{found.why}; the file lies in the work tree"
            command = f"git add -- {shlex.quote(self._stored.folder)}"
        elif found.severity == ERROR and tests:
            command = f"cas-llm verify --repair, or record it: pytest {tests} --cas-llm=fallback"
        return replace(found, path=path, what=what, why=why, command=command)

    def _concerned(self) -> frozenset[str]:
        """The files that change, and those that they are held against: what entries name."""
        changed = [name for name, change in self._changes.items() if not change.is_deletion]
        tapes = (tape for _, tape in self._stored.tapes(filter(is_tape, changed)))
        named = {(turn.key, turn.digest) for tape in tapes for turn in tape.turns}
        named |= {(one.key, one.digest) for one in filter(None, map(shared_entry, changed))}
        return frozenset(changed) | files(named, lambda _name: {})


def _conflicts(staged: Staged) -> Iterator[Finding]:
    known: dict[str, str | None] = {}
    for path in staged.conflicts:
        if store_of(staged.top, path, known) is not None:
            why, command = "a merge is not finished", "cas-llm resolve"
            yield Finding("CAS055", ERROR, path, "is in conflict", why, command)


def _attributes(staged: Staged) -> Iterator[Finding]:
    """Attributes by which git would convert or merge recordings, wherever they are said."""
    places = [
        _joined(root, _ANY)
        for root, changes in staged.stores.items()
        if any(c.new for c in changes)
    ]
    said = gitrepo.run_git(staged.top, "check-attr", "--cached", *_ATTRIBUTES, "--", *places)
    for line in (said or b"").decode("utf-8", "replace").splitlines():
        place, name, value = line.rsplit(": ", 2)
        if value != "unset" and (name in _MUST_BE_UNSET or value != "unspecified"):
            what = f"gives recordings the attribute {name} = {value}"
            why = "git would convert or merge them: a .gitattributes or .git/info says so"
            command = f"git check-attr -a --cached -- {shlex.quote(place)}"
            path = f"{place.removesuffix(_ANY)}.gitattributes"
            yield Finding("CAS054", ERROR, path, what, why, command)


def _joined(root: str, name: str) -> str:
    return name if root == "." else f"{root}/{name}"
