"""Answers that were paid for but whose test has not passed yet.

They lie outside the store, in the git directory where there is one (`git clean` must not eat paid
answers), one folder a run::

    <run>/run.json                                          when it began
    <run>/requests/  objects/                               laid out like a store
    <run>/answers/<digest>.json                             which files the answer consists of
    <run>/entries/<scope>/<key>.<ordinal>.<digest>.<how>    whose answer it is; empty
    <run>/entries/<scope>/scope.json                        the scope's full name

`how` is ``c`` for an answer asked anew in CAPTURE, else ``f``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cas_llm.digest import digest_of
from cas_llm.errors import ObjectCorrupt, StoreError
from cas_llm.store.alive import is_alive
from cas_llm.store.answer import pretty
from cas_llm.store.files import Writer, cannot_read, cannot_write, read
from cas_llm.store.locking import LEFT_SECONDS, Lock
from cas_llm.store.objects import Objects, check

_ENTRY = re.compile(
    r"(?P<key>[0-9a-f]{64})\.(?P<ordinal>\d+)\.(?P<digest>[0-9a-f]{64})\.(?P<how>[cf])\Z"
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pending answer: for whom, which ask of which request, and where it lies."""

    run: str
    began: float
    scope: str
    key: str
    ordinal: int
    digest: str
    captured: bool
    path: Path


class Pending:
    """The pending answers of one store."""

    def __init__(self, root: Path, *, durable: bool = False) -> None:
        self.root = root
        self._writer = Writer(root / "tmp", durable=durable)
        self._lock = Lock(root)

    def stage(
        self,
        run: str,
        *,
        scope: str,
        key: str,
        ordinal: int,
        digest: str,
        captured: bool,
        files: Mapping[str, bytes],
    ) -> None:
        """Keep an answer until its scope passes; *files* are store paths to bytes, in order.

        An older run's answer for the same ask of the same scope gives way to it.

        Raises:
            StoreError: the place is not writable or full.

        """
        folder = self.root / run
        try:
            with self._lock.while_written():
                self._begin(folder)
                for relative, data in files.items():
                    self._writer.add(folder / relative, data)
                listing = folder / "answers" / f"{digest}.json"
                self._writer.add(listing, pretty({"key": key, "files": list(files)}))
                self._enter(folder, scope, f"{key}.{ordinal}.{digest}.{'c' if captured else 'f'}")
            for older in self.of_scope(scope):
                same = (older.key, older.ordinal) == (key, ordinal)
                if older.run != run and same and not self.is_live(older.run):
                    older.path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error

    def enter(
        self, run: str, *, scope: str, key: str, ordinal: int, digest: str, captured: bool
    ) -> None:
        """Note that *scope*, too, was served the run's pending answer *digest*.

        Raises:
            StoreError: the place is not writable or full.

        """
        folder = self.root / run
        try:
            with self._lock.while_written():
                self._enter(folder, scope, f"{key}.{ordinal}.{digest}.{'c' if captured else 'f'}")
        except OSError as error:
            raise cannot_write(folder, error) from error

    def rekey(self, waiting: Waiting, key: str, files: Mapping[str, bytes]) -> None:
        """Let the *waiting* answer be found under another *key*; *files* leave pending with it.

        Raises:
            StoreError: the place is not writable or full; it is found under one of the two keys.

        """
        folder = self.root / waiting.run
        listing = folder / "answers" / f"{waiting.digest}.json"
        how = "c" if waiting.captured else "f"
        try:
            with self._lock.while_written():
                for relative, data in files.items():
                    self._writer.add(folder / relative, data)
                about = json.loads(read(listing))
                # What is named comes before what names it.
                named = dict.fromkeys([*files, *about["files"]])
                self._writer.replace(listing, pretty({**about, "files": list(named)}))
                name = f"{key}.{waiting.ordinal}.{waiting.digest}.{how}"
                self._enter(folder, waiting.scope, name)
            waiting.path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error

    def _enter(self, folder: Path, scope: str, name: str) -> None:
        place = folder / "entries" / _short(scope)
        self._writer.add(place / "scope.json", pretty({"scope": scope}))
        self._writer.mark(place / name)

    def of_scope(self, scope: str) -> list[Waiting]:
        """The pending answers of *scope*, the newest run's first, then by ordinal.

        Raises:
            StoreError: it cannot be read what waits.

        """
        found = [
            waiting
            for run, began in self._runs()
            for waiting in self._entries(run, began, self.root / run / "entries" / _short(scope))
        ]
        return sorted(found, key=lambda w: (-w.began, w.run, w.key, w.ordinal, w.digest))

    def all(self) -> list[Waiting]:
        """Every pending answer, the oldest run's first; raises what `of_scope` does."""
        found: list[Waiting] = []
        for run, began in self._runs():
            for place in _listed(self.root / run / "entries"):
                found.extend(self._entries(run, began, place))
        return sorted(found, key=lambda w: (w.began, w.run, w.scope, w.key, w.ordinal))

    def is_live(self, run: str) -> bool:
        """Whether the process that began *run* still works: its answers are its own until then."""
        return bool(self.worker(run))

    def worker(self, run: str) -> int:
        """The other process that began *run* and still works, or 0."""
        try:
            about = json.loads(read(self.root / run / "run.json"))
            pid, age = int(about["pid"]), time.time() - float(about["began"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        works = age <= LEFT_SECONDS and pid != os.getpid() and is_alive(str(pid))
        return pid if works else 0

    def has(self, run: str, digest: str) -> bool:
        """Whether *run* holds the pending answer *digest*."""
        return (self.root / run / "answers" / f"{digest}.json").is_file()

    def holder(self, digest: str) -> str | None:
        """A run that holds the pending answer *digest*."""
        return next((run for run, _ in self._runs() if self.has(run, digest)), None)

    def objects(self, run: str) -> Objects:
        """The run's files, laid out like a store's."""
        return Objects(self.root / run, self._writer)

    def files(self, run: str, digest: str) -> Iterator[tuple[str, bytes]]:
        """The store paths and bytes an answer consists of, in the order to write them.

        Raises:
            ObjectCorrupt: one of them is gone or is not what its name says.
            StoreError: one of them cannot be read.

        """
        path = self.root / run / "answers" / f"{digest}.json"
        try:
            for relative in json.loads(read(path))["files"]:
                path = self.root / run / relative
                _, shard, name = relative.split("/")
                yield relative, check(read(path), shard + name.partition(".")[0], path)
        except (FileNotFoundError, ValueError, KeyError, TypeError, ObjectCorrupt) as error:
            raise ObjectCorrupt(
                f"the pending answer {digest[:12]} is not whole: {path} is missing or was cut off; "
                "it has to be recorded again: cas-llm pending drop",
                digest=digest,
                path=path,
            ) from error
        except OSError as error:
            # A fault that may pass is no reason to pay for the answer again.
            raise cannot_read(path, error) from error

    def is_whole(self, run: str, digest: str) -> bool:
        """Whether every byte of the run's pending answer *digest* is there.

        It is not where the machine stopped before what was written reached the disk.
        """
        try:
            return bool(list(self.files(run, digest)))
        except ObjectCorrupt:
            return False

    def release(self, entries: Sequence[Waiting]) -> None:
        """Drop entries that a tape or a shared entry names by now, or that nobody wants.

        Raises:
            StoreError: the file system refused; what was not dropped still waits.

        """
        try:
            for entry in entries:
                entry.path.unlink(missing_ok=True)
            # What is tidied away now must not be asked for by an entry that comes back.
            self._writer.removed(entry.path for entry in entries)
        except OSError as error:
            raise cannot_write(self.root, error) from error
        self.tidy()

    def tidy(self) -> None:
        """Remove the folders of runs that hold no entry any more.

        Nothing happens while a process stages an answer: its run may have no entry yet. What the
        file system refuses is left to the next run.
        """
        with contextlib.suppress(StoreError, OSError), self._lock.while_nobody_writes() as age:
            for run, began in self._runs():
                if time.time() - began < age:
                    continue
                entries = self.root.glob(f"{run}/entries/*/*")
                if not any(_ENTRY.match(path.name) for path in entries):
                    shutil.rmtree(self.root / run, ignore_errors=True)

    def flush(self) -> None:
        """Sync what was staged to the disk; raises OSError where that was refused."""
        self._writer.flush()

    def _begin(self, folder: Path) -> None:
        path = folder / "run.json"
        if not path.exists():  # what it says is not the same twice
            self._writer.add(path, pretty({"began": time.time(), "pid": os.getpid()}))

    def _runs(self) -> list[tuple[str, float]]:
        folders = [path for path in _listed(self.root) if (path / "entries").is_dir()]
        return sorted(((folder.name, _began(folder)) for folder in folders), key=lambda r: r[1])

    def _entries(self, run: str, began: float, place: Path) -> Iterator[Waiting]:
        try:
            scope = json.loads(read(place / "scope.json"))["scope"]
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return
        except OSError as error:
            raise cannot_read(place, error) from error
        for path in _listed(place):
            if found := _ENTRY.match(path.name):
                yield Waiting(
                    run=run,
                    began=began,
                    scope=scope,
                    key=found["key"],
                    ordinal=int(found["ordinal"]),
                    digest=found["digest"],
                    captured=found["how"] == "c",
                    path=path,
                )


def _listed(folder: Path) -> list[Path]:
    """What lies in *folder*, sorted; nothing where there is none.

    Raises:
        StoreError: it cannot be listed. That is not the same as none: what waits was paid for.

    """
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise cannot_read(folder, error) from error


def _began(folder: Path) -> float:
    try:
        return float(json.loads(read(folder / "run.json"))["began"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _short(scope: str) -> str:
    return digest_of(scope.encode("utf-8", "surrogatepass"))[:16]
