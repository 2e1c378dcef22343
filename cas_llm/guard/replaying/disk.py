"""What of the work tree is not as it is staged: tests run there, and only what is staged counts.

Asks git, and compares what git was told to overlook; writes nothing, not even git's index.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from cas_llm.guard.staged import PLAIN, Staged, changes, paths


class Disk:
    """The work tree of *staged*, file by file as it differs from the tree that counts."""

    def __init__(self, staged: Staged) -> None:
        self._staged = staged

    def edited(self, folder: str = ".") -> frozenset[str]:
        """The paths of what lies below *folder* on disk in other bytes than in the tree.

        Also where git was told to overlook it; but not what a sparse checkout left out.
        """
        tree = filter(None, [self._staged.commit])
        words = ("--raw", "-z", "--no-abbrev", "--no-renames", "--", folder)
        found: set[str] = set()
        # What git has not read may have a new time only; what it does not look at, anything.
        asked = {
            p: self._names.get(p, "") for p in self._overlooked_in(folder) if self._is_there(p)
        }
        for change, how in changes(self._staged.git("diff", *tree, *words)):
            unread = how == "M" and not change.new
            if unread and change.mode == change.was and change.mode in PLAIN:
                asked[change.path] = change.old
            else:
                found.add(change.path)
        return self._of_other_bytes(asked).union(found)

    def untracked(self, folder: str = ".", *, ignored: bool = False) -> frozenset[str]:
        """The paths of what lies below *folder* on disk and not in the index."""
        only = () if ignored else ("--exclude-standard",)
        return paths(self._staged.git("ls-files", "-o", "-z", *only, "--", folder))

    def absent(self, folder: str = ".") -> frozenset[str]:
        """The paths below *folder* that are in the tree, and that a sparse checkout left out."""
        return frozenset(one for one in self._overlooked_in(folder) if not self._is_there(one))

    def _overlooked_in(self, folder: str) -> list[str]:
        start = "" if folder == "." else f"{folder}/"
        return [path for path in self._overlooked if path.startswith(start)]

    @cached_property
    def _overlooked(self) -> frozenset[str]:
        """The paths that git does not look at on disk: assumed unchanged, or of no interest."""
        said = self._staged.git("ls-files", "-v", "-z").decode("utf-8", "surrogateescape")
        lines = (line for line in said.split("\0") if line)
        return frozenset(line[2:] for line in lines if line[0] == "S" or line[0].islower())

    def _is_there(self, path: str) -> bool:
        return (self._staged.top / path).is_file()

    def _of_other_bytes(self, blobs: Mapping[str, str]) -> frozenset[str]:
        """Which of the paths in *blobs* git would add under another name than theirs there."""
        # One path a line, and one that starts with a quote is read as an escaped one.
        odd = [path for path in blobs if "\n" in path or path.startswith('"')]
        lines = [path for path in blobs if path not in odd]
        said = b""
        if lines:
            data = "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
            said += self._staged.git("hash-object", "--stdin-paths", data=data)
        if odd:
            said += self._staged.git("hash-object", "--", *odd)
        names = zip([*lines, *odd], said.decode("ascii").split(), strict=True)
        return frozenset(path for path, name in names if name != blobs[path])

    @cached_property
    def _names(self) -> dict[str, str]:
        return dict(self._staged.files("."))
