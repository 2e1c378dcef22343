"""Folder listings, kept as long as they are provably the same.

A listing is trusted again only if the folder's modification time is the one read before listing,
and lay more than two seconds before the listing: file systems keep times that coarsely, so a
younger folder may have changed unseen.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

SETTLED_NS = 2_000_000_000


def modified_ns(folder: str | Path) -> int:
    """The folder's modification time in nanoseconds, or -1 if there is none."""
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - on the path of every hit
    except OSError:
        return -1


class Listings:
    """Names of the files in folders, read again only when a folder may have changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int, tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    def names(self, folder: str) -> tuple[str, ...]:
        """Sorted names in *folder*; empty if it does not exist."""
        modified = modified_ns(folder)
        if modified < 0:
            return ()
        known = self._known.get(folder)
        if known and known[0] == modified and known[1] - modified > SETTLED_NS:
            return known[2]
        now = time.time_ns()
        try:
            names = tuple(sorted(os.listdir(folder)))
        except OSError:
            return ()
        with self._lock:
            self._known[folder] = (modified, now, names)
        return names
