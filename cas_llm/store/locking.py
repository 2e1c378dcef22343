"""A folder that many processes write to at once, and one of them tidies now and then.

Part of the store. Waits for nobody: who wants to tidy while others write lets it be.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

LEFT_SECONDS = 24 * 3600.0
"""From this age on nobody writes to a run any more, where it cannot be known."""

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


class Lock:
    """The lock of the folder *root*: shared by those who write, for one alone who tidies."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextlib.contextmanager
    def while_written(self) -> Iterator[None]:
        """The block writes; raises OSError where the folder cannot be made or locked."""
        self._root.mkdir(parents=True, exist_ok=True)
        if sys.platform == "win32":
            yield
            return
        handle = os.open(self._root / "lock", os.O_CREAT | os.O_RDWR, 0o666)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH)
            except OSError as error:
                # Where there are no locks, nobody who tidies gets one either.
                if error.errno not in _NO_LOCKS:
                    raise
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def while_nobody_writes(self) -> Iterator[float]:
        """Yields how old a run must be, in seconds, for nobody to be writing to it."""
        if sys.platform == "win32":
            yield LEFT_SECONDS
            return
        try:
            handle = os.open(self._root / "lock", os.O_RDWR)
        except OSError:
            yield float("inf")
            return
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield float("inf")
            else:
                yield float("-inf")
        finally:
            os.close(handle)
