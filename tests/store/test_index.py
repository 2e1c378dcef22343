"""The index is derived: right whatever happens to its file, and never trusted beyond the disk."""

import gc
import json
import os
import sqlite3
import subprocess
import sys
import time

import pytest

from cas_llm.digest import digest_of
from cas_llm.store import Store, Tape, index
from cas_llm.store.index import Known
from cas_llm.store.tape import Turn

KEY, OTHER, DIGEST = digest_of(b"key"), digest_of(b"other"), digest_of(b"digest")


def tape(scope="tests/test_a.py::t", *keys, take=0):
    return Tape(scope, take, "", tuple(Turn(key, DIGEST) for key in keys or (KEY,)))


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "cache_store")
    store.prepare()
    yield store
    store.close()


def file_of(store):
    return store.root / ".local" / "index.sqlite3"


def settle(store):
    """Make every folder look as if it had changed long ago."""
    then = time.time() - 60
    for folder, _, _ in os.walk(store.root):
        os.utime(folder, (then, then))


def reads(store, monkeypatch):
    seen, real = [], store.index._read_tapes
    monkeypatch.setattr(
        store.index, "_read_tapes", lambda db, folder: (seen.append(folder), real(db, folder))
    )
    return seen


def test_it_finds_the_tapes_of_a_key(store):
    """Every tape that holds it, whatever its scope and folder."""
    first = store.add_tape(tape("tests/a.py::t"))
    second = store.add_tape(tape("tests/b/c.py::u", OTHER, KEY))
    store.add_tape(tape("tests/b/c.py::v", OTHER))
    assert store.index.tapes_with(KEY) == sorted([first, second])
    assert store.index.scopes_with(KEY) == ["tests/a.py::t", "tests/b/c.py::u"]
    assert len(store.index.tapes_naming(DIGEST)) == 3
    assert store.index.tapes_with(DIGEST) == []


def test_an_empty_or_absent_store_has_nothing(tmp_path):
    """Asking creates nothing where there is no store yet."""
    store = Store(tmp_path / "cache_store")
    assert store.index.tapes_with(KEY) == []
    assert store.index.alike("openai", "/v1", "m") == []
    assert not store.root.exists()
    store.root.mkdir()
    fresh = Store(store.root)
    assert fresh.index.tapes_with(KEY) == []
    assert list(store.root.iterdir()) == []
    store.close()
    fresh.close()


def test_a_settled_folder_is_not_read_again(store, monkeypatch):
    """Its time is the one that was noted, and lay two seconds before that reading."""
    store.add_tape(tape())
    settle(store)
    seen = reads(store, monkeypatch)
    assert len(store.index.tapes_with(KEY)) == 1
    count = len(seen)
    assert len(store.index.tapes_with(KEY)) == 1
    assert count > 0
    assert len(seen) == count


def test_a_young_folder_is_read_again(store, monkeypatch):
    """A change within the grain of the file system's clock is seen."""
    path = store.add_tape(tape())
    assert len(store.index.tapes_with(KEY)) == 1
    then = path.parent.stat().st_mtime_ns
    second = store.add_tape(tape(take=1))
    os.utime(second.parent, ns=(then, then))
    assert store.index.tapes_with(KEY) == sorted([path, second])


def test_a_tape_another_process_added_is_seen(store):
    """At once, in a new folder and in a known one, and so is one that went."""
    settle(store)
    assert store.index.tapes_with(KEY) == []
    other = Store(store.root)
    path = other.add_tape(tape("new/test_a.py::t"))
    assert store.index.tapes_with(KEY) == [path]
    settle(store)
    assert store.index.tapes_with(KEY) == [path]
    path.unlink()
    assert store.index.tapes_with(KEY) == []
    path.parent.rmdir()
    assert store.index.tapes_with(KEY) == []
    other.close()


def test_a_deleted_index_is_built_again(store):
    """Nothing but time is lost."""
    path = store.add_tape(tape())
    settle(store)
    assert store.index.tapes_with(KEY) == [path]
    store.close()
    file_of(store).unlink()
    assert store.index.tapes_with(KEY) == [path]
    assert file_of(store).is_file()


def test_an_index_file_deleted_under_an_open_one_changes_nothing(store):
    """The open one goes on."""
    path = store.add_tape(tape())
    store.index.tapes_with(KEY)
    file_of(store).unlink()
    assert store.index.tapes_with(KEY) == [path]


@pytest.mark.parametrize(
    "content", [b"", b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_index_is_replaced(store, content):
    """Whatever lies in its place."""
    path = store.add_tape(tape())
    file_of(store).write_bytes(content)
    assert store.index.tapes_with(KEY) == [path]


def test_an_index_of_another_version_is_replaced(store):
    """An older or newer cas-llm's index is built anew."""
    path = store.add_tape(tape())
    database = sqlite3.connect(file_of(store))
    database.executescript("CREATE TABLE tapes (x); PRAGMA user_version = 99;")
    database.close()
    assert store.index.tapes_with(KEY) == [path]


@pytest.mark.parametrize("page", range(1, 11))
def test_a_damaged_page_gives_no_error_and_no_other_answer(store, page):
    """Where damage shows only when a question reads that page, the index starts anew."""
    paths = [
        store.add_tape(tape(f"t/{n}.py::t", *[digest_of(b"%d" % n)] * 20, KEY)) for n in range(9)
    ]
    settle(store)
    store.index.tapes_with(KEY)
    store.close()
    data = bytearray(file_of(store).read_bytes())
    assert len(data) > 10 * 4096
    data[page * 4096 : (page + 1) * 4096] = b"\xa5" * 4096
    file_of(store).write_bytes(data)
    assert store.index.tapes_with(KEY) == sorted(paths)
    store.close()
    assert store.index.tapes_with(KEY) == sorted(paths)


def test_a_locked_index_is_done_without(store, monkeypatch):
    """Another process holds it: this one keeps its own in memory, and locks nobody out."""
    path = store.add_tape(tape())
    store.index.tapes_with(KEY)
    store.close()
    real = sqlite3.connect
    monkeypatch.setattr(
        index.sqlite3, "connect", lambda *a, **k: real(*a, **(k | {"timeout": 0.05}))
    )
    holder = real(file_of(store))
    holder.execute("BEGIN EXCLUSIVE")
    second = store.add_tape(tape(take=1))
    inode = file_of(store).stat().st_ino
    assert store.index.tapes_with(KEY) == sorted([path, second])
    holder.execute("ROLLBACK")
    assert file_of(store).stat().st_ino == inode
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("ROLLBACK")
    holder.close()


def test_a_lock_met_while_writing_is_given_up(store, monkeypatch):
    """A connection that could not write holds no lock on the file afterwards."""
    store.add_tape(tape())
    real = sqlite3.connect
    monkeypatch.setattr(
        index.sqlite3, "connect", lambda *a, **k: real(*a, **(k | {"timeout": 0.05}))
    )
    store.index.tapes_with(KEY)
    holder = real(file_of(store), timeout=0.05)
    holder.execute("BEGIN IMMEDIATE")
    second = store.add_tape(tape("other/t.py::t"))
    assert second in store.index.tapes_with(KEY)
    holder.execute("CREATE TABLE mine (x)")
    holder.execute("COMMIT")
    holder.close()


@pytest.mark.parametrize(
    "refused", [PermissionError(13, "no"), OSError(30, "Read-only file system")]
)
def test_a_read_only_checkout_replays_without_local(store, monkeypatch, refused):
    """The index lives in memory."""
    path = store.add_tape(tape())
    before = sorted(store.root.rglob("*"))

    def refuse(*_args, **_kwargs):
        raise refused

    monkeypatch.setattr(index.Path, "mkdir", refuse)
    assert store.index.tapes_with(KEY) == [path]
    assert sorted(store.root.rglob("*")) == before


def test_a_read_only_index_file_is_done_without(store, monkeypatch):
    """It can be read but not brought up to date."""
    path = store.add_tape(tape())
    store.index.tapes_with(KEY)
    store.close()
    real = sqlite3.connect

    def read_only(place, **options):
        if place == ":memory:":
            return real(place, **options)
        return real(f"file:{place}?mode=ro", uri=True, **options)

    monkeypatch.setattr(index.sqlite3, "connect", read_only)
    second = store.add_tape(tape("other/t.py::t"))
    assert store.index.tapes_with(KEY) == sorted([path, second])


def test_a_damaged_tape_is_not_offered(store):
    """It is `verify` that reports it; other scopes don't fall over it."""
    good, bad = store.add_tape(tape("a.py::t")), store.add_tape(tape("b.py::t"))
    bad.write_bytes(b"x")
    assert store.index.tapes_with(KEY) == [good]


def test_many_processes_may_make_it_at_once(store):
    """Each gets a whole index, and the last file is sound."""
    paths = sorted(store.add_tape(tape(f"t/{n}.py::t")) for n in range(5))
    program = (
        "import sys; from pathlib import Path; from cas_llm.store import Store;"
        "store = Store(Path(sys.argv[1])); sys.stdin.read();"
        "assert len(store.index.tapes_with(sys.argv[2])) == 5; store.close()"
    )
    argv = [sys.executable, "-c", program, str(store.root), KEY]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    children = [subprocess.Popen(argv, stdin=subprocess.PIPE, env=environment) for _ in range(4)]
    for child in children:
        child.stdin.close()
    assert [child.wait(30) for child in children] == [0] * 4
    assert store.index.tapes_with(KEY) == paths
    assert store.index._database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_forked_child_opens_its_own(store):
    """The parent's connection is neither used nor closed by it."""
    path = store.add_tape(tape())
    assert store.index.tapes_with(KEY) == [path]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            second = store.add_tape(tape("child.py::t"))
            gc.collect()
            os.write(writing, b"%d" % (second in store.index.tapes_with(KEY)))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reading, 10) == b"1"
    os.close(reading)
    assert len(store.index.tapes_with(KEY)) == 2


def test_alike_ranks_by_api_and_path_and_then_model(store):
    """Nearest first; other APIs come last, and a file that is no record is passed over."""

    def add(api, path, model):
        data = json.dumps({"api": api, "path": path, "body": {"model": model}}).encode()
        store.objects.add_request(digest_of(data), data)
        return Known(digest_of(data), api, path, model)

    far = add("anthropic", "/v1/messages", "c")
    other_model = add("openai", "/v1/chat", "b")
    same = add("openai", "/v1/chat", "a")
    store.objects.add_request(OTHER, b"not json")
    store.objects.add_request(KEY, b"[]")
    assert store.index.alike("openai", "/v1/chat", "a") == [same, other_model, far]
    assert store.index.alike("openai", "/v1/chat", "a", limit=1) == [same]
    settle(store)
    later = add("openai", "/v1/chat", "later")
    assert later in store.index.alike("openai", "/v1/chat", "a")


def test_the_first_scope_of_each_key_is_told(store):
    """The smallest name among those whose tapes hold it; keys that no tape holds are left out."""
    store.add_tape(tape("tests/b.py::t", KEY, OTHER))
    store.add_tape(tape("tests/a.py::t", KEY))
    store.add_tape(tape("tests/c.py::t", OTHER, take=3))
    assert store.index.first_scopes([KEY, OTHER, DIGEST]) == {
        KEY: "tests/a.py::t",
        OTHER: "tests/b.py::t",
    }
    assert store.index.first_scopes([OTHER]) == {OTHER: "tests/b.py::t"}
    assert store.index.first_scopes([]) == {}


def test_calls_made_within_a_body_are_found_too(store):
    """By their key and by their answer."""
    inner, answered = digest_of(b"inner"), digest_of(b"answered")
    turns = (Turn(KEY, DIGEST, within=((inner, answered),)),)
    path = store.add_tape(Tape("tests/a.py::t", 0, "", turns))
    assert store.index.tapes_with(inner) == store.index.tapes_naming(answered) == [path]


def record(api, path, model):
    return json.dumps({"api": api, "path": path, "body": {"model": model}}).encode()


def test_a_process_that_spent_its_time_reads_no_more_key_records(store):
    """A thousand misses don't wait a thousand times; whoever has time reads all."""
    data = record("openai", "/v1/chat", "m")
    store.objects.add_request(digest_of(data), data)
    store.index._left = 0.0
    assert store.index.alike("openai", "/v1/chat", "m") == []
    store.index.complete()
    assert store.index.alike("openai", "/v1/chat", "m") == [
        Known(digest_of(data), "openai", "/v1/chat", "m")
    ]


def test_reading_for_likeness_takes_from_the_time_of_the_process(store, monkeypatch):
    """Three seconds in all, three tenths a question, never less than none."""
    now, given = [100.0], []
    monkeypatch.setattr(index.time, "monotonic", lambda: now[0])

    def refresh(_database, _root, until):
        given.append(round(until - now[0], 6))
        now[0] += 1.3

    monkeypatch.setattr(index.likeness, "refresh", refresh)
    for _ in range(4):
        store.index.alike("openai", "/v1/chat", "m")
    assert given == [0.3, 0.3, 0.3, 0.0]


def test_complete_reads_the_tapes_too(store, monkeypatch):
    """What is complete is not read again by the next question."""
    store.add_tape(tape())
    settle(store)
    seen = reads(store, monkeypatch)
    store.index.complete()
    count = len(seen)
    assert count > 0
    assert len(store.index.tapes_with(KEY)) == 1
    assert len(seen) == count


def test_an_index_that_is_dropped_closes_its_database(tmp_path):
    """Nothing is left open for the garbage collector, of which Python 3.13 warns."""
    store = Store(tmp_path / "s")
    store.prepare()
    store.index.tapes_with("0" * 64)
    database = store.index._database
    del store
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")
