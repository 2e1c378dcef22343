"""A derived index over all tapes and key records, for the questions one folder cannot answer.

It lies in `.local/`, is never tracked, and may be deleted at any time: it is brought up to date
from the folders whenever it is asked, and lives in memory where nothing can be written.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from cas_llm.errors import ManifestInvalid
from cas_llm.store import layout
from cas_llm.store.folders import SETTLED_NS, modified_ns
from cas_llm.store.manifest import Manifest

_VERSION = 2
_SCHEMA = """
CREATE TABLE folders (path TEXT PRIMARY KEY, modified INTEGER, read INTEGER);
CREATE TABLE tapes (path TEXT PRIMARY KEY, folder TEXT, scope TEXT, take INTEGER, source TEXT);
CREATE TABLE turns (path TEXT, position INTEGER, key TEXT, digest TEXT);
CREATE INDEX turns_key ON turns (key);
CREATE INDEX turns_digest ON turns (digest);
CREATE INDEX turns_path ON turns (path);
CREATE INDEX tapes_folder ON tapes (folder);
CREATE TABLE requests (key TEXT PRIMARY KEY, folder TEXT, api TEXT, path TEXT, model TEXT);
CREATE INDEX requests_alike ON requests (api, path, model);
CREATE INDEX requests_folder ON requests (folder);
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What the index knows of a key record without reading it again."""

    key: str
    api: str
    path: str
    model: str


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

    def alike(self, api: str, path: str, model: str, *, limit: int = 200) -> list[Known]:
        """Key records of requests most like this one: the same API and path, then the model."""
        rows = self._ask(
            self._refresh_requests,
            "SELECT key, api, path, model FROM requests "
            "ORDER BY (api = ?) + (path = ?) DESC, (model = ?) DESC, key LIMIT ?",
            (api, path, model, limit),
        )
        return [Known(*row) for row in rows]

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
        with self._lock:
            database = self._open()
            try:
                refresh(database)
                return database.execute(question, values).fetchall()
            except sqlite3.Error as error:
                # Locked by another process, damaged, or on a full disk: derived data, so anew.
                # Closed first, as an open transaction would lock other processes out for good.
                with contextlib.suppress(sqlite3.Error):
                    database.close()
                if not isinstance(error, sqlite3.OperationalError):
                    with contextlib.suppress(OSError):
                        self._file.unlink()
                database = self._start_in_memory()
                refresh(database)
                return database.execute(question, values).fetchall()

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
            except sqlite3.DatabaseError:
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
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _start_in_memory(self) -> sqlite3.Connection:
        database = sqlite3.connect(":memory:", check_same_thread=False)
        database.executescript(_SCHEMA)
        self._database = database
        return database

    def _refresh_tapes(self, database: sqlite3.Connection) -> None:
        top = self._root / layout.TAPES
        present = [Path(folder) for folder, _, _ in os.walk(top)]
        self._forget_gone(database, layout.TAPES, present)
        for folder in present:
            if self._changed(database, folder):
                self._read_tapes(database, folder)
        database.commit()

    def _read_tapes(self, database: sqlite3.Connection, folder: Path) -> None:
        name = self._name(folder)
        modified, now = modified_ns(folder), time.time_ns()
        self._drop_tapes(database, name)
        for path in sorted(folder.iterdir()):
            if layout.TAPE_NAME.match(path.name) is None:
                continue
            try:
                tape = self._manifest.load_tape(path)
            except (ManifestInvalid, OSError):
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

    def _refresh_requests(self, database: sqlite3.Connection) -> None:
        top = self._root / layout.REQUESTS
        present = [Path(entry.path) for entry in os.scandir(top)] if top.is_dir() else []
        present = [folder for folder in present if folder.is_dir()]
        self._forget_gone(database, layout.REQUESTS, present)
        for folder in sorted(present):
            if self._changed(database, folder):
                self._read_requests(database, folder)
        database.commit()

    def _read_requests(self, database: sqlite3.Connection, folder: Path) -> None:
        name = self._name(folder)
        modified, now = modified_ns(folder), time.time_ns()
        known = {
            row[0] for row in database.execute("SELECT key FROM requests WHERE folder = ?", (name,))
        }
        found = {folder.name + entry.stem: entry for entry in folder.glob("*.json")}
        for key in known - found.keys():
            database.execute("DELETE FROM requests WHERE key = ?", (key,))
        for key in found.keys() - known:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                record = orjson.loads(found[key].read_bytes())
                body = record.get("body")
                model = str(body.get("model", "")) if isinstance(body, dict) else ""
                row = (key, name, record.get("api", ""), record.get("path", ""), model)
                database.execute("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?)", row)
        self._note(database, name, modified, now)

    def _changed(self, database: sqlite3.Connection, folder: Path) -> bool:
        row = database.execute(
            "SELECT modified, read FROM folders WHERE path = ?", (self._name(folder),)
        ).fetchone()
        return row is None or row[0] != modified_ns(folder) or row[1] - row[0] <= SETTLED_NS

    def _forget_gone(self, database: sqlite3.Connection, top: str, present: Sequence[Path]) -> None:
        names = {self._name(folder) for folder in present}
        rows = database.execute(
            "SELECT path FROM folders WHERE path = ? OR path LIKE ?", (top, f"{top}/%")
        ).fetchall()
        for (name,) in rows:
            if name not in names:
                self._drop_tapes(database, name)
                database.execute("DELETE FROM requests WHERE folder = ?", (name,))
                database.execute("DELETE FROM folders WHERE path = ?", (name,))

    def _drop_tapes(self, database: sqlite3.Connection, folder: str) -> None:
        database.execute(
            "DELETE FROM turns WHERE path IN (SELECT path FROM tapes WHERE folder = ?)", (folder,)
        )
        database.execute("DELETE FROM tapes WHERE folder = ?", (folder,))

    def _note(self, database: sqlite3.Connection, name: str, modified: int, now: int) -> None:
        database.execute("INSERT OR REPLACE INTO folders VALUES (?, ?, ?)", (name, modified, now))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


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
