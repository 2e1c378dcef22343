"""The file functions of this process, taken over: watched, refused, cut short, or fatal.

``Calls(answer, root)`` hands every call on a path below *root* to *answer*, which runs it, refuses
it, or ends the process. It reaches what is called through `os`, `io.open` and `fcntl`; what SQLite
does in C passes by.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import io
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_ON_PATHS = ("open", "mkdir", "unlink", "remove", "rmdir", "listdir", "scandir")
_ON_TWO_PATHS = ("link", "rename", "replace")
_ON_HANDLES = ("read", "write", "fsync", "close")
_CHANGING = frozenset(
    {"write", "fsync", "mkdir", "unlink", "remove", "rmdir", *_ON_TWO_PATHS, "create"}
)
_WRITING = os.O_CREAT | os.O_WRONLY | os.O_RDWR | os.O_TRUNC


@dataclass(frozen=True)
class Call:
    """One call of a file function; `name` is ``create`` for an open that may change something."""

    name: str
    path: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    real: Callable[..., Any]

    @property
    def changes(self) -> bool:
        """Whether the call may change what lies on the disk."""
        return self.name in _CHANGING

    def run(self) -> Any:
        """What the real function gives."""
        return self.real(*self.args, **self.kwargs)

    def run_half(self) -> None:
        """Begin the call and not end it: half of a write, the whole of anything else."""
        with contextlib.suppress(OSError):
            if self.name == "write":
                handle, data = self.args
                self.real(handle, bytes(data)[: len(data) // 2])
            else:
                self.run()


Answer = Callable[[Call], Any]


class Calls:
    """Takes over the file functions for a block; calls on paths outside *roots* pass."""

    def __init__(self, answer: Answer, *roots: Path) -> None:
        self._answer = answer
        self._roots = tuple(str(root) for root in roots)
        self._handles: dict[int, str] = {}
        self._real: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Self:
        for name in (*_ON_PATHS, *_ON_TWO_PATHS, *_ON_HANDLES):
            self._take(os, name, getattr(self, f"_{name}", self._plain(name)))
        self._take(io, "open", self._opened)
        self._take(builtins, "open", self._opened)
        self._take(fcntl, "flock", self._flock)
        return self

    def __exit__(self, *_exc: object) -> None:
        for module, name, real in reversed(self._real):
            setattr(module, name, real)
        self._real.clear()

    def _take(self, module: Any, name: str, wrap: Callable[[Callable[..., Any]], Any]) -> None:
        real = getattr(module, name)
        self._real.append((module, name, real))
        setattr(module, name, wrap(real))

    def _ask(self, name: str, path: str, real: Any, args: Any, kwargs: Any) -> Any:
        if not path.startswith(self._roots):
            return real(*args, **kwargs)
        return self._answer(Call(name, path, args, kwargs, real))

    def _place(self, path: Any, folder: int | None = None) -> str:
        if isinstance(path, int):
            return self._handles.get(path, "")
        text = os.fsdecode(path)
        return f"{self._handles.get(folder, '')}/{text}" if folder is not None else text

    def _plain(self, name: str) -> Callable[[Callable[..., Any]], Any]:
        def wrap(real: Callable[..., Any]) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                at = 1 if name in _ON_TWO_PATHS else 0
                folder = kwargs.get("dst_dir_fd" if at else "dir_fd")
                path = self._place(args[at] if args else ".", folder)
                return self._ask(name, path, real, args, kwargs)

            return call

        return wrap

    def _open(self, real: Callable[..., Any]) -> Any:
        def call(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            place = self._place(path, kwargs.get("dir_fd"))
            name = "create" if flags & _WRITING else "open"
            handle = self._ask(name, place, real, (path, flags, *args), kwargs)
            self._handles[handle] = place
            return handle

        return call

    def _close(self, real: Callable[..., Any]) -> Any:
        def call(handle: int) -> None:
            # Whatever it says, the handle is free afterwards.
            path = self._handles.pop(handle, "")
            self._ask("close", path, real, (handle,), {})

        return call

    def _opened(self, real: Callable[..., Any]) -> Any:
        def call(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if isinstance(file, int):
                return real(file, mode, *args, **kwargs)
            name = "create" if set(mode) & set("wax+") else "open"
            return self._ask(name, os.fsdecode(file), real, (file, mode, *args), kwargs)

        return call

    def _flock(self, real: Callable[..., Any]) -> Any:
        def call(handle: int, operation: int) -> None:
            self._ask("flock", self._handles.get(handle, ""), real, (handle, operation), {})

        return call


@dataclass
class Killing:
    """Ends the process at its *step*-th changing call: before it or, with *half*, within it."""

    step: int
    half: bool = False
    seen: int = 0

    def __call__(self, call: Call) -> Any:
        if call.changes:
            self.seen += 1
            if self.seen == self.step:
                if self.half:
                    call.run_half()
                os.kill(os.getpid(), signal.SIGKILL)
        return call.run()


@dataclass
class Refusing:
    """Refuses the *step*-th call of the kind *concerns*, with *lasting* also all that follow.

    `told` is the call that was refused first.
    """

    number: int
    concerns: Callable[[Call], bool]
    step: int
    lasting: bool = False
    seen: int = 0
    told: Call | None = None

    def __call__(self, call: Call) -> Any:
        if not self.concerns(call):
            return call.run()
        self.seen += 1
        if self.seen == self.step or (self.lasting and self.seen > self.step):
            self.told = self.told or call
            if call.name == "close":
                call.run()
            elif call.name == "write":
                call.run_half()
            raise OSError(self.number, os.strerror(self.number), call.path)
        return call.run()


def _fills(call: Call) -> bool:
    return call.name in {"create", "write", "mkdir", "fsync", *_ON_TWO_PATHS}


def _opens(call: Call) -> bool:
    return call.name in {"open", "create", "listdir", "scandir"}


def _any(call: Call) -> bool:
    return call.name != "flock" or bool(call.path)


FAULTS: dict[str, tuple[int, Callable[[Call], bool]]] = {
    "full disk": (errno.ENOSPC, _fills),
    "quota": (errno.EDQUOT, _fills),
    "broken disk": (errno.EIO, _any),
    "no permission": (errno.EACCES, lambda call: call.name not in {"read", "write", "close"}),
    "read-only": (errno.EROFS, lambda call: call.changes and call.name not in {"write", "fsync"}),
    "no handles left": (errno.EMFILE, _opens),
}
"""Name of a fault to its number and the calls it can hit."""


@contextlib.contextmanager
def quick_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of stores are made and examined in it."""
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        yield otherwise
        return
    folder = Path(tempfile.mkdtemp(prefix="cas-llm-", dir=memory))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_handles() -> set[str]:
    """What this process holds open, by handle."""
    found = set()
    for handle in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"{handle} {os.readlink(f'/proc/self/fd/{handle}')}")
    return {text for text in found if "/proc/" not in text}
