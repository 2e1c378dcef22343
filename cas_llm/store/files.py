"""Write whole files or nothing: temporary file, write, optional sync, link without replacing.

A reader never sees half a file under its final name, whatever kills the writer. What a killed
writer leaves behind lies in the temporary folder and is swept when old.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
import time
from pathlib import Path

from cas_llm.errors import StoreError

_STALE_SECONDS = 3600.0
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV})


class Writer:
    """Writes immutable files through one temporary folder.

    `durable` syncs each file and its folder before the write returns; otherwise `flush` syncs all
    that was written since, in one pass.
    """

    def __init__(self, temporary: Path, *, durable: bool = False) -> None:
        self._temporary = temporary
        self._durable = durable
        self._numbers = itertools.count()
        self._unsynced: list[Path] = []
        self._lock = threading.Lock()

    def add(self, path: Path, data: bytes) -> bool:
        """Write *data* to *path* unless a file is there; returns whether it was written.

        Raises:
            OSError: the file system refused; *path* does not exist then, and nothing else changed.

        """
        temporary = self._write_temporary(data)
        try:
            return self._publish(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()

    def mark(self, path: Path) -> bool:
        """Create the empty file *path* unless it is there; returns whether it was created."""
        self._make_folder(path.parent)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            return False
        self._wrote(path)
        return True

    def replace(self, path: Path, data: bytes) -> None:
        """Write *data* to *path*, replacing what is there in one step."""
        temporary = self._write_temporary(data)
        try:
            self._make_folder(path.parent)
            temporary.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        self._wrote(path)

    def flush(self) -> None:
        """Sync every file written since the last flush, and their folders, to the disk."""
        with self._lock:
            paths, self._unsynced = self._unsynced, []
        for path in paths:
            _sync(path)
        for folder in {path.parent for path in paths}:
            _sync(folder)

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
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            if self._durable:
                os.fsync(handle)
        except BaseException:
            os.close(handle)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        os.close(handle)
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
        if not path.parent.is_dir():
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
        self._wrote(path)
        return True

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._wrote(folder)

    def _wrote(self, path: Path) -> None:
        if self._durable:
            _sync(path.parent)
        else:
            with self._lock:
                self._unsynced.append(path)


def _sync(path: Path) -> None:
    # Windows cannot open a folder, and a file may be gone by now: neither makes the data less safe.
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cannot_write(path: Path, error: OSError) -> StoreError:
    """The error to raise when the file system refused to write *path*."""
    return StoreError(
        f"cannot write {path}: {error.strerror or error}; nothing was left half written. "
        "Make room or make it writable, or replay only: CAS_LLM_MODE=replay",
        path=path,
    )


def is_alive(pid: str) -> bool:
    """Whether the process *pid* of this machine runs; a text that is no number is none."""
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def read(path: Path) -> bytes:
    """The bytes of *path*; the fastest way Python has for small files."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
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
