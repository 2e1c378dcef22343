"""The whole store: what it writes, what it refuses, and what it says."""

import errno
import os
import shutil
import subprocess

import pytest

from cas_llm.digest import digest_of
from cas_llm.errors import (
    FormatTooNew,
    ManifestInvalid,
    NotAStore,
    ObjectCorrupt,
    ObjectMissing,
    StoreError,
)
from cas_llm.store import Answer, Recording, Shared, Store, Tape, layout
from cas_llm.store.tape import Turn
from cas_llm.wire import Response

RECORD = b'{\n  "k": 1\n}\n'
KEY = digest_of(RECORD)
PART = b"a long system prompt\n" * 9


def recording(body=b'{"a":1}'):
    answer = Answer(KEY, Response(200, (("content-type", "image/png"),), body), "0" * 8)
    return Recording(RECORD, answer, {digest_of(PART): ("txt", PART)})


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "cache_store")
    yield store
    store.close()


def files(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and layout.LOCAL not in path.parts
    }


def test_a_store_that_is_not_there_is_an_empty_one(store):
    """Asking creates nothing."""
    assert not store.exists
    assert store.is_empty()
    assert store.writable
    assert store.manifest.tapes_of("t") == store.manifest.shared_of(KEY) == ()
    store.flush()
    assert not store.root.exists()


def test_the_first_write_explains_the_store(store):
    """Format, attributes, ignore file and README; those that are there stay."""
    store.root.mkdir()
    (store.root / "README.md").write_text("mine")
    (store.root / "format").write_text(f"{layout.FORMAT}\n")
    store.prepare()
    assert sorted(files(store.root)) == [".gitattributes", ".gitignore", "README.md", "format"]
    assert (store.root / "README.md").read_text() == "mine"
    Store(store.root)


def test_what_was_saved_is_loaded(store):
    """The answer with its response."""
    digest = store.save(recording(b"\xff" * 5000))
    assert store.load(digest) == recording(b"\xff" * 5000).answer
    assert store.objects.get_request(KEY) == RECORD
    assert store.is_empty()
    store.add_shared(Shared(KEY, 0, "0" * 8, 1, digest))
    assert not store.is_empty()


def test_a_key_is_asked_for_whoever_recorded_it(store):
    """Nobody's is the default itself, a test's is found on its tape, a script's comes first."""
    nothing = object()
    assert not store.has(KEY)
    assert store.get(KEY, nothing) is nothing
    assert not store.root.exists()
    tests, scripts = (store.save(recording(body)) for body in (b'{"test":1}', b'{"script":1}'))
    assert not store.has(KEY)
    store.add_tape(Tape("tests/test_a.py::test_a", 0, "", (Turn(KEY, tests),)))
    assert store.get(KEY, nothing) == store.load(tests)
    store.add_shared(Shared(KEY, 0, "0" * 8, 1, scripts))
    assert store.has(KEY)
    assert store.get(KEY, nothing) == store.load(scripts)


def test_sha256sum_proves_every_request_and_object(store):
    """A file's path is the digest of its bytes, all the rest aside."""
    store.save(recording(b"\xff" * 5000))
    held = [name for name in files(store.root) if name.startswith(("requests/", "objects/"))]
    assert len(held) == 4
    for name in held:
        command = ["sha256sum", store.root / name]
        printed = subprocess.run(command, check=True, capture_output=True, text=True)
        _folder, shard, rest = name.split("/")
        assert printed.stdout.split()[0] == shard + rest.partition(".")[0]


def test_what_names_comes_after_what_is_named(store, monkeypatch):
    """Parts, then the key record, then the answer."""
    order, real = [], store._writer.add
    monkeypatch.setattr(
        store._writer, "add", lambda path, data: (order.append(path), real(path, data))[1]
    )
    digest = store.save(recording(b"\xff" * 5000))
    names = [path.relative_to(store.root).parts for path in order if len(path.parts) > 2]
    kinds = [name[0] for name in names if name[0] in {"objects", "requests"}]
    assert kinds == ["objects", "objects", "requests", "objects"]
    assert order[-1] == layout.object_path(store.root, digest)


def test_recording_only_adds(store):
    """No file is changed by what is recorded later."""
    digest = store.save(recording())
    store.add_tape(Tape("t", 0, "", (Turn(KEY, digest),)))
    before = files(store.root)
    other = store.save(recording(b"other"))
    store.add_tape(Tape("t", 1, "", (Turn(KEY, other),)))
    store.add_shared(Shared(KEY, 0, "0" * 8, 1, other))
    after = files(store.root)
    assert before.items() <= after.items()
    assert len(after) > len(before)


def damage(path, how):
    data = path.read_bytes()
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "conflict":
        path.write_bytes(b"<<<<<<< HEAD\n" + data + b"=======\n>>>>>>> other\n")
    elif how == "missing":
        path.unlink()


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty", "conflict", "missing"])
@pytest.mark.parametrize("which", ["answer", "part", "request", "tape"])
def test_every_damaged_file_is_one_clear_error(store, which, how):
    """It names the file and the command; never another answer, never a parser's error."""
    digest = store.save(recording(b"\xff" * 5000))
    part = digest_of(b"\xff" * 5000)
    tape = Tape("t", 0, "", (Turn(KEY, digest),))
    path, ask = {
        "answer": (layout.object_path(store.root, digest), lambda: store.load(digest)),
        "part": (layout.object_path(store.root, part, "png"), lambda: store.load(digest)),
        "request": (layout.request_path(store.root, KEY), lambda: store.objects.get_request(KEY)),
        "tape": (store.add_tape(tape), lambda: store.manifest.tapes_of("t")),
    }[which]
    damage(path, how)
    if (which, how) == ("tape", "missing"):
        assert ask() == ()
        return
    with pytest.raises((ObjectCorrupt, ObjectMissing, ManifestInvalid)) as raised:
        ask()
    assert str(path) in str(raised.value)
    assert "cas-llm verify --repair" in str(raised.value)
    assert raised.value.path == path


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    """Nothing is written among somebody else's files."""
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(NotAStore, match="cas-llm init"):
        Store(tmp_path)


def test_a_later_format_is_refused(tmp_path):
    """With the upgrade command, before anything is read or written."""
    (tmp_path / "format").write_text("cas-llm/store/2\n")
    with pytest.raises(FormatTooNew, match="pip install -U cas-llm"):
        Store(tmp_path)


def test_what_a_killed_first_writer_left_is_still_a_store(tmp_path):
    """Local files alone, or the format file alone."""
    (tmp_path / ".local" / "tmp").mkdir(parents=True)
    store = Store(tmp_path)
    store.prepare()
    for name in (".gitignore", ".gitattributes", "README.md"):
        (tmp_path / name).unlink()
    again = Store(tmp_path)
    again.prepare()
    assert (tmp_path / ".gitattributes").read_text() == layout.GITATTRIBUTES


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("call", ["write", "link", "mkdir"])
@pytest.mark.parametrize("step", ["prepare", "save", "promote", "tape", "shared"])
def test_a_refused_write_is_one_clear_error(tmp_path, monkeypatch, step, call, number):
    """Place, reason, next command; what was there before is unharmed, and the next try works."""
    store = Store(tmp_path / "cache_store")
    waiting, data = recording(b"waiting").files()
    store.pending.stage(
        "11111111", scope="t", key=KEY, ordinal=1, digest=waiting, captured=False, files=data
    )
    if step != "prepare":
        store.prepare()
    digest = digest_of(b"")
    steps = {
        "prepare": store.prepare,
        "save": lambda: store.save(recording()),
        "promote": lambda: store.promote(waiting),
        "tape": lambda: store.add_tape(Tape("t", 0, "", (Turn(KEY, digest),))),
        "shared": lambda: store.add_shared(Shared(KEY, 0, "0" * 8, 1, digest)),
    }
    before = files(store.root)
    with monkeypatch.context() as patched:

        def refuse(*_args, **_kwargs):
            raise OSError(number, os.strerror(number))

        patched.setattr(os, call, refuse)
        if step == "shared" and call in {"write", "link"}:
            steps[step]()  # an empty file needs neither
            return
        with pytest.raises(StoreError, match=os.strerror(number)) as raised:
            steps[step]()
    assert str(store.root) in str(raised.value)
    assert "CAS_LLM_MODE=replay" in str(raised.value)
    assert before.items() <= files(store.root).items()
    steps[step]()
    store.close()


def test_a_copy_of_a_store_is_the_store(store, tmp_path):
    """Nothing in it says where it lies."""
    digest = store.save(recording())
    tape = Tape("t", 0, "", (Turn(KEY, digest),))
    store.add_tape(tape)
    assert len(store.index.tapes_with(KEY)) == 1
    store.close()
    shutil.copytree(store.root, tmp_path / "copy")
    copy = Store(tmp_path / "copy")
    assert copy.load(digest) == recording().answer
    assert copy.manifest.tapes_of("t") == (tape,)
    assert copy.index.tapes_with(KEY) == [tape.path(copy.root)]
    copy.close()


def test_durable_leaves_nothing_to_flush(tmp_path, monkeypatch):
    """Every write was synced before it returned."""
    seen, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append(handle), real(handle)))
    store = Store(tmp_path / "cache_store", durable=True)
    store.save(recording())
    count = len(seen)
    assert count > 6
    store.flush()
    assert len(seen) == count
