"""One mark for a whole store, that any change to any of its files changes: what git's index does.

Reads folders and the files' names, sizes, times and inodes, never their bytes.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from cas_llm.store import crew, layout

# These hold too many folders to be one piece of work each.
_WIDE = frozenset({"", "manifest", layout.REQUESTS, layout.OBJECTS, layout.TAPES, layout.SHARED})


class Mark(NamedTuple):
    """The digest of all names and stats, how many files they are, and the latest of their times."""

    digest: str
    files: int
    latest: int


def mark(
    root: Path,
    *,
    files: int = 0,
    workers: int = 0,
    seen: Callable[[int], None] = lambda _: None,
) -> Mark:
    """The mark of the store at *root*, its local files left out; *files* is a guess of how many.

    Raises:
        OSError: a folder cannot be read, or a file went while it was looked at.

    """
    whole, count, latest = blake2b(digest_size=32), 0, 0
    places = sorted(_places(str(root), ""))
    pieces = crew.spread(partial(_piece, str(root)), places, files=files, workers=workers)
    for (place, _), one in pieces:
        whole.update(f"{place!r} {one.digest}\n".encode("utf-8", "surrogateescape"))
        count, latest = count + one.files, max(latest, one.latest)
        seen(one.files)
    return Mark(whole.hexdigest(), count, latest)


def _places(root: str, place: str) -> Iterator[tuple[str, bool]]:
    """Folders that make up the store, each with whether all below it belongs to it."""
    yield place, False
    with os.scandir(f"{root}/{place}") as entries:
        for entry in entries:
            name = f"{place}/{entry.name}" if place else entry.name
            if entry.is_dir(follow_symlinks=False) and name not in layout.ASIDE:
                if name in _WIDE:
                    yield from _places(root, name)
                else:
                    yield name, True


def _piece(root: str, piece: tuple[str, bool]) -> Mark:
    place, deep = piece
    told: list[tuple[str | int, ...]] = []
    count, latest = 0, 0
    with os.scandir(f"{root}/{place}") as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if deep:
                    inner = _piece(root, (f"{place}/{entry.name}", True))
                    count, latest = count + inner.files, max(latest, inner.latest)
                    told.append((entry.name, inner.digest))
                continue
            at = entry.stat(follow_symlinks=False)
            modified, changed = at.st_mtime_ns, at.st_ctime_ns
            told.append((entry.name, at.st_size, modified, changed, at.st_ino))
            count += 1
            if changed > latest or modified > latest:
                latest = max(modified, changed)
    told.sort()
    # Version 2 writes a value the same however many refer to it.
    return Mark(blake2b(marshal.dumps(told, 2), digest_size=32).hexdigest(), count, latest)
