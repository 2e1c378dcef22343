"""Which key records are most like a request, read piece by piece and kept as long as they hold."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from cas_llm.store import likeness
from cas_llm.store.likeness import Known, alike, refresh

FOREVER = float("inf")


@pytest.fixture
def database():
    made = sqlite3.connect(":memory:")
    made.executescript(likeness.SCHEMA)
    made.execute("CREATE TABLE folders (path TEXT PRIMARY KEY, modified INTEGER, read INTEGER)")
    yield made
    made.close()


def add(root: Path, key: str, api: str = "openai", path: str = "/v1", body: object = None) -> Known:
    place = root / "requests" / key[:2] / f"{key[2:]}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    record = {"api": api, "path": path} | ({} if body is None else {"body": body})
    place.write_text(json.dumps(record))
    model = body.get("model", "") if isinstance(body, dict) else ""
    return Known(key, api, path, str(model))


def key(start: str) -> str:
    return start.ljust(64, "0")


def settle(root: Path) -> None:
    then = time.time() - 60
    for folder, _, _ in os.walk(root):
        os.utime(folder, (then, then))


def all_of(database: sqlite3.Connection) -> list[Known]:
    return sorted(alike(database, "", "", "", 999), key=lambda known: known.key)


def test_the_nearest_come_first(database, tmp_path: Path) -> None:
    """API and path, then one of them, then neither; within those the model; then by key."""
    made = [
        add(tmp_path, key("07"), "openai", "/chat", {"model": "a"}),
        add(tmp_path, key("09"), "openai", "/chat", {"model": "a"}),
        add(tmp_path, key("01"), "openai", "/chat", {"model": "b"}),
        add(tmp_path, key("08"), "openai", "/other", {"model": "a"}),
        add(tmp_path, key("0a"), "azure", "/chat", {"model": "a"}),
        add(tmp_path, key("02"), "openai", "/other", {"model": "b"}),
        add(tmp_path, key("03"), "azure", "/chat", {"model": "b"}),
        add(tmp_path, key("06"), "azure", "/other", {"model": "a"}),
        add(tmp_path, key("00"), "azure", "/other", {"model": "b"}),
    ]
    assert refresh(database, tmp_path, FOREVER)
    for limit in (99, 9, 5, 2, 1):
        assert alike(database, "openai", "/chat", "a", limit) == made[:limit]


@pytest.mark.parametrize(
    ("body", "model"), [(None, ""), ([], ""), ({}, ""), ({"model": 7}, "7"), ("text", "")]
)
def test_a_record_without_a_model_is_known_all_the_same(
    database, tmp_path: Path, body: object, model: str
) -> None:
    """By its API and path."""
    add(tmp_path, key("ab"), body=body)
    refresh(database, tmp_path, FOREVER)
    assert all_of(database) == [Known(key("ab"), "openai", "/v1", model)]


def test_what_is_no_record_is_passed_over(database, tmp_path: Path) -> None:
    """A list, no JSON, another name, another folder: `verify` tells of them."""
    good = add(tmp_path, key("ab"))
    shard = tmp_path / "requests" / "ab"
    (shard / f"{'1' * 62}.json").write_text("[]")
    (shard / f"{'2' * 62}.json").write_text("not json")
    (shard / f"{'3' * 62}.text").write_text("{}")
    (shard / f"{'4' * 61}.json").write_text("{}")
    add(tmp_path, key("zz"))
    (tmp_path / "requests" / "abc").mkdir()
    assert refresh(database, tmp_path, FOREVER)
    assert all_of(database) == [good]


def test_records_that_went_are_forgotten(database, tmp_path: Path) -> None:
    """One of a folder, or the folder with all of them; no other folder's."""
    here, there, last = (add(tmp_path, key(start)) for start in ("ab1", "ab2", "ac"))
    refresh(database, tmp_path, FOREVER)
    assert all_of(database) == [here, there, last]
    (tmp_path / "requests" / "ab" / f"{here.key[2:]}.json").unlink()
    refresh(database, tmp_path, FOREVER)
    assert all_of(database) == [there, last]
    shutil.rmtree(tmp_path / "requests" / "ab")
    refresh(database, tmp_path, FOREVER)
    assert all_of(database) == [last]
    shutil.rmtree(tmp_path / "requests")
    assert refresh(database, tmp_path, FOREVER)
    assert all_of(database) == []


def test_a_settled_folder_is_not_read_again(database, tmp_path: Path, monkeypatch) -> None:
    """A young one is: it may have changed unseen."""
    listed, real = [], os.listdir
    monkeypatch.setattr(
        likeness.os, "listdir", lambda place: (listed.append(Path(place).name), real(place))[1]
    )
    add(tmp_path, key("ab"))
    add(tmp_path, key("cd"))
    settle(tmp_path)
    add(tmp_path, key("ce"))
    refresh(database, tmp_path, FOREVER)
    assert listed == ["ab", "cd", "ce"]
    listed.clear()
    assert refresh(database, tmp_path, FOREVER)
    assert listed == ["ce"]
    listed.clear()
    os.utime(tmp_path / "requests" / "ab", (1, 1))
    refresh(database, tmp_path, FOREVER)
    assert listed == ["ab", "ce"]


def test_known_records_are_not_read_again(database, tmp_path: Path, monkeypatch) -> None:
    """Their names are digests of what is in them."""
    add(tmp_path, key("ab1"))
    refresh(database, tmp_path, FOREVER)
    second = add(tmp_path, key("ab2"))
    opened, real = [], likeness.read
    monkeypatch.setattr(likeness, "read", lambda path: (opened.append(path), real(path))[1])
    refresh(database, tmp_path, FOREVER)
    assert [Path(path).name for path in opened] == [f"{second.key[2:]}.json"]


def test_what_there_is_no_time_for_is_read_by_the_next(database, tmp_path: Path, monkeypatch):
    """At least one batch of 64 of a folder that was begun; nothing once the time is over."""
    for number in range(200):
        add(tmp_path, key(f"ab{number:03d}"))
    add(tmp_path, key("cd"))
    settle(tmp_path)
    now = [0.0]

    def tick() -> float:
        now[0] += 1
        return now[0]

    monkeypatch.setattr(likeness.time, "monotonic", tick)
    assert not refresh(database, tmp_path, 0)
    assert all_of(database) == []
    counts = []
    for _ in range(3):
        now[0] = 0.0
        whole = refresh(database, tmp_path, 1)
        counts.append((whole, len(all_of(database))))
    assert counts == [(False, 64), (False, 128), (False, 192)]
    now[0] = 0.0
    assert refresh(database, tmp_path, 99)
    assert len(all_of(database)) == 201
