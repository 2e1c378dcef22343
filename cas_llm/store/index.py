"""A derived index over all tapes and key records, for the questions one folder cannot answer.

What one folder can answer needs none: a shared entry is found by listing its shard. The index lies
in `.local/`, is never tracked, and may be deleted at any time: it is brought up to date from the
folders whenever it is asked, and lives in memory where nothing can be written.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cas_llm.errors import ManifestInvalid
from cas_llm.store import layout, likeness
from cas_llm.store.files import cannot_read
from cas_llm.store.folders import SETTLED_NS, modified_ns
from cas_llm.store.likeness import Known
from cas_llm.store.manifest import Manifest

_VERSION = 3
# A miss is explained within a second, whatever the store; one process explains many.
_A_QUESTION = 0.3
_A_PROCESS = 3.0
_SCHEMA = f"""{likeness.SCHEMA}
CREATE TABLE folders (path TEXT PRIMARY KEY, modified INTEGER, read INTEGER);
CREATE TABLE tapes (path TEXT PRIMARY KEY, folder TEXT, scope TEXT, take INTEGER, source TEXT);
CREATE TABLE turns (path TEXT, position INTEGER, key TEXT, digest TEXT);
CREATE INDEX turns_key ON turns (key);
CREATE INDEX turns_digest ON turns (digest);
CREATE INDEX turns_path ON turns (path);
CREATE INDEX tapes_folder ON tapes (folder);
"""

# A damaged file may have its damage told in bytes that are no text.
_UNUSABLE = (sqlite3.Error, UnicodeError)

Answer = TypeVar("Answer")


class Index:
    """Look-ups by key over other scopes' tapes, and by likeness over key records."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._root = manifest.root
        self._file = self._root / layout.LOCAL / "index.sqlite3"
        self._lock = threading.RLock()
        self._database: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._parents: list[sqlite3.Connection | None] = []
        self._left = _A_PROCESS

    def tapes_with(self, key: str) -> list[Path]:
        """Files of all tapes that hold *key*."""
        rows = self._ask(
            self._refresh_tapes,
            "SELECT DISTINCT path FROM turns WHERE key = ? ORDER BY path",
            (key,),
        )
        return [self._root / row[0] for row in rows]

    def tapes_naming(self, digest: str) -> list[Path]:
        """Files of all tapes that name the answer *digest*."""
        rows = self._ask(
            self._refresh_tapes,
            "SELECT DISTINCT path FROM turns WHERE digest = ? ORDER BY path",
            (digest,),
        )
        return [self._root / row[0] for row in rows]

    def scopes_with(self, key: str) -> list[str]:
        """Scopes whose tapes hold *key*."""
        rows = self._ask(
            self._refresh_tapes,
            "SELECT DISTINCT scope FROM turns JOIN tapes USING (path) WHERE key = ? ORDER BY scope",
            (key,),
        )
        return [row[0] for row in rows]

    def first_scopes(self, keys: Sequence[str]) -> dict[str, str]:
        """The first scope, in their order, whose tapes hold each of *keys*; few keys at once."""
        marks = ", ".join("?" * len(keys))
        rows = self._ask(
            self._refresh_tapes,
            "SELECT key, MIN(scope) FROM turns JOIN tapes USING (path) "  # noqa: S608 - marks only
            f"WHERE key IN ({marks}) GROUP BY key",
            tuple(keys),
        )
        return dict(rows)

    def alike(self, api: str, path: str, model: str, *, limit: int = 200) -> list[Known]:
        """Key records of requests most like this one: the same API and path, then the model.

        Reads key records for a fraction of a second; of a large store that is a part, and the
        next question reads on.
        """
        began = time.monotonic()
        until = began + min(_A_QUESTION, self._left)
        found = self._with(
            lambda database: likeness.refresh(database, self._root, until),
            lambda database: likeness.alike(database, api, path, model, limit),
        )
        self._left = max(0.0, self._left - (time.monotonic() - began))
        return found

    def complete(self) -> None:
        """Read all that is new into every table, however long it takes."""
        self._with(self._refresh_tapes, lambda _: None)
        self._with(
            lambda database: likeness.refresh(database, self._root, float("inf")), lambda _: None
        )

    def close(self) -> None:
        """Close the database; the next question opens it again."""
        with self._lock:
            if self._database is not None and self._pid == os.getpid():
                self._database.close()
            self._database = None

    def __del__(self) -> None:
        # Python 3.13 warns of a connection that is dropped open. A parent's stays the parent's.
        if getattr(self, "_database", None) is not None and self._pid == os.getpid():
            self._database.close()  # type: ignore[union-attr]

    def _ask(
        self,
        refresh: Callable[[sqlite3.Connection], None],
        question: str,
        values: tuple[str | int, ...],
    ) -> list[Any]:
        def answer(database: sqlite3.Connection) -> list[Any]:
            return database.execute(question, values).fetchall()

        return self._with(refresh, answer)

    def _with(
        self,
        refresh: Callable[[sqlite3.Connection], object],
        answer: Callable[[sqlite3.Connection], Answer],
    ) -> Answer:
        """What *answer* gives once *refresh* has brought the database up to date."""
        with self._lock:
            database = self._open()
            try:
                refresh(database)
                database.commit()
                return answer(database)
            except _UNUSABLE as error:
                # Locked by another process, damaged, or on a full disk: derived data, so anew.
                # Closed first, as an open transaction would lock other processes out for good.
                with contextlib.suppress(sqlite3.Error):
                    database.close()
                if not isinstance(error, sqlite3.OperationalError):
                    with contextlib.suppress(OSError):
                        self._file.unlink()
                database = self._start_in_memory()
                refresh(database)
                return answer(database)
            except BaseException:
                # A folder that cannot be read: what was half done must not keep others waiting.
                database.rollback()
                raise

    def _open(self) -> sqlite3.Connection:
        if self._pid != os.getpid():
            # A connection must not cross a fork: neither used here nor closed, which dropping the
            # last reference to it would do.
            self._parents.append(self._database)
            self._database, self._pid = None, os.getpid()
        if self._database is None:
            self._database = self._open_file() or self._start_in_memory()
        return self._database

    def _open_file(self) -> sqlite3.Connection | None:
        if not (self._root / "format").is_file():
            return None
        for _attempt in range(2):
            try:
                self._file.parent.mkdir(exist_ok=True)
                return self._connect()
            except (OSError, sqlite3.OperationalError):
                # Read-only, or locked. A file another process writes must not be removed: SQLite
                # would apply its journal to the next one of that name.
                return None
            except _UNUSABLE:
                with contextlib.suppress(OSError):
                    self._file.unlink(missing_ok=True)
        return None

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, timeout=5, check_same_thread=False)
        try:
            database.execute("PRAGMA synchronous = OFF")
            if _version_of(database) != _VERSION:
                database.execute("BEGIN IMMEDIATE")
                if _version_of(database) != _VERSION:
                    _make_anew(database)
                database.commit()
        except _UNUSABLE:
            database.close()
            raise
        return database

    def _start_in_memory(self) -> sqlite3.Connection:
        database = sqlite3.connect(":memory:", check_same_thread=False)
        database.executescript(_SCHEMA)
        self._database = database
        return database

    def _refresh_tapes(self, database: sqlite3.Connection) -> None:
        """Read what changed; the folders in one that did not are those that are known."""
        rows = database.execute(
            "SELECT path, modified, read FROM folders WHERE path = ? OR path LIKE ?",
            (layout.TAPES, f"{layout.TAPES}/%"),
        ).fetchall()
        known = {name: (modified, read) for name, modified, read in rows}
        within: dict[str, list[str]] = {}
        for name in known:
            within.setdefault(name.rpartition("/")[0], []).append(name)
        gone, pending = set(known), [layout.TAPES]
        for name in pending:
            place = f"{self._root}/{name}"
            modified = modified_ns(place)
            if modified < 0:
                continue
            gone.discard(name)
            then, read = known.get(name, (-1, 0))
            if then == modified and read - then > SETTLED_NS:
                pending += within.get(name, ())
            else:
                pending += (f"{name}/{folder}" for folder in _folders(place))
                self._read_tapes(database, Path(place))
        for name in gone:
            self._drop_tapes(database, name)
            database.execute("DELETE FROM folders WHERE path = ?", (name,))

    def _read_tapes(self, database: sqlite3.Connection, folder: Path) -> None:
        name = self._name(folder)
        modified, now = modified_ns(folder), time.time_ns()
        self._drop_tapes(database, name)
        for path in sorted(folder.iterdir()):
            if layout.TAPE_NAME.match(path.name) is None:
                continue
            try:
                tape = self._manifest.load_tape(path)
            except ManifestInvalid:
                # Reported by verify, and by whoever asks for this tape's own scope.
                continue
            key = self._name(path)
            database.execute(
                "INSERT OR REPLACE INTO tapes VALUES (?, ?, ?, ?, ?)",
                (key, name, tape.scope, tape.take, tape.source),
            )
            database.executemany(
                "INSERT INTO turns VALUES (?, ?, ?, ?)",
                [
                    (key, n, named, digest)
                    for n, turn in enumerate(tape.turns)
                    for named, digest in ((turn.key, turn.digest), *turn.within)
                ],
            )
        self._note(database, name, modified, now)

    def _drop_tapes(self, database: sqlite3.Connection, folder: str) -> None:
        database.execute(
            "DELETE FROM turns WHERE path IN (SELECT path FROM tapes WHERE folder = ?)", (folder,)
        )
        database.execute("DELETE FROM tapes WHERE folder = ?", (folder,))

    def _note(self, database: sqlite3.Connection, name: str, modified: int, now: int) -> None:
        database.execute("INSERT OR REPLACE INTO folders VALUES (?, ?, ?)", (name, modified, now))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _folders(place: str) -> list[str]:
    """The folders in *place*; those that are links lead elsewhere and hold no tapes."""
    try:
        with os.scandir(place) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise cannot_read(Path(place), error) from error


def _version_of(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _make_anew(database: sqlite3.Connection) -> None:
    tables = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    for (name,) in tables:
        database.execute(f'DROP TABLE "{name}"')
    for statement in filter(str.strip, _SCHEMA.split(";")):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {_VERSION}")
