"""Write whole files or nothing: temporary file, write, optional sync, link without replacing.

A reader never sees half a file under its final name, whatever kills the writer. What a killed
writer leaves behind lies in the temporary folder and is swept when old.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from cas_llm.errors import StoreError
from cas_llm.store.alive import is_alive

_STALE_SECONDS = 3600.0
_READ_ONLY = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV})
# File systems that keep no such promise, and Windows, say so with one of these.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EROFS, errno.EBADF})


class Writer:
    """Writes immutable files through one temporary folder.

    `durable` syncs each file, its folder, and the entries of the folders above it before the write
    returns, also where another process wrote the file; otherwise `flush` syncs all that was
    written since, in one pass.
    """

    def __init__(self, temporary: Path, *, durable: bool = False) -> None:
        self._temporary = temporary
        self._durable = durable
        self._numbers = itertools.count()
        self._unsynced: list[Path] = []
        self._settled: set[Path] = set()
        self._lock = threading.Lock()

    def add(self, path: Path, data: bytes) -> bool:
        """Write *data* to *path* unless a file is there; returns whether it was written.

        Raises:
            OSError: the file system refused; *path* does not exist then, or is whole but maybe not
                on the disk yet.

        """
        if path.exists():
            return self._found(path)
        temporary = self._write_temporary(data)
        try:
            if not self._publish(temporary, path):
                return self._found(path)
        finally:
            _discard(temporary)
        self._wrote(path)
        return True

    def mark(self, path: Path) -> bool:
        """Create the empty file *path* unless it is there; returns whether it was created.

        Raises:
            OSError: the file system refused, as for `add`.

        """
        self._make_folder(path.parent)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            return self._found(path)
        self._wrote(path)
        return True

    def replace(self, path: Path, data: bytes) -> None:
        """Write *data* to *path*, replacing what is there in one step.

        Raises:
            OSError: the file system refused; *path* is as it was, or has its new bytes.

        """
        temporary = self._write_temporary(data)
        try:
            self._make_folder(path.parent)
            temporary.replace(path)
        finally:
            _discard(temporary)
        self._wrote(path)

    def removed(self, paths: Iterable[Path]) -> None:
        """Let it last that *paths* were removed, before more is; nothing unless durable.

        Raises:
            OSError: the file system refused.

        """
        if self._durable:
            for folder in {path.parent for path in paths}:
                _sync(folder)

    def flush(self) -> None:
        """Sync every file written since the last flush, and their folders, to the disk.

        Raises:
            OSError: one of them could not be synced, and is lost if the machine stops; the others
                were tried.

        """
        with self._lock:
            paths, self._unsynced = self._unsynced, []
        refused: list[OSError] = []
        for path in paths:
            with _noting(refused):
                _sync(path)
        for folder in {path.parent for path in paths}:
            with _noting(refused):
                _sync(folder)
                self._settle(folder)
        if refused:
            raise refused[0]

    def sweep(self) -> None:
        """Remove temporary files that are over an hour old and whose writer is gone."""
        with contextlib.suppress(OSError):
            for entry in os.scandir(self._temporary):
                with contextlib.suppress(OSError):
                    old = time.time() - entry.stat().st_mtime > _STALE_SECONDS
                    if old and not is_alive(entry.name.partition(".")[0]):
                        Path(entry.path).unlink()

    def _write_temporary(self, data: bytes) -> Path:
        path, handle = self._open_temporary()
        try:
            try:
                view = memoryview(data)
                while view:
                    view = view[_write(handle, view) :]
                if self._durable:
                    os.fsync(handle)
            finally:
                os.close(handle)
        except BaseException:
            _discard(path)
            raise
        return path

    def _open_temporary(self) -> tuple[Path, int]:
        # Exclusive: a file a killed writer with this very name left may be linked to its final
        # name already, and truncating it would tear what readers see.
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
        made = False
        while True:
            name = f"{os.getpid()}.{threading.get_ident()}.{next(self._numbers)}"
            path = self._temporary / name
            try:
                return path, os.open(path, flags, 0o666)
            except FileExistsError:
                continue
            except FileNotFoundError:
                if made:
                    raise
                self._temporary.mkdir(parents=True, exist_ok=True)
                made = True

    def _publish(self, temporary: Path, path: Path) -> bool:
        self._make_folder(path.parent)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if path.exists():
                return False
            temporary.rename(path)
        return True

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            with self._lock:
                self._settled.discard(folder)
            folder.mkdir(parents=True, exist_ok=True)

    def _found(self, path: Path) -> bool:
        # Whoever wrote it may have been killed before it synced, or not be asked to.
        if self._durable:
            _sync(path)
            self._wrote(path)
        return False

    def _wrote(self, path: Path) -> None:
        if self._durable:
            _sync(path.parent)
            self._settle(path.parent)
        else:
            with self._lock:
                self._unsynced.append(path)

    def _settle(self, folder: Path) -> None:
        """Sync the entry of *folder* and of all above it, whoever made them; once each."""
        while folder not in self._settled and folder != folder.parent:
            try:
                _sync(folder.parent)
            except PermissionError:
                # A folder above the store may be closed to its user, who can't have made an entry
                # in it then.
                if os.access(folder.parent, os.W_OK):
                    raise
            with self._lock:
                self._settled.add(folder)
            folder = folder.parent


@contextlib.contextmanager
def _noting(refused: list[OSError]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        refused.append(error)


def _write(handle: int, view: memoryview) -> int:
    written = os.write(handle, view)
    if not written:
        raise OSError(errno.EIO, "the file system took no byte")
    return written


def _discard(temporary: Path) -> None:
    # What cannot be removed is swept later; the file it was written for is what counts.
    with contextlib.suppress(OSError):
        temporary.unlink()


def _sync(path: Path) -> None:
    if sys.platform == "win32" and path.is_dir():
        return  # there no folder can be opened
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return  # pruned meanwhile
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(handle)


def cannot_write(path: Path, error: OSError) -> StoreError:
    """The error to raise when the file system refused to write *path*."""
    return StoreError(
        f"cannot write {path}: {error.strerror or error}; nothing was left half written. "
        "Make room or make it writable, or replay only: CAS_LLM_MODE=replay",
        path=path,
    )


def cannot_read(path: Path, error: OSError) -> StoreError:
    """The error to raise when the file system refused to read *path*."""
    return StoreError(
        f"cannot read {path}: {error.strerror or error}; look at its permissions and its disk, "
        "then: cas-llm verify",
        path=path,
    )


def cannot_sync(root: Path, error: OSError) -> StoreError:
    """The error to raise when the disk did not take what was written below *root*."""
    path = Path(error.filename or root)
    return StoreError(
        f"cannot sync {path} to the disk: {error.strerror or error}; what was recorded last may "
        "be lost when the machine stops. Look at the disk, then: cas-llm verify",
        path=path,
    )


def read(path: str | Path) -> bytes:
    """The bytes of *path*; the fastest way Python has for small files."""
    handle = os.open(path, _READ_ONLY)
    try:
        size = os.fstat(handle).st_size
        data = os.read(handle, size + 1)
        if len(data) == size:
            return data
        pieces = [data]
        while piece := os.read(handle, 1 << 20):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(handle)
