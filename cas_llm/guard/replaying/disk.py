"""What of the work tree is not as it is staged: tests run there, and only what is staged counts.

Asks git, and compares what git was told to overlook; writes nothing, not even git's index.
"""

from __future__ import annotations

from functools import cached_property

from cas_llm.guard.staged import Staged, paths

# The modes of plain files, as git writes them.
_FILES = ("100644", "100755")


class Disk:
    """The work tree of *staged*, file by file as it differs from the tree that counts."""

    def __init__(self, staged: Staged) -> None:
        self._staged = staged

    def edited(self, folder: str = ".") -> frozenset[str]:
        """The paths of what lies below *folder* on disk in other bytes than in the tree.

        Also where git was told to overlook it; but not what a sparse checkout left out.
        """
        how = ["diff", *filter(None, [self._staged.commit])]
        words = ("--raw", "-z", "--no-abbrev", "--no-renames", "--", folder)
        found = self._really(self._staged.git(*how, *words))
        there = [path for path in self._overlooked_in(folder) if self._is_there(path)]
        return found.union(path for path in there if self._differs(path))

    def untracked(self, folder: str = ".", *, ignored: bool = False) -> frozenset[str]:
        """The paths of what lies below *folder* on disk and not in the index."""
        only = () if ignored else ("--exclude-standard",)
        return paths(self._staged.git("ls-files", "-o", "-z", *only, "--", folder))

    def absent(self, folder: str = ".") -> frozenset[str]:
        """The paths below *folder* that are in the tree, and that a sparse checkout left out."""
        return frozenset(one for one in self._overlooked_in(folder) if not self._is_there(one))

    def _really(self, raw: bytes) -> frozenset[str]:
        """The paths of git's *raw* diff, without files of which only the time is another."""
        words = raw.decode("utf-8", "surrogateescape").split("\0")
        plain, found = {}, set()
        for about, path in zip(words[::2], words[1::2], strict=False):
            before, after, name, new, _ = about.removeprefix(":").split(" ")
            unread = before == after and before in _FILES and not new.strip("0")
            # One path a line; git takes one in quotes for an escaped one.
            if unread and "\n" not in path and not path.startswith('"'):
                plain[path] = name
            else:
                found.add(path)
        if plain:
            asked = "\n".join(plain).encode("utf-8", "surrogateescape") + b"\n"
            said = self._staged.git("hash-object", "--stdin-paths", data=asked).decode("ascii")
            names = zip(plain.items(), said.split(), strict=True)
            found |= {path for (path, name), now in names if name != now}
        return frozenset(found)

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

    def _differs(self, path: str) -> bool:
        """Whether *path* has other bytes on disk, as git would add them."""
        said = self._staged.git("hash-object", "--", path).decode("ascii").strip()
        return said != self._names.get(path, "")

    @cached_property
    def _names(self) -> dict[str, str]:
        return dict(self._staged.files("."))
