"""Bytes under their digest: written once, checked whenever they are read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cas_llm.digest import digest_of
from cas_llm.errors import ObjectCorrupt, ObjectMissing
from cas_llm.store import layout
from cas_llm.store.files import Writer, read


def check(data: bytes, digest: str, path: str | Path) -> bytes:
    """Return *data* if its digest is *digest*.

    Raises:
        ObjectCorrupt: it is not; names the file and the command that mends it.

    """
    if digest_of(data) != digest:
        what = (
            "holds merge conflict markers"
            if b"\n<<<<<<< " in b"\n" + data[:4096]
            else ("is empty" if not data else "was changed or cut off")
        )
        raise ObjectCorrupt(
            f"{path} {what}: its {len(data)} bytes do not have the digest of its name; "
            "restore it from git with: cas-llm verify --repair",
            digest=digest,
            path=Path(path),
        )
    return data


def load(path: str, digest: str) -> bytes:
    """The bytes named *digest*, read from *path* and checked.

    Raises:
        ObjectMissing: no such file.
        ObjectCorrupt: the bytes are not what the name says.

    """
    try:
        data = read(path)
    except FileNotFoundError:
        raise ObjectMissing(
            f"{path} is missing, though the manifest names it; "
            "restore it from git with: cas-llm verify --repair",
            digest=digest,
            path=Path(path),
        ) from None
    except OSError as error:
        raise ObjectMissing(
            f"{path} cannot be read ({error.strerror}); check the file's permissions",
            digest=digest,
            path=Path(path),
        ) from error
    return check(data, digest, path)


class Objects:
    """The two digest-named folders below one root: `requests/` and `objects/`."""

    def __init__(self, root: Path, writer: Writer) -> None:
        self.root = root
        # A path is put together as text: as `Path` it would cost a hit ten times as much.
        self._root = str(root)
        self._writer = writer

    def add(self, digest: str, data: bytes, ext: str = "json") -> None:
        """Write *data* as the object *digest*; nothing happens if it is there already."""
        self._add(layout.object_path(self.root, digest, ext), data)

    def add_request(self, key: str, data: bytes) -> None:
        """Write the key record of *key*; nothing happens if it is there already."""
        self._add(layout.request_path(self.root, key), data)

    def get(self, digest: str, ext: str = "json") -> bytes:
        """The bytes named *digest*; raises `ObjectMissing` or `ObjectCorrupt`."""
        return load(self.place(digest, ext), digest)

    def get_request(self, key: str) -> bytes:
        """The key record of *key*; raises `ObjectMissing` or `ObjectCorrupt`."""
        return load(f"{self._root}/{layout.sharded(layout.REQUESTS, key)}", key)

    def has(self, digest: str, ext: str = "json") -> bool:
        """Whether a file for *digest* exists; its bytes are checked when they are read."""
        return os.path.isfile(self.place(digest, ext))  # noqa: PTH113 - on the path of a hit

    def place(self, digest: str, ext: str = "json") -> str:
        """The path of the file for *digest*."""
        return f"{self._root}/{layout.sharded(layout.OBJECTS, digest, ext)}"

    def _add(self, path: Path, data: bytes) -> None:
        if self._writer.add(path, data):
            return
        # Somebody wrote it before: the same bytes, or what a power loss or an editor left.
        found = None
        with contextlib.suppress(OSError):  # on a bad sector, or another process mends it too
            found = read(path)
        if found == data:
            return
        if found is not None:
            self._writer.add(self.root / layout.LOCAL / "bad" / path.name, found)
        # In one step: whoever is killed here leaves the bad file or the good one, never none.
        self._writer.replace(path, data)
