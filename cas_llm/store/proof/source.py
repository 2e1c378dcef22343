"""Where the bytes of a store come from while it is proved: its files on the disk, or git's blobs.

Reads only. A path is that of the store's folder, a slash, and the place in the store.
"""

from __future__ import annotations

import os
from typing import Protocol

from cas_llm.store.files import read


class Source(Protocol):
    """The files of a store; each question raises `FileNotFoundError` where there is no such file.

    Must be a value that can be pickled: every worker has its own.
    """

    def read(self, path: str) -> bytes:
        """All bytes of the file; raises `OSError` where they cannot be had."""

    def size(self, path: str) -> int:
        """How many bytes it has; raises `OSError` where nobody can say."""

    def exists(self, path: str) -> bool:
        """Whether it is there."""


class Disk:
    """The files as they lie on the disk."""

    def read(self, path: str) -> bytes:
        """All bytes of the file."""
        return read(path)

    def size(self, path: str) -> int:
        """How many bytes it has."""
        return os.stat(path).st_size  # noqa: PTH116 - one of millions

    def exists(self, path: str) -> bool:
        """Whether it is there."""
        return os.path.exists(path)  # noqa: PTH110 - texts, for speed


DISK = Disk()
