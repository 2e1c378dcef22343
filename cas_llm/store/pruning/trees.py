"""A store as it lies in several places: on disk, in git's index, in branches, stashes, work trees.

`prune` must know all of them: what one place no longer needs, another may. Reads only, and asks
git a handful of questions for each place, never one a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cas_llm import gitrepo
from cas_llm.errors import StoreError
from cas_llm.store import layout, tape
from cas_llm.store.files import read
from cas_llm.store.manifest import parse_shared
from cas_llm.store.pick import Shared
from cas_llm.store.pruning.live import Entries
from cas_llm.store.tape import Tape

RECENT_SECONDS = 14 * 24 * 3600.0

Contents = Iterator[tuple[str, bytes]]


@dataclass(frozen=True)
class Tree:
    """The files of one store in one place, by their paths in the store.

    `near` places are those that a deletion is made in: the work tree, its index, and the commits
    it will be built on. `read` gives the path and bytes of those it is asked for that are there.
    """

    place: str
    names: frozenset[str]
    near: bool
    read: Callable[[Iterable[str]], Contents] = field(repr=False)

    def entries(self, known: dict[str, Tape]) -> Entries:
        """The manifest of this place; *known* tapes are not read again, and new ones added.

        Raises:
            StoreError: a tape cannot be used, so that nobody knows what it names.

        """
        wanted = {name for name in self.names if is_tape(name)}
        for name, data in self.read(sorted(wanted - known.keys())):
            try:
                known[name] = tape.decode(data, Path(name))
            except StoreError as error:
                raise StoreError(f"{self.place}: {error}", path=Path(name)) from error
        if unread := sorted(wanted - known.keys()):
            name = unread[0]
            raise StoreError(
                f"{self.place}: {name} cannot be read, so that nobody knows what it needs; nothing "
                "was taken out. Mend it first: cas-llm verify --repair",
                path=Path(name),
            )
        shared = {name: entry for name in self.names if (entry := shared_entry(name))}
        return Entries({name: known[name] for name in wanted}, shared)


def on_disk(root: Path, place: str = "the work tree", *, near: bool = True) -> Tree:
    """The store at *root* as its files are now."""

    def contents(names: Iterable[str]) -> Contents:
        for name in names:
            try:
                yield name, read(root / name)
            except OSError:
                continue

    return Tree(place, frozenset(_files(root)), near, contents)


def everywhere(root: Path, now: float, recent: float = RECENT_SECONDS) -> list[Tree]:
    """The store at *root* in each place that may need a recording, the work tree first.

    These are the work tree, its index, HEAD, the default branch here and as it was last fetched;
    and, not near, the stashes, the other work trees with their indices and HEADs, and each branch
    with a commit of the last *recent* seconds before *now*. A merged branch counts as well: one
    that was just begun is no different.

    Raises:
        StoreError: git does not answer, so that nobody knows what other branches need.

    """
    disk, place = on_disk(root), root.resolve()
    top = gitrepo.git_root(place)
    if top is None:
        return [disk]
    return [disk, *_Places(top, place.relative_to(top).as_posix()).all(now, recent)]


class _Places:
    """The trees that git knows of the store in the folder `folder` of the work tree `top`."""

    def __init__(self, top: Path, folder: str) -> None:
        self.top = top
        self.folder = folder
        self._commits: set[str] = set()

    def all(self, now: float, recent: float) -> Iterator[Tree]:
        refs = gitrepo.branches(self.top)
        if refs is None:
            raise _silent(f"list the branches of {self.top}")
        default = gitrepo.default_branch(self.top)
        yield self._index(self.top, "the index", near=True)
        for ref in refs:
            if default and _is_branch(ref.name, default):
                yield from self._commit(ref.commit, ref.name, near=True)
        head = gitrepo.run_git(self.top, "rev-parse", "-q", "--verify", "HEAD^{commit}")
        if head is not None:
            yield from self._commit(head.decode().strip(), "HEAD", near=True)
        own = _short_name(gitrepo.current_branch(self.top))
        # Another branch at the very same commit is a place of its own: it may go on from there.
        self._commits.clear()
        for ref in refs:
            near = _is_branch(ref.name, default) or ref.name == own
            if not near and ref.committed >= now - recent:
                yield from self._commit(ref.commit, ref.name, near=False)
        for number, commit in enumerate(gitrepo.stashes(self.top)):
            yield from self._commit(commit, f"stash {number}", near=False)
        yield from self._worktrees()

    def _worktrees(self) -> Iterator[Tree]:
        for other in gitrepo.worktrees(self.top):
            if other.resolve() == self.top.resolve() or not other.is_dir():
                continue
            yield on_disk(other / self.folder, str(other), near=False)
            yield self._index(other, f"the index of {other}", near=False)
            head = gitrepo.run_git(other, "rev-parse", "-q", "--verify", "HEAD^{commit}")
            if head is not None:
                yield from self._commit(head.decode().strip(), f"HEAD of {other}", near=False)

    def _commit(self, commit: str, place: str, *, near: bool) -> Iterator[Tree]:
        if commit not in self._commits:
            self._commits.add(commit)
            files = gitrepo.files_at(self.top, commit, self.folder)
            yield self._tree(self.top, place, files, near=near)

    def _index(self, top: Path, place: str, *, near: bool) -> Tree:
        return self._tree(top, place, gitrepo.files_in_index(top, self.folder), near=near)

    @staticmethod
    def _tree(top: Path, place: str, files: dict[str, str] | None, *, near: bool) -> Tree:
        if files is None:
            raise _silent(f"read {place}")
        blobs = files

        def contents(names: Iterable[str]) -> Contents:
            wanted: dict[str, list[str]] = {}
            for name in names:
                if name in blobs:
                    wanted.setdefault(blobs[name], []).append(name)
            for blob, data in gitrepo.contents(top, wanted):
                yield from ((name, data) for name in wanted[blob])

        return Tree(place, frozenset(blobs), near, contents)


def _files(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in layout.ASIDE]
        place = Path(folder).relative_to(root).as_posix()
        yield from (name if place == "." else f"{place}/{name}" for name in names)


def is_tape(name: str) -> bool:
    """Whether the store path *name* is a tape's."""
    return name.startswith(f"{layout.TAPES}/") and bool(layout.TAPE_NAME.match(_last(name)))


def shared_entry(name: str) -> Shared | None:
    """The entry that the store path *name* is, or None if it is none."""
    words = name.split("/")
    if len(words) != 4 or not name.startswith(f"{layout.SHARED}/"):
        return None
    return parse_shared(words[2], words[3])


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _is_branch(ref: str, branch: str) -> bool:
    """Whether the full name *ref* is the branch *branch*, here or on a remote."""
    return ref == f"refs/heads/{branch}" or (
        ref.startswith("refs/remotes/") and ref.split("/", 3)[3] == branch
    )


def _short_name(branch: str) -> str:
    return f"refs/heads/{branch}" if branch else ""


def _silent(what: str) -> StoreError:
    return StoreError(f"git does not {what}; nothing was changed. See what it says: git status")
