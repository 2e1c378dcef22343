"""One line a finished test: what a run knows, even if it is killed.

A test that asked an LLM is written down at once, and with it those before that did not; of these a
killed run may lose the last few, which stay as they were known. Each process of a run appends to a
file of its own, ``.local/runs/<run>.tests/<worker>.jsonl``; a line is whole or, the last one of a
killed process, left out by whoever reads. What the lines hold is merged at the end of the run
(`merging`), and the folder goes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from cas_llm.dependencies.witness import Seen

RUNS = "runs"
_ENDING = ".tests"
_FEW = 50
PASSED = "passed"


@dataclass(frozen=True)
class Finished:
    """A test that ended: its node id, its `file`, and what it used.

    `used` are keys and digests, those of the wider fixtures it asked for among them; `tapes` the
    digests of the tapes that served it; `missed` the keys that were not recorded.
    """

    test: str
    file: str
    outcome: str
    used: tuple[tuple[str, str], ...] = ()
    tapes: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    opaque: str = ""


@dataclass(frozen=True)
class Lines:
    """What the processes of one run wrote.

    `plain` are tests that passed, used nothing and looked nowhere new, with their files. `seen`
    has what each test saw under its own name, `roots` the folders that modules were looked up in,
    `modules` the project's files that were imported when a process ended.
    """

    pid: int
    finished: tuple[Finished, ...] = ()
    plain: Mapping[str, str] = field(default_factory=dict)
    seen: tuple[Seen, ...] = ()
    roots: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    shared: tuple[tuple[str, str], ...] = ()


class Journal:
    """The lines of one process, in *folder*; the folder is made with the first line.

    Where it can't be written, nothing more is: no test fails for it.
    """

    def __init__(self, folder: Path, worker: str, pid: int) -> None:
        self.folder = folder
        self._path = folder / f"{worker}.jsonl"
        self._pid = pid
        self._handle = -1
        self._broken = False
        self._roots: tuple[str, ...] = ()
        self._waiting: list[bytes] = []
        self._plain: dict[str, list[str]] = {}
        self._count = 0

    def write(self, done: Finished, seen: Sequence[Seen], roots: tuple[str, ...]) -> None:
        """Note a finished test and what was seen since the last one."""
        line: dict[str, Any] = {"test": done.test, "file": done.file, "outcome": done.outcome}
        for name in ("used", "tapes", "missed", "opaque"):
            if value := getattr(done, name):
                line[name] = value
        self._append(line, seen, roots)
        self._counted(_FEW if done.used or done.missed else 1)

    def write_plain(self, test: str, file: str) -> None:
        """Note a test that passed, used nothing and saw nothing new."""
        self._plain.setdefault(file, []).append(test)
        self._counted(1)

    def _counted(self, weight: int) -> None:
        self._count += weight
        if self._count >= _FEW:
            self._flush()

    def close(self, seen: Iterable[Seen], roots: tuple[str, ...], **more: Iterable[Any]) -> None:
        """Note what was seen after the last test, and `modules`, `plugins` and `shared`."""
        self._append({name: list(values) for name, values in more.items()}, seen, roots)
        self._flush()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._broken = True

    def _append(self, line: dict[str, Any], seen: Iterable[Seen], roots: tuple[str, ...]) -> None:
        if found := [list(one) for one in seen]:
            line["seen"] = found
        if roots != self._roots:
            line["roots"] = self._roots = roots
        self._waiting.append(_encoded(line))

    def _flush(self) -> None:
        if self._plain:
            self._waiting.append(_encoded({"plain": self._plain}))
        data = b"".join(self._waiting)
        self._waiting, self._plain, self._count = [], {}, 0
        if self._broken:
            return
        try:
            if self._handle < 0:
                self.folder.mkdir(parents=True, exist_ok=True)
                flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
                self._handle = os.open(self._path, flags, 0o666)
                data = _encoded({"pid": self._pid}) + data
            os.write(self._handle, data)
        except OSError:
            self._broken = True


def folder_of(local: Path, run: str) -> Path:
    """Where the processes of *run* write their lines; *local* is the store's own local folder."""
    return local / RUNS / f"{run}{_ENDING}"


def read(folder: Path) -> Lines:
    """What was written in *folder*; of a line that is cut off, nothing."""
    pid, roots, finished = 0, dict[str, None](), dict[str, Finished]()
    seen: dict[Seen, None] = {}
    plain: dict[str, str] = {}
    rest: dict[str, dict[Any, None]] = {"modules": {}, "plugins": {}, "shared": {}}
    for line in _lines(folder):
        pid = int(line.get("pid", pid))
        roots |= dict.fromkeys(line.get("roots", ()))
        name = str(line.get("test", ""))
        if name:
            finished[name] = _finished(line)
        for file, names in line.get("plain", {}).items():
            plain |= dict.fromkeys(names, file)
        for owner, kind, target, through in line.get("seen", ()):
            seen[Seen(owner or f"::{name}", kind, target, tuple(through))] = None
        for word in rest:
            rest[word] |= dict.fromkeys(map(_hashable, line.get(word, ())))
    return Lines(
        pid,
        tuple(finished.values()),
        {name: file for name, file in plain.items() if name not in finished},
        tuple(seen),
        tuple(roots),
        tuple(rest["modules"]),
        tuple(rest["plugins"]),
        tuple(rest["shared"]),
    )


def left(local: Path) -> Iterator[Lines]:
    """What runs wrote that did not end, because they are going on or were killed."""
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(local / RUNS), key=lambda entry: entry.name):
            if entry.name.endswith(_ENDING):
                yield read(Path(entry.path))


def remove(folder: Path) -> None:
    """Remove the lines in *folder*."""
    shutil.rmtree(folder, ignore_errors=True)


def _lines(folder: Path) -> Iterator[Mapping[str, Any]]:
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob("*.jsonl")):
            for text in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    line = _decoded(text)
                    if isinstance(line, dict):
                        yield line


def _finished(line: Mapping[str, Any]) -> Finished:
    return Finished(
        str(line["test"]),
        str(line.get("file", "")),
        str(line.get("outcome", "")),
        tuple(map(_hashable, line.get("used", ()))),
        tuple(line.get("tapes", ())),
        tuple(line.get("missed", ())),
        str(line.get("opaque", "")),
    )


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _decoded(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        import json

        return json.loads(text)


def _encoded(line: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(line) + b"\n"
    except (TypeError, ValueError):
        import json

        # A lone surrogate, as in a path that is no UTF-8.
        return json.dumps(line).encode("ascii") + b"\n"
