"""Where what a store no longer holds is remembered: the trash, git's index, HEAD, its history.

Each place is a `Tree` that gives only bytes that fit their names, so that whoever takes a file from
one needs no further proof. Reads only; one `git log` for all of a history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path

from cas_llm import gitrepo
from cas_llm.gitrepo import Change, Commit
from cas_llm.store import layout
from cas_llm.store.pruning import sweep, trees
from cas_llm.store.pruning.trees import Contents, Tree

TRASH = "the trash"
INDEX = "git's index"
HISTORY = "git's history"

_AT_ONCE = 1000
# Branches, what was fetched of them, tags; a stash is nobody's history.
_EVERYWHERE = ("--exclude=refs/stash", "--all", "HEAD")


class Memory:
    """What is remembered of the store at `root`; `top` is the work tree it lies in, if any.

    Every answer is kept: a history is read once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        place = root.resolve()
        self.top = gitrepo.git_root(place)
        self.folder = place.relative_to(self.top).as_posix() if self.top else ""

    @property
    def is_shallow(self) -> bool:
        """Whether part of the history was left out when the repository was cloned."""
        return self.top is not None and gitrepo.is_shallow(self.top)

    def near(self) -> Iterator[Tree]:
        """What was taken out and not committed: the trash, the latest sweep first, index, HEAD."""
        for trash in reversed(sweep.trashed(self.root)):
            yield _fitting(trees.on_disk(trash, TRASH))
        if self.top is not None:
            yield self.tree(INDEX, gitrepo.files_in_index(self.top, self.folder))
            yield self.tree("HEAD", gitrepo.files_at(self.top, "HEAD", self.folder))

    def at(self, revision: str) -> Tree | None:
        """The store as *revision* holds it, or None if git knows no such revision."""
        if self.top is None or revision.startswith("-"):
            return None
        held = gitrepo.files_at(self.top, f"{revision}^{{commit}}", self.folder)
        return None if held is None else self.tree(revision, held)

    @cached_property
    def deletions(self) -> list[Change]:
        """What commits that led here deleted from the store, the newest first."""
        return self._changes(("HEAD",), "D")

    @cached_property
    def changes(self) -> list[Change]:
        """What any commit of any branch did to the store's files, the newest first."""
        return self._changes(_EVERYWHERE, "")

    def of(self, changes: Iterable[Change], place: str = HISTORY) -> Tree:
        """The files that *changes* tell of, whatever bytes of them fit their names."""
        blobs: dict[str, dict[str, None]] = {}
        for change in changes:
            held = dict.fromkeys(blob for blob in (change.after, change.before) if blob)
            blobs.setdefault(change.path, {}).update(held)
        return self.remembered(place, {name: tuple(held) for name, held in blobs.items()})

    def _changes(self, revisions: Sequence[str], kinds: str) -> list[Change]:
        if self.top is None:
            return []
        told = gitrepo.changes(self.top, self.folder, revisions=revisions, kinds=kinds)
        start = "" if self.folder == "." else f"{self.folder}/"
        return [one._replace(path=one.path.removeprefix(start)) for one in told or ()]

    def tree(self, place: str, files: Mapping[str, str] | None) -> Tree:
        """The recordings among *files*, which are store paths to blobs."""
        return self.remembered(place, {name: (blob,) for name, blob in (files or {}).items()})

    def remembered(self, place: str, blobs: Mapping[str, tuple[str, ...]]) -> Tree:
        """The same where a path had several contents: the first that fits it counts."""
        known = {name: held for name, held in blobs.items() if _is_recording(name)}

        def contents(names: Iterable[str]) -> Contents:
            wanted = [(name, blob) for name in names for blob in known.get(name, ())]
            for some in _in_turn(wanted):
                held = dict(gitrepo.contents(self.top or self.root, {blob for _, blob in some}))
                yield from ((name, held[blob]) for name, blob in some if blob in held)

        return _fitting(Tree(place, frozenset(known), near=False, read=contents))


def by_commit(changes: Iterable[Change]) -> Iterator[tuple[Commit, list[Change]]]:
    """*changes* by the commit that made them, in their order."""
    for commit, group in groupby(changes, key=lambda change: change.commit):
        yield commit, list(group)


def _fitting(tree: Tree) -> Tree:
    """*tree*, giving of each name one content that fits it, and no file that is no recording."""

    def contents(names: Iterable[str]) -> Contents:
        given = set()
        for name, data in tree.read(names):
            if name not in given and layout.fits(name, data):
                given.add(name)
                yield name, data

    names = frozenset(name for name in tree.names if _is_recording(name))
    return Tree(tree.place, names, tree.near, contents)


def _is_recording(name: str) -> bool:
    return layout.is_blob(name) or layout.is_entry(name)


def _in_turn(wanted: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """*wanted* in lots whose bytes fit into memory; one name's blobs may be cut apart."""
    rest = iter(wanted)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
