"""Folder listings, kept as long as they are provably the same.

A listing is trusted again only if the folder's modification time is the one read before listing,
and lay more than two seconds before the listing: file systems keep times that coarsely, so a
younger folder may have changed unseen. A folder that is there and cannot be read is an error: as an
empty one it would hide a test's own recordings, and another's would be served in their place.
"""

from __future__ import annotations

import os
import re
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from cas_llm.store.files import cannot_read

SETTLED_NS = 2_000_000_000

_NOT_THERE = (FileNotFoundError, NotADirectoryError)

_HEAD, _TAIL = 62, 64
_WIDTH = (_HEAD + _TAIL) // 2
_FEW = 64
_MIDDLES = 255
_HEX = re.compile(r"[0-9a-f]*\Z")


def modified_ns(folder: str | Path) -> int:
    """The folder's modification time in nanoseconds, or -1 if there is none.

    Raises:
        StoreError: nobody can say.

    """
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - on the path of every hit
    except _NOT_THERE:
        return -1
    except OSError as error:
        raise cannot_read(Path(folder), error) from error


class Listings:
    """Names of the files in folders, read again only when a folder may have changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int, tuple[str, ...] | Packed]] = {}
        self._lock = threading.Lock()

    def names(self, folder: str) -> tuple[str, ...]:
        """Sorted names in *folder*; empty if it does not exist."""
        return tuple(self.starting(folder, ""))

    def starting(self, folder: str, prefix: str) -> Sequence[str]:
        """The names in *folder* that start with *prefix*, sorted; none if it does not exist.

        Raises:
            StoreError: it cannot be read.

        """
        names = self._names(folder)
        if isinstance(names, Packed):
            return names.starting(prefix)
        first = last = bisect_left(names, prefix)
        while last < len(names) and names[last].startswith(prefix):
            last += 1
        return names[first:last]

    def _names(self, folder: str) -> tuple[str, ...] | Packed:
        modified = modified_ns(folder)
        if modified < 0:
            return ()
        known = self._known.get(folder)
        if known and known[0] == modified and known[1] - modified > SETTLED_NS:
            return known[2]
        now = time.time_ns()
        names = listing(folder)
        kept = pack(names) or tuple(names)
        with self._lock:
            self._known[folder] = (modified, now, kept)
        return kept


def listing(folder: str) -> list[str]:
    """The sorted names in *folder*; none if there is no such folder.

    Raises:
        StoreError: it cannot be read.

    """
    try:
        return sorted(os.listdir(folder))
    except _NOT_THERE:
        return []
    except OSError as error:
        raise cannot_read(Path(folder), error) from error


class Packed:
    """The sorted names of many shared entries in a third of the space, found as quickly.

    A name is 62 hex digits, a middle that most share, and 64 hex digits.
    """

    def __init__(self, digits: bytes, middles: Sequence[str], which: bytes) -> None:
        self._digits = digits
        self._middles = middles
        self._which = which

    def starting(self, prefix: str) -> list[str]:
        """The names that start with *prefix*: pairs of hex digits, then what of a middle is given.

        Raises:
            ValueError: it does not begin with pairs of hex digits.

        """
        rest, tail = prefix[:_HEAD], prefix[_HEAD:]
        wanted = bytes.fromhex(rest)
        size, count = len(wanted), len(self._which)

        def head(place: int) -> bytes:
            return self._digits[place * _WIDTH : place * _WIDTH + size]

        found = []
        place = bisect_left(range(count), wanted, key=head)
        while place < count and head(place) == wanted:
            own = self._digits[place * _WIDTH : (place + 1) * _WIDTH].hex()
            middle = self._middles[self._which[place]]
            if middle.startswith(tail):
                found.append(f"{own[:_HEAD]}{middle}{own[_HEAD:]}")
            place += 1
        return found


def pack(names: Sequence[str]) -> Packed | None:
    """The sorted *names*, packed; None where they are few, or one of them has no such form."""
    if len(names) < _FEW:
        return None
    text = "".join([name[:_HEAD] + name[-_TAIL:] for name in names])
    numbers: dict[str, int] = {}
    which = [numbers.setdefault(name[_HEAD:-_TAIL], len(numbers)) for name in names]
    # Upper case and spaces are read as hex digits too, but do not come out the same.
    if len(numbers) > _MIDDLES or min(map(len, names)) < _HEAD + _TAIL or not _HEX.match(text):
        return None
    return Packed(bytes.fromhex(text), tuple(numbers), bytes(which))
