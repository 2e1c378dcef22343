"""What is about to be committed or pushed, as git has it; the work tree is never looked at.

A commit is the index held against HEAD, a push its last commit held against the commit that it and
the remote have in common. `git commit -a` and `git commit FILE` hand an index of their own to the
hook by ``GIT_INDEX_FILE``, which `gitrepo` honours; an amended commit shows what differs from the
one it replaces. Somebody who just asks, by ``pre-commit run --all-files`` or on CI, cannot be told
from one with files staged, so that these are looked at first and all of the index where nothing is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from cas_llm import gitrepo
from cas_llm.errors import CasLLMError

INDEX = "the index"
HEAD = "HEAD"

_TESTS = re.compile(r"(?:\A|/)(?:test_[^/]*|[^/]*_test|tests|conftest)\.py\Z")
_ABSENT = re.compile(r"0+\Z")
_CONFLICT = "U"
PLAIN = frozenset({"100644", "100755"})
# What git calls a file without a byte, by its two hashes.
EMPTY = frozenset(
    {
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
    }
)
# The blob that says "cas-llm/store/1", by git's two hashes: a store's that is otherwise unknown.
_FORMATS = frozenset(
    {
        "2c0230b913549ab7a129249a93b1003ef9063e2c",
        "7a0dd98391c16c5af8d24fd89bc333d11f9325200ee3003213d6a5883fa45c03",
    }
)
_SHAPE = re.compile(
    r"(?:(?P<root>.+)/)?(?:requests|objects|manifest/shared)/[0-9a-f]{2}/[0-9a-f]{62}\."
    r"|(?:(?P<tapes>.+)/)?manifest/tapes/.+\.\d+\.[0-9a-f]{16}\.json\Z"
)


class NotARepository(CasLLMError):
    """A hook was started outside a git repository, or git does not answer."""


@dataclass(frozen=True)
class Change:
    """One file that the commit adds, changes or deletes.

    `path` is relative to the top; `old` and `new` are blob ids, empty where there is no file;
    `mode` is that of the new one, as git writes it, and `was` that of the old one.
    """

    path: str
    old: str
    new: str
    mode: str = "100644"
    was: str = "100644"

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file from now on: no link, no other repository, not deleted."""
        return bool(self.new) and self.mode in PLAIN

    @property
    def is_deletion(self) -> bool:
        """Whether the file goes."""
        return not self.new


@dataclass(frozen=True)
class Staged:
    """The tree that is about to be: `commit`, or the index where that is empty.

    `top` is the top of the work tree, `base` the commit it is held against: HEAD for the index,
    which may have no commit yet; empty where all counts as new. `is_push` says that commits are
    pushed, `is_commit` that one is being made: neither where somebody just asks.
    """

    top: Path
    base: str = ""
    commit: str = ""
    is_push: bool = False
    is_commit: bool = False

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """All that differs from the base; renames are a deletion and an addition."""
        return tuple(change for change, how in self._differences if how != _CONFLICT)

    @cached_property
    def conflicts(self) -> tuple[str, ...]:
        """The paths that a merge left in conflict: they are in no commit yet."""
        return tuple(change.path for change, how in self._differences if how == _CONFLICT)

    @cached_property
    def _differences(self) -> tuple[tuple[Change, str], ...]:
        """Each change with the letter that git has for its kind."""
        # The index is held against HEAD unless a tree is named, also where there is no commit yet.
        trees = [] if self.base == HEAD else [self.base or _empty_tree(self.top)]
        trees += [self.commit] if self.commit else ["--cached"]
        said = self.git("diff", "--raw", "-z", "--no-renames", "--no-abbrev", *trees)
        return tuple(changes(said))

    @property
    def asks(self) -> bool:
        """Whether nothing is being committed or pushed, so that all of the tree is looked at."""
        return not (self.is_commit or self.is_push or self._differences)

    def whole(self) -> Staged:
        """The same tree held against nothing, so that every file in it is an addition."""
        return replace(self, base="")

    def files(self, folder: str) -> Mapping[str, str]:
        """Path below *folder* to blob id, of all that the tree holds there."""
        found = (
            gitrepo.files_at(self.top, self.commit, folder)
            if self.commit
            else gitrepo.files_in_index(self.top, folder)
        )
        if found is None:
            raise NotARepository(f"git does not list {folder} in {self.commit or INDEX}")
        if not self.commit and not EMPTY.isdisjoint(found.values()):
            start = "" if folder == "." else f"{folder}/"
            found = {name: one for name, one in found.items() if start + name not in self._named}
        return found

    @cached_property
    def _named(self) -> frozenset[str]:
        """The paths that ``git add --intent-to-add`` only named: no commit would hold them."""
        words = ("diff", "--name-only", "--diff-filter=A", "-z")
        return paths(self.git(*words, "--no-renames"))

    def contents(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of each of *blobs*; one question for all of them."""
        return gitrepo.contents(self.top, blobs)

    @cached_property
    def head(self) -> str:
        """The commit that is checked out; empty before the first."""
        return _commit(self.top, "HEAD")

    def mark(self) -> bytes:
        """What is staged and checked out, told from anything else that could be."""
        return self.git("ls-files", "-s", "-z") + _commit(self.top, HEAD).encode("ascii")

    @cached_property
    def stores(self) -> dict[str, tuple[Change, ...]]:
        """The stores that the changes touch, by their folders, each with what changes there."""
        found: dict[str, list[Change]] = {}
        known: dict[str, str | None] = {}
        for change in self.changes:
            folder, _, name = change.path.rpartition("/")
            if name == "format" and not _FORMATS.isdisjoint((change.old, change.new)):
                known[folder] = folder or "."
        for change in self.changes:
            root = store_of(self.top, change.path, known)
            if root is not None:
                found.setdefault(root, []).append(change)
        return {root: tuple(changes) for root, changes in found.items()}

    def git(self, *words: str, data: bytes | None = None) -> bytes:
        """What git says to *words* and *data* at the top; raises `NotARepository` if it says no."""
        said = gitrepo.run_git(self.top, *words, data=data)
        if said is None:
            why = f"git {words[0]} fails in {self.top}; see what it says: git status"
            raise NotARepository(why)
        return said


def of_environment(start: Path, environ: Mapping[str, str]) -> Staged:
    """What the hook was started for, by the variables that git and pre-commit set.

    Raises:
        NotARepository: *start* lies in none.

    """
    top = gitrepo.git_root(start.absolute())
    if top is None:
        raise NotARepository(f"{start.absolute()} lies in no git repository; run: git init")
    target = environ.get("PRE_COMMIT_TO_REF", "")
    if target or environ.get("PRE_COMMIT_REMOTE_NAME"):
        # The first push of a repository names a branch and no commits: all of it goes.
        target = target or environ.get("PRE_COMMIT_LOCAL_BRANCH", "") or HEAD
        commit = _commit(top, target)
        if not commit:
            raise NotARepository(f"git knows no commit {target}; see: git log --all --oneline")
        return Staged(
            top, _common(top, environ.get("PRE_COMMIT_FROM_REF", ""), commit), commit, is_push=True
        )
    return Staged(top, HEAD, is_commit="GIT_INDEX_FILE" in environ)


def store_of(top: Path, path: str, known: dict[str, str | None]) -> str | None:
    """The folder of the store that *path* lies in, ``.`` for the top; None where it lies in none.

    Told by the shape of the path, so that a store is known whose files are all deleted, or else by
    a ``format`` file in a folder above it. What was found out before is taken from *known*.
    """
    if shaped := _SHAPE.match(path):
        return shaped["root"] or shaped["tapes"] or "."
    folder = os.path.dirname(path)  # noqa: PTH120 - texts of git
    trail = []
    found: str | None = None
    while True:
        if folder in known:
            found = known[folder]
            break
        trail.append(folder)
        if _is_store(top / folder):
            found = folder or "."
            break
        if not folder:
            break
        folder = os.path.dirname(folder)  # noqa: PTH120 - texts of git
    known |= dict.fromkeys(trail, found)
    return found


def changed_tests(staged: Staged) -> Iterator[str]:
    """The files of tests and fixtures, by their names, that were there and are changed or go."""
    return (one.path for one in staged.changes if one.old and _TESTS.search(one.path))


def _is_store(folder: Path) -> bool:
    try:
        return (folder / "format").read_bytes()[:13] == b"cas-llm/store"
    except OSError:
        return False


def paths(said: bytes) -> frozenset[str]:
    """The names in what git prints with ``-z``."""
    names = said.decode("utf-8", "surrogateescape").split("\0")
    return frozenset(name for name in names if name)


def changes(said: bytes) -> Iterator[tuple[Change, str]]:
    """What ``git diff --raw -z`` *said*: each change with the letter that git has for its kind."""
    words = iter(said.split(b"\0"))
    for meta in words:
        if not meta:
            return
        was, mode, old, new, how = meta.decode("ascii").removeprefix(":").split()
        path = next(words).decode("utf-8", "surrogateescape")
        yield Change(path, _blob(old), _blob(new), mode, was), how


def _blob(name: str) -> str:
    return "" if _ABSENT.match(name) else name


def _commit(top: Path, name: str) -> str:
    said = gitrepo.run_git(top, "rev-parse", "-q", "--verify", f"{name}^{{commit}}")
    return (said or b"").decode("ascii").strip()


def _common(top: Path, base: str, commit: str) -> str:
    """The commit that *base* and *commit* have in common: what others added since is not undone."""
    if not base or _ABSENT.match(base):
        return ""
    said = gitrepo.run_git(top, "merge-base", base, commit)
    return (said or b"").decode("ascii").strip() or base


def _empty_tree(top: Path) -> str:
    """The id of the tree without files, in the repository's own hash."""
    said = gitrepo.run_git(top, "hash-object", "-t", "tree", "--stdin", data=b"")
    return (said or b"").decode("ascii").strip()
