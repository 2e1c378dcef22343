"""Which key records are most like a request: two tables of the index, filled as far as time allows.

Only explanations read them, so they are right when half full: keys are digests, and any part of
them is a fair sample. What one question read stays for the next, in whatever process that is.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from cas_llm.store import layout
from cas_llm.store.files import read
from cas_llm.store.folders import SETTLED_NS, modified_ns

SCHEMA = """
CREATE TABLE kinds (id INTEGER PRIMARY KEY, api TEXT, path TEXT, model TEXT);
CREATE UNIQUE INDEX kinds_alike ON kinds (api, path, model);
CREATE TABLE requests (key TEXT PRIMARY KEY, kind INTEGER) WITHOUT ROWID;
CREATE INDEX requests_kind ON requests (kind, key);
"""

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Known:
    """What the index knows of a key record without reading it again."""

    key: str
    api: str
    path: str
    model: str


def alike(database: sqlite3.Connection, api: str, path: str, model: str, limit: int) -> list[Known]:
    """The requests most like one: the same API and path, then the model, then by key."""
    ranks: dict[tuple[int, bool], list[tuple[int, str, str, str]]] = {}
    for kind in database.execute("SELECT id, api, path, model FROM kinds").fetchall():
        rank = (kind[1] != api) + (kind[2] != path), kind[3] != model
        ranks.setdefault(rank, []).append(kind)
    found: list[Known] = []
    for rank in sorted(ranks):
        if len(found) < limit:
            found += _first(database, ranks[rank], limit - len(found))
    return found


def _first(
    database: sqlite3.Connection, kinds: Iterable[tuple[int, str, str, str]], limit: int
) -> list[Known]:
    found = []
    for number, *words in kinds:
        rows = database.execute(
            "SELECT key FROM requests WHERE kind = ? ORDER BY key LIMIT ?", (number, limit)
        )
        found += [Known(key, *words) for (key,) in rows.fetchall()]
    return sorted(found, key=lambda known: known.key)[:limit]


def refresh(database: sqlite3.Connection, root: Path, until: float) -> bool:
    """Read what is new below `requests/` as far as time allows; returns whether that was all.

    *until* is a time of the monotonic clock.
    """
    top = f"{root}/{layout.REQUESTS}"
    try:
        with os.scandir(top) as entries:
            shards = sorted(e.name for e in entries if layout.SHARD.match(e.name))
    except OSError:
        shards = []
    names = f"{layout.REQUESTS}/%"
    rows = database.execute("SELECT path, modified, read FROM folders WHERE path LIKE ?", (names,))
    known = {name.rpartition("/")[2]: (modified, at) for name, modified, at in rows.fetchall()}
    for shard in known.keys() - set(shards):
        _forget(database, shard, _keys(database, shard))
        database.execute("DELETE FROM folders WHERE path = ?", (f"{layout.REQUESTS}/{shard}",))
    for shard in shards:
        modified, now = modified_ns(f"{top}/{shard}"), time.time_ns()
        if known.get(shard, (None, 0))[0] == modified and known[shard][1] - modified > SETTLED_NS:
            continue
        if not _read_shard(database, top, shard, until):
            return False
        database.execute(
            "INSERT OR REPLACE INTO folders VALUES (?, ?, ?)",
            (f"{layout.REQUESTS}/{shard}", modified, now),
        )
    return True


def _read_shard(database: sqlite3.Connection, top: str, shard: str, until: float) -> bool:
    if time.monotonic() > until:
        return False
    names = os.listdir(f"{top}/{shard}")
    there = {shard + name[:-5] for name in names if len(name) == 67 and name.endswith(".json")}
    known = _keys(database, shard)
    _forget(database, shard, known - there)
    new = sorted(there - known)
    for start in range(0, len(new), _BATCH):
        if start and time.monotonic() > until:
            return False
        rows = []
        for key in new[start : start + _BATCH]:
            # What is no key record is reported by verify.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                record = orjson.loads(read(f"{top}/{shard}/{key[2:]}.json"))
                body = record.get("body")
                model = str(body.get("model", "")) if isinstance(body, dict) else ""
                api, path = str(record.get("api", "")), str(record.get("path", ""))
                rows.append((key, _kind(database, api, path, model)))
        database.executemany("INSERT OR REPLACE INTO requests VALUES (?, ?)", rows)
    return True


def _kind(database: sqlite3.Connection, *words: str) -> int:
    where = "SELECT id FROM kinds WHERE api = ? AND path = ? AND model = ?"
    row = database.execute(where, words).fetchone()
    if row is None:
        database.execute("INSERT INTO kinds (api, path, model) VALUES (?, ?, ?)", words)
        row = database.execute(where, words).fetchone()
    return int(row[0])


def _keys(database: sqlite3.Connection, shard: str) -> set[str]:
    # "g" comes after every hex digit.
    rows = database.execute(
        "SELECT key FROM requests WHERE key > ? AND key < ?", (shard, f"{shard}g")
    )
    return {key for (key,) in rows.fetchall()}


def _forget(database: sqlite3.Connection, shard: str, keys: Iterable[str]) -> None:
    database.executemany(
        "DELETE FROM requests WHERE key = ?", [(key,) for key in keys if key.startswith(shard)]
    )
