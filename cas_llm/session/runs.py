"""One recording process family: what its threads, workers and children must agree on.

A run has an id and a folder that all its processes see, named by the environment. In the folder
lie empty files only: who may make which call, which answers there are, what was spent.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from cas_llm.digest import digest_of
from cas_llm.errors import StoreError
from cas_llm.store import layout
from cas_llm.store.alive import is_alive
from cas_llm.store.files import cannot_write

_STALE_SECONDS = 24 * 3600.0
_NAMELESS_SECONDS = 2.0
_WIDTH = 32  # of an amount: longer than any, so that a new one covers the old one


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of this run: the k-th ask of a scope's attempt was given `digest`."""

    ordinal: int
    digest: str
    scope: str
    attempt: int
    captured: bool = False


class Run:
    """The run `id`, whose shared files lie in `folder`; the folder is made when first needed."""

    def __init__(self, folder: Path, run_id: str, *, owner: bool = False) -> None:
        self.id = run_id
        self.folder = folder
        self._owner = os.getpid() if owner else 0
        self._lock = threading.Lock()
        self._spent = 0.0
        self._spender = os.getpid()
        self._pilots: dict[str, tuple[int, int]] = {}

    @classmethod
    def beside(cls, store_root: Path) -> Run:
        """A new run; its folder lies in the store or, where that can't be, with temporary files.

        Nothing is created yet.
        """
        run_id = secrets.token_hex(4)
        home = store_root / layout.LOCAL / "runs"
        if not ((store_root / "format").is_file() and os.access(store_root, os.W_OK)):
            home = Path(tempfile.gettempdir())
            return cls(home / f"cas-llm-run-{run_id}", run_id, owner=True)
        _sweep(home)
        return cls(home / run_id, run_id, owner=True)

    @property
    def started(self) -> bool:
        """Whether a process of the run may have left something in the folder."""
        return self.folder.is_dir()

    def claim(self, owner: str, key: str, ordinal: int) -> bool:
        """Whether the k-th ask of *key* is this caller's; the first who asks gets it."""
        return _create(self.folder / "claims" / f"{_short(owner)}.{key}.{ordinal}")

    def unclaim(self, owner: str, key: str, ordinal: int) -> None:
        """Give the claim back; where that cannot be, the number stays taken."""
        path = self.folder / "claims" / f"{_short(owner)}.{key}.{ordinal}"
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def take_off(self, flight: str) -> bool:
        """Whether this caller may make the call *flight*; false while another one makes it."""
        path = self.folder / "flights" / flight
        if _create(path, f"{os.getpid()}\n"):
            self._pilots[flight] = _caller()
            return True
        if not _pilot_alive(path) and self._clear(path) and _create(path, f"{os.getpid()}\n"):
            self._pilots[flight] = _caller()
            return True
        return False

    @staticmethod
    def _clear(path: Path) -> bool:
        """Whether this caller took a dead process's flight away."""
        wreck = path.with_name(f"{path.name}.wreck.{os.getpid()}.{threading.get_ident()}")
        try:
            path.rename(wreck)
        except FileNotFoundError:
            return False
        try:
            if not _pilot_alive(wreck):
                return True
            # Somebody was faster, and this is the new pilot's: it goes back.
            with contextlib.suppress(FileExistsError):
                os.link(wreck, path)
            return False
        finally:
            wreck.unlink(missing_ok=True)

    def land(self, flight: str) -> None:
        """Say that the call *flight* is over, whatever came of it."""
        self._pilots.pop(flight, None)
        path = self.folder / "flights" / flight
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def is_own(self, flight: str) -> bool:
        """Whether this very thread or task makes the call *flight*: it would wait for itself."""
        return self._pilots.get(flight) == _caller()

    def in_flight(self, flight: str) -> bool:
        """Whether somebody makes the call *flight*."""
        path = self.folder / "flights" / flight
        return path.exists() and _pilot_alive(path)

    def tell(self, key: str, told: Told) -> None:
        """Let all processes of the run know of an answer."""
        how = "c" if told.captured else "f"
        name = f"{told.ordinal}.{told.digest}.{_short(told.scope)}.{told.attempt}.{how}"
        _create(self.folder / "answers" / key / name)

    def untell(self, key: str, ordinal: int, digest: str, scope: str) -> None:
        """Take back what `tell` said, of all attempts of *scope*."""
        folder = self.folder / "answers" / key
        for path in folder.glob(f"{ordinal}.{digest}.{_short(scope)}.*"):
            path.unlink(missing_ok=True)

    def told(self, key: str) -> list[Told]:
        """The run's own answers for *key*; `scope` is the short form `short_scope` gives."""
        if not self.started:
            return []
        try:
            names = os.listdir(self.folder / "answers" / key)
        except OSError:
            return []
        found = []
        for name in sorted(names):
            ordinal, digest, scope, attempt, how = name.split(".")
            found.append(Told(int(ordinal), digest, scope, int(attempt), how == "c"))
        return sorted(found, key=lambda told: (told.ordinal, told.digest))

    def note_child(self, owner: str) -> None:
        """Note that a child process joined the scope that *owner* opened."""
        with contextlib.suppress(OSError, StoreError):
            _create(self.folder / "children" / _short(owner))

    def had_child(self, owner: str) -> bool:
        """Whether a child process joined the scope that *owner* opened."""
        return self.started and (self.folder / "children" / _short(owner)).is_file()

    def spend(self, amount: float) -> None:
        """Add *amount* US dollars to what the run has spent.

        Where it cannot be written for the run's other processes, this one knows it still.
        """
        with self._lock:
            if self._spender != os.getpid():
                # A fork: what its parent spent stands in the parent's file.
                self._spender, self._spent = os.getpid(), 0.0
            self._spent += amount
            with contextlib.suppress(OSError):
                _overwrite(self.folder / "spent" / str(os.getpid()), f"{self._spent!r:<{_WIDTH}}")

    def spent(self) -> float:
        """US dollars all processes of the run have spent."""
        amounts = {str(os.getpid()): self._spent if self._spender == os.getpid() else 0.0}
        with contextlib.suppress(OSError):
            for path in (self.folder / "spent").iterdir():
                with contextlib.suppress(OSError, ValueError):
                    amount = float(path.read_text(encoding="ascii"))
                    amounts[path.name] = max(amount, amounts.get(path.name, 0.0))
        return sum(amounts.values())

    def close(self) -> None:
        """Remove the folder, if this process began the run."""
        if self._owner == os.getpid():
            # It ignores errors but for those of closing a folder.
            with contextlib.suppress(OSError):
                shutil.rmtree(self.folder, ignore_errors=True)


def _sweep(home: Path) -> None:
    with contextlib.suppress(OSError):
        for entry in os.scandir(home):
            if time.time() - entry.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(entry.path, ignore_errors=True)


def short_scope(scope: str) -> str:
    """The form in which `Run.told` names the scope *scope*."""
    return _short(scope)


def _short(text: str) -> str:
    return digest_of(text.encode("utf-8", "surrogatepass"))[:16]


def _create(path: Path, content: str = "") -> bool:
    """Create the file unless it is there; raises `StoreError` where it cannot be created."""
    try:
        handle = _opened(path)
        if handle is None:
            return False
        try:
            if content:
                os.write(handle, content.encode("ascii"))
        except OSError:
            # Empty it would stand for a call that somebody makes.
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
    except OSError as error:
        raise cannot_write(path, error) from error
    return True


def _opened(path: Path) -> int | None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    try:
        return os.open(path, flags, 0o666)
    except FileExistsError:
        return None
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _opened(path)


def _overwrite(path: Path, text: str) -> None:
    """Write *text* over as many bytes of the file; it is made if it is not there."""
    # Not truncated first: file systems push what follows a truncation to the disk, which takes
    # longer than all else that recording an answer does.
    flags = os.O_CREAT | os.O_WRONLY
    try:
        handle = os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, flags, 0o666)
    try:
        os.write(handle, text.encode("ascii"))
    finally:
        os.close(handle)


def _caller() -> tuple[int, int]:
    """The running thread, and the running task of asyncio or trio where there is one."""
    task = None
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    with contextlib.suppress(RuntimeError):
        task = asyncio.current_task() if asyncio else None
    with contextlib.suppress(RuntimeError):
        task = task or (trio.lowlevel.current_task() if trio else None)
    return threading.get_ident(), id(task) if task else 0


def _pilot_alive(path: Path) -> bool:
    try:
        pid = path.read_text(encoding="ascii")
        if not pid.endswith("\n"):
            # Not written yet, or never: its pilot was killed between creating and writing it.
            return time.time() - path.stat().st_mtime < _NAMELESS_SECONDS
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return is_alive(pid.rstrip("\n"))
