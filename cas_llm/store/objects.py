"""Bytes under their digest: written once, checked whenever they are read."""

from __future__ import annotations

import contextlib
from pathlib import Path

from cas_llm.digest import digest_of
from cas_llm.errors import ObjectCorrupt, ObjectMissing
from cas_llm.store import layout
from cas_llm.store.files import Writer, read


def check(data: bytes, digest: str, path: Path) -> bytes:
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
            path=path,
        )
    return data


def load(path: Path, digest: str) -> bytes:
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
            path=path,
        ) from None
    except OSError as error:
        raise ObjectMissing(
            f"{path} cannot be read ({error.strerror}); check the file's permissions",
            digest=digest,
            path=path,
        ) from error
    return check(data, digest, path)


class Objects:
    """The two digest-named folders below one root: `requests/` and `objects/`."""

    def __init__(self, root: Path, writer: Writer) -> None:
        self.root = root
        self._writer = writer

    def add(self, digest: str, data: bytes, ext: str = "json") -> None:
        """Write *data* as the object *digest*; nothing happens if it is there already."""
        self._add(layout.object_path(self.root, digest, ext), data)

    def add_request(self, key: str, data: bytes) -> None:
        """Write the key record of *key*; nothing happens if it is there already."""
        self._add(layout.request_path(self.root, key), data)

    def get(self, digest: str, ext: str = "json") -> bytes:
        """The bytes named *digest*; raises `ObjectMissing` or `ObjectCorrupt`."""
        return load(layout.object_path(self.root, digest, ext), digest)

    def get_request(self, key: str) -> bytes:
        """The key record of *key*; raises `ObjectMissing` or `ObjectCorrupt`."""
        return load(layout.request_path(self.root, key), key)

    def has(self, digest: str, ext: str = "json") -> bool:
        """Whether a file for *digest* exists; its bytes are checked when they are read."""
        return layout.object_path(self.root, digest, ext).is_file()

    def _add(self, path: Path, data: bytes) -> None:
        if self._writer.add(path, data):
            return
        # Somebody wrote it before: the same bytes, or what a power loss or an editor left.
        if read(path) != data:
            self._quarantine(path)
            self._writer.replace(path, data)

    def _quarantine(self, path: Path) -> None:
        bad = self.root / layout.LOCAL / "bad" / path.name
        bad.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            path.replace(bad)
