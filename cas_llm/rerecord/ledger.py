"""What a re-record has begun and what it has done: a file that outlives whoever writes it.

A line of JSON each, on the disk before what it announces happens. It lies beside the pending
answers. What came to its end is forgotten, so that the next one begins afresh; what did not stays
until it is gone on with, whatever else is done in between.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cas_llm.errors import CasLLMError, StoreError
from cas_llm.store import beside
from cas_llm.store.files import cannot_write

if sys.platform != "win32":
    import fcntl

PLANNED, BEGUN, STORED, FAILED = "planned", "begun", "stored", "failed"


@dataclass(frozen=True)
class Unit:
    """One thing to do, by its name: a test, or a request that is sent; `digest` is its answer's."""

    name: str
    state: str
    digest: str = ""
    cost: float = 0.0
    why: str = ""


class Ledger:
    """The ledger of the store at *root*; use it as a context, which one process at a time enters.

    `lost` are the units that a killed process had begun and of which nothing is known: each may
    have been paid for. `runs` are the runs of pytest that were under way.
    """

    def __init__(self, root: Path) -> None:
        self._folder = beside(root, "rerecord")
        self.path = self._folder / "ledger.jsonl"
        self._lock: int | None = None
        self.units: dict[str, Unit] = {}
        self.lost: tuple[str, ...] = ()
        self.runs: tuple[str, ...] = ()
        self.benches: list[Path] = []
        self._read()

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self._folder / "lock")
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        self._read()  # what stood there before may be another's
        self._end_line()
        self.lost = tuple(unit.name for unit in self.units.values() if unit.state == BEGUN)
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def done(self) -> Mapping[str, Unit]:
        """What is stored, by name."""
        return {name: unit for name, unit in self.units.items() if unit.state == STORED}

    @property
    def left(self) -> tuple[str, ...]:
        """What is not done: planned, begun, or failed."""
        return tuple(name for name, unit in self.units.items() if unit.state != STORED)

    def goes_on(self, names: Collection[str]) -> bool:
        """Whether to do *names* is to go on with what is here, and not to do it once more.

        It is where something of them is unfinished; or where they are all that is here, done by a
        process that did not come to forget it.
        """
        kinds = set(map(_kind, names))
        ours = {name for name in self.units if _kind(name) in kinds}
        return not {*names}.isdisjoint(self.left) or (bool(ours) and ours == {*names})

    def plan(self, names: Iterable[str]) -> None:
        """Note what is to be done, but for what is known already."""
        for name in names:
            if name not in self.units:
                self._note(Unit(name, PLANNED))

    def begin(self, name: str) -> None:
        """Note that *name* is begun: from now on it may cost something."""
        self._note(Unit(name, BEGUN))

    def store(self, name: str, digest: str = "", cost: float | None = None) -> None:
        """Note that *name* is done."""
        self._note(Unit(name, STORED, digest, cost or 0.0))

    def fail(self, name: str, why: str) -> None:
        """Note that *name* came to nothing, and that nothing of it is lost."""
        self._note(Unit(name, FAILED, why=why))

    def run(self, run: str) -> None:
        """Note a run of pytest, whose answers wait under its name if it is killed."""
        self.runs = (*self.runs, run)
        self._write({"run": run})

    def bench(self, folder: Path) -> None:
        """Note where pytests are told from, which outlives a killed process."""
        self.benches.append(folder)
        self._write({"bench": str(folder)})

    def forget(self, names: Iterable[str]) -> None:
        """Forget *names*, which are wanted once more; and all, where nothing else is unfinished."""
        for name in names:
            self.units.pop(name, None)
        if not self.left:
            self.clear()
            return
        lines = [*map(_told, self.units.values()), *({"run": run} for run in self.runs)]
        lines += [{"bench": str(folder)} for folder in self.benches]
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            new.write_bytes(b"".join(map(_line, lines)))
            new.replace(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Forget everything, unless something is unfinished: then what is done counts, too."""
        if not self.left:
            self.clear()

    def clear(self) -> None:
        """Forget everything, so that a re-record begins afresh."""
        self.units, self.runs, self.benches, self.lost = {}, (), [], ()
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _note(self, unit: Unit) -> None:
        self.units[unit.name] = unit
        self._write(_told(unit))

    def _write(self, line: Mapping[str, Any]) -> None:
        self._append(_line(line))

    def _append(self, data: bytes) -> None:
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o666)
            try:
                os.write(handle, data)
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _end_line(self) -> None:
        """End the last line where it was cut off, so that the next one stands by itself."""
        with contextlib.suppress(FileNotFoundError):
            if not self.path.read_bytes().endswith(b"\n"):
                self._append(b"\n")

    def _read(self) -> None:
        self.units, self.benches, runs = {}, [], []
        for line in _lines(self.path):
            if "run" in line:
                runs.append(str(line["run"]))
            elif "bench" in line:
                self.benches.append(Path(str(line["bench"])))
            elif "unit" in line and line.get("state") in (PLANNED, BEGUN, STORED, FAILED):
                name, cost = str(line["unit"]), line.get("cost", 0.0)
                told = (str(line.get("digest", "")), cost if isinstance(cost, float) else 0.0)
                self.units[name] = Unit(name, line["state"], *told, str(line.get("why", "")))
        self.runs = tuple(runs)


def _kind(name: str) -> str:
    """A test, or a call."""
    return name.partition(":")[0]


def _told(unit: Unit) -> dict[str, Any]:
    more = {"digest": unit.digest, "cost": unit.cost, "why": unit.why}
    return {"unit": unit.name, "state": unit.state} | {n: v for n, v in more.items() if v}


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are whole: the last one may be cut off."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read ({error.strerror}); nothing was begun", path=path
        ) from error
    for line in data.splitlines():
        with contextlib.suppress(ValueError):
            document = json.loads(line)
            if isinstance(document, dict):
                yield document


def _locked(path: Path) -> int:
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    if sys.platform == "win32":
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise CasLLMError(
            "another re-record of this store is at work, or a test that one started is still "
            "running; wait for it to end, then: cas-llm rerecord"
        ) from None
    except OSError:
        pass  # no locks on this file system
    return handle
