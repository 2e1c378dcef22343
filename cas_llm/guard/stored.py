"""A store as one tree of git holds it: its files' names, and their bytes by blob.

Reads git only, through one process that stays; the work tree is never looked at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path

from cas_llm.errors import StoreError
from cas_llm.gitrepo.blobs import Blobs
from cas_llm.guard.staged import EMPTY, Staged
from cas_llm.store import layout, tape
from cas_llm.store.tape import Tape

# Parts are asked for again and again: a system prompt by every answer to it.
_KEPT_BYTES = 32 << 20
_FETCHED = 4000


class Stored:
    """The store in the folder *folder* of the tree that *staged* stands for.

    A `Source` for the store's proof, which is told paths that start with `place`. Pickled it is
    no more than its name: each process asks git itself.
    """

    def __init__(self, staged: Staged, folder: str) -> None:
        self.staged = staged
        self.folder = folder
        self.place = Path(folder)
        self._start = len(f"{self.place}/")
        self._blobs = Blobs(staged.top)
        self._kept: dict[str, bytes] = {}
        self._bytes = 0

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Path in the store to blob id, of all that the tree holds."""
        return self.staged.files(self.folder)

    def path(self, name: str) -> str:
        """The path below the git top of what the store calls *name*."""
        return name if self.folder == "." else f"{self.folder}/{name}"

    def name(self, path: str) -> str:
        """What the store calls the file at *path* below the git top."""
        return path if self.folder == "." else path[len(self.folder) + 1 :]

    def blob(self, blob: str) -> bytes:
        """The bytes of *blob*, whatever its name; raises `FileNotFoundError` where git has none."""
        known = self._kept.get(blob)
        if known is None:
            known = b"" if blob in EMPTY else self._blobs.read(blob)
            self._keep(blob, known)
        return known

    def fetch(self, blobs: Iterable[str]) -> None:
        """Read *blobs* in one go, if they are few enough to be kept."""
        wanted = [blob for blob in blobs if blob not in self._kept and blob not in EMPTY]
        if len(wanted) <= _FETCHED:
            for blob, data in self.staged.contents(wanted):
                self._keep(blob, data)

    def tapes(self, names: Iterable[str]) -> Iterator[tuple[str, Tape]]:
        """The tapes at *names*; what is none, or damaged, is left out."""
        return tapes_in(self._contents(names))

    # -- what the proof of a store asks -------------------------------------------------------

    def read(self, path: str) -> bytes:
        """All bytes of the file."""
        return self.blob(self._blob_at(path))

    def size(self, path: str) -> int:
        """How many bytes it has."""
        blob = self._blob_at(path)
        return 0 if blob in EMPTY else len(self.blob(blob))

    def exists(self, path: str) -> bool:
        """Whether it is there."""
        return path[self._start :] in self.names

    def close(self) -> None:
        """End git's process."""
        self._blobs.close()

    def _keep(self, blob: str, data: bytes) -> None:
        if self._bytes + len(data) > _KEPT_BYTES:
            self._kept.clear()
            self._bytes = 0
        self._kept[blob] = data
        self._bytes += len(data)

    def _blob_at(self, path: str) -> str:
        blob = self.names.get(path[self._start :])
        if blob is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return blob

    def _contents(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            if name in self.names:
                yield name, self.blob(self.names[name])

    def __reduce__(self) -> tuple[Callable[..., Stored], tuple[Path, str, str]]:
        return _stored, (self.staged.top, self.staged.commit, self.folder)


def tapes_in(contents: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, Tape]]:
    """The tapes in *contents*, paths and bytes; what is none, or damaged, is left out."""
    for name, data in contents:
        with contextlib.suppress(StoreError):
            yield name, tape.decode(data, Path(name))


def digest_of(name: str) -> str:
    """The key or digest that a path in the store is named after; empty where it is none."""
    folder, _, rest = name.partition("/")
    digest = rest.partition(".")[0].replace("/", "", 1)
    return digest if folder in {layout.REQUESTS, layout.OBJECTS} and len(digest) == 64 else ""


def stem_of(name: str) -> str:
    """The path of a tape without its take and digest, which those of one scope have in common."""
    return name.rsplit(".", 3)[0]


@cache
def _stored(top: Path, commit: str, folder: str) -> Stored:
    return Stored(Staged(top, commit=commit), folder)
