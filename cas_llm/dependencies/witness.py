"""Sees which files a process reads, lists and imports, and whose code asked for them.

One audit hook for the whole process, put in with the first `Witness` and never taken out, as
Python has no way to; it does nothing while no witness is at work. What is read while the code of
one of the project's files is on the stack is that file's: whoever imports it depends on it, as
what was read may be kept for whoever asks next. What is read without any such code belongs to the
witness's `context`. Sees no `os.stat`, no read through a descriptor, and no other process.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import cas_llm
from cas_llm.dependencies.places import is_own

EVERYBODY = "*"
"""The context of what all tests depend on."""
NOBODY = ""
"""The context of what the running test alone depends on."""

READ, LIST, IMPORT, START = "read", "list", "import", "start"

# They ask the machine what it is, and read no file of a project.
_HARMLESS = frozenset(
    {"arp", "cc", "gcc", "ifconfig", "ip", "ld", "ldconfig", "lsb_release", "lscpu", "objdump"}
    | {"sw_vers", "sysctl", "uname", "ver"}
)
_TOOLS = ("_pytest", "pytest", "pluggy", "xdist", "execnet", "coverage")
_MANY = 20_000
_STANDARD, _FOREIGN, _TOOL = object(), object(), object()


class Seen(NamedTuple):
    """One thing that was seen: `owner` reads, lists, imports or starts (`kind`) the `target`.

    `through` are the packages of others that did it on the owner's behalf.
    """

    owner: str
    kind: str
    target: str
    through: tuple[str, ...] = ()


class Witness:
    """Sees for the project at `top`; folders in `unseen` (the store) are no dependency."""

    def __init__(self, top: Path, unseen: tuple[Path, ...] = ()) -> None:
        tops = dict.fromkeys((os.path.abspath(top), os.path.realpath(top)))  # noqa: PTH100
        self._starts = tuple(os.path.join(folder, "") for folder in tops)  # noqa: PTH118
        self._tops = tuple(tops)
        self._unseen = tuple(
            os.path.join(start(str(folder)), "")  # noqa: PTH118
            for folder in unseen
            for start in (os.path.abspath, os.path.realpath)
        )
        self._kinds: dict[str, Any] = {}
        self._before: Witness | None = None
        self._places: dict[str, str | None] = {}
        self._found: dict[Seen, None] = {}
        self._lock = threading.Lock()
        self.context = EVERYBODY
        self.has_started = False
        """Whether this process may have started another one."""

    def start(self) -> None:
        """Begin to see, instead of any other witness of this process until this one stops."""
        global _active, _hooked  # noqa: PLW0603 - the hook can't be taken out
        self._before, _active = _active, self
        if not _hooked:
            _hooked = True
            sys.addaudithook(_hook)

    def stop(self) -> None:
        """See nothing more."""
        global _active  # noqa: PLW0603
        if _active is self:
            _active = self._before

    def take(self) -> list[Seen]:
        """What was seen since the last time, each thing once."""
        with self._lock:
            found, self._found = self._found, {}
        return list(found)

    def place(self, path: Any) -> str | None:
        """*path* as the project names it; None for what isn't the project's own."""
        if isinstance(path, int):
            return None
        name = os.fsdecode(path)
        if not name.startswith(os.sep):
            return self._placed(os.path.abspath(name))  # noqa: PTH100 - symlinks stay
        if name not in self._places:
            if len(self._places) > _MANY:
                self._places.clear()
            self._places[name] = self._placed(os.path.abspath(name))  # noqa: PTH100
        return self._places[name]

    def _placed(self, name: str) -> str | None:
        if name in self._tops:
            return "."
        start = next((start for start in self._starts if name.startswith(start)), None)
        if start is None or any((name + os.sep).startswith(unseen) for unseen in self._unseen):
            return None
        relative = name[len(start) :].replace(os.sep, "/")
        return relative if is_own(relative) else None

    def opened(self, path: Any, mode: Any, flags: Any) -> None:
        """A file was opened."""
        if isinstance(mode, str) and "r" not in mode and "+" not in mode:
            return
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) == os.O_WRONLY:
            return
        self._see(READ, path)

    def listed(self, path: Any = None) -> None:
        """A folder was listed."""
        self._see(LIST, "." if path is None else path)

    def executed(self, code: Any) -> None:
        """A code object is about to run: a module's, where it is imported."""
        if not (isinstance(code, CodeType) and code.co_name == "<module>"):
            return
        target = self._kind(code.co_filename)
        if isinstance(target, str):
            owner, through = self._asker()
            # Without an owner in a collection it is a test file or a conftest: pytest imports it.
            if owner != target and (owner or self.context != EVERYBODY):
                self._note(Seen(owner or self.context, IMPORT, target, through))

    def started(self, *words: Any) -> None:
        """Another process is about to be started."""
        self.has_started = True
        program = os.path.basename(os.fsdecode(words[0])) if words and words[0] else "a fork"  # noqa: PTH119
        if program in _HARMLESS:
            return
        owner, through = self._asker(by_tool=True)
        # What a tool starts beside the tests is the tool's business.
        if owner is not None and (owner or self.context != EVERYBODY):
            self._note(Seen(owner or self.context, START, program, through))

    def _see(self, kind: str, path: Any) -> None:
        target = self.place(path)
        if target is None:
            return
        owner, through = self._asker(by_tool=True)
        if owner is not None and owner != target:
            self._note(Seen(owner or self.context, kind, target, through))

    def _note(self, seen: Seen) -> None:
        with self._lock:
            self._found[seen] = None

    def _asker(self, *, by_tool: bool = False) -> tuple[Any, tuple[str, ...]]:
        """The nearest of the project's files on the stack, and the packages between.

        An empty text where there is none; None, with *by_tool*, where the import system, pytest or
        cas-llm asks on its own behalf.
        """
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the cheapest way
        while frame is not None and frame.f_code.co_filename == _SELF:
            frame = frame.f_back
        through: dict[str, None] = {}
        nearest = True
        while frame is not None:
            name = frame.f_code.co_filename
            kind = self._kind(name)
            if isinstance(kind, str):
                return kind, tuple(through)
            if by_tool and nearest and (kind is _TOOL or name.startswith("<frozen importlib")):
                return None, ()
            if kind is not _STANDARD:
                nearest = False
            if kind is _FOREIGN:
                package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
                through[package] = None
            frame = frame.f_back
        return "", tuple(through)

    def _kind(self, filename: str) -> Any:
        """The place of a project's file; else whose code it is."""
        found = self._kinds.get(filename)
        if found is None:
            found = self._kinds[filename] = self._judged(filename)
        return found

    def _judged(self, filename: str) -> Any:
        if filename.startswith("<"):
            return _STANDARD
        # cas-llm's own first: in its own repository it is the project's, too.
        if filename.startswith(_OURS):
            return _TOOL
        if (place := self.place(filename)) is not None:
            return place
        parts = filename.replace(os.sep, "/").split("/")
        if "site-packages" in parts or "dist-packages" in parts:
            tools = not set(_TOOLS).isdisjoint(parts)
            return _TOOL if tools else _FOREIGN
        return _STANDARD if filename.startswith(_LIBRARIES) else _FOREIGN


_OURS = os.path.join(os.path.dirname(os.path.abspath(cas_llm.__file__)), "")  # noqa: PTH100, PTH118, PTH120
_LIBRARIES = tuple(
    os.path.join(place, "")  # noqa: PTH118
    for name in ("stdlib", "platstdlib")
    if (place := sysconfig.get_path(name))
)
_active: Witness | None = None
_hooked = False


_EVENTS: dict[str, Callable[..., Any]] = {
    "open": Witness.opened,
    "os.listdir": Witness.listed,
    "os.scandir": Witness.listed,
    "exec": Witness.executed,
    "subprocess.Popen": Witness.started,
    "os.posix_spawn": Witness.started,
    "os.spawn": lambda witness, _mode, path, *_: witness.started(path),
    "os.system": Witness.started,
    "os.exec": Witness.started,
    "os.fork": Witness.started,
    "os.forkpty": Witness.started,
    "sqlite3.connect": lambda witness, path: str(path)[:1] == ":" or witness.opened(path, "r", 0),
}


_SELF = Witness.start.__code__.co_filename


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    # First what most events end with: there are dozens of them in the shortest test.
    if event in _EVENTS and (witness := _active) is not None:
        # Whatever it meets, the program must go on.
        with contextlib.suppress(Exception):
            _EVENTS[event](witness, *arguments)
