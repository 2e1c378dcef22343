"""What the store's errors say, word for word: the place, the reason, the next command."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cas_llm.digest import digest_of
from cas_llm.errors import ManifestInvalid, ObjectCorrupt, ObjectMissing, StoreError
from cas_llm.store import Answer, Recording, Shared, Store, answer, layout, members, objects, tape
from cas_llm.store.files import cannot_read, cannot_sync, cannot_write
from cas_llm.store.pending import Pending
from cas_llm.wire import Response

RECORD = b'{\n  "k": 1\n}\n'
KEY, GONE = digest_of(RECORD), digest_of(b"gone")
FULL = OSError(errno.ENOSPC, "No space left on device", "a/b")
ROOM = "Make room or make it writable, or replay only: CAS_LLM_MODE=replay"
RESTORE = "restore it from git with: cas-llm verify --repair"


@pytest.fixture
def store(tmp_path: Path):
    made = Store(tmp_path / "cache_store")
    yield made
    made.close()


def test_a_refused_write_read_or_sync_says_what_to_do() -> None:
    """Each with its path; the operating system's word for it, or all it says."""
    place = Path("s/x")
    for made, text in (
        (
            cannot_write,
            f"cannot write s/x: {{}}; nothing was left half written. {ROOM}",
        ),
        (
            cannot_read,
            "cannot read s/x: {}; look at its permissions and its disk, then: cas-llm verify",
        ),
    ):
        assert str(made(place, FULL)) == text.format("No space left on device")
        assert str(made(place, OSError("odd"))) == text.format("odd")
        assert made(place, FULL).path == place
    text = (
        "cannot sync {} to the disk: {}; what was recorded last may be lost when the machine "
        "stops. Look at the disk, then: cas-llm verify"
    )
    assert str(cannot_sync(place, FULL)) == text.format("a/b", "No space left on device")
    assert cannot_sync(place, FULL).path == Path("a/b")
    assert str(cannot_sync(place, OSError("odd"))) == text.format("s/x", "odd")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"other", "was changed or cut off"),
        (b"a\n<<<<<<< ours\nb", "holds merge conflict markers"),
        (b"<<<<<<< ours\nb", "holds merge conflict markers"),
        (b"x" * 4096 + b"\n<<<<<<< ours\n", "was changed or cut off"),
    ],
)
def test_bytes_that_are_not_what_they_were_say_how(data: bytes, what: str) -> None:
    """With the file, the digest that was meant, and the command."""
    with pytest.raises(ObjectCorrupt) as raised:
        objects.check(data, GONE, "o/x.json")
    assert str(raised.value) == (
        f"o/x.json {what}: its {len(data)} bytes do not have the digest of its name; {RESTORE}"
    )
    assert (raised.value.digest, raised.value.path) == (GONE, Path("o/x.json"))


def test_an_object_that_cannot_be_had_says_why(store: Store, monkeypatch) -> None:
    """Missing and refused are two things."""
    path = layout.object_path(store.root, GONE)
    with pytest.raises(ObjectMissing) as raised:
        store.objects.get(GONE)
    assert str(raised.value) == f"{path} is missing, though the manifest names it; {RESTORE}"
    assert (raised.value.digest, raised.value.path) == (GONE, path)

    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(objects, "read", refuse)
    with pytest.raises(ObjectMissing) as raised:
        store.objects.get(GONE)
    assert str(raised.value) == (
        f"{path} cannot be read (Permission denied); check the file's permissions"
    )
    assert (raised.value.digest, raised.value.path) == (GONE, path)


def test_an_answer_that_is_nowhere_names_the_command_that_records_it(store: Store) -> None:
    """Neither in the store nor pending."""
    with pytest.raises(ObjectMissing) as raised:
        store.promote(GONE)
    assert str(raised.value) == (
        f"the answer {GONE[:12]} is neither in {store.root} nor pending; "
        "record it again: pytest --cas-llm=fallback"
    )
    assert raised.value.digest == GONE
    assert raised.value.path == layout.object_path(store.root, GONE)


GOOD = answer.encode(Answer(KEY, Response(200, (), b"text"), "0" * 8))[0]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            b"cas-llm/answer/1",
            b"cas-llm/answer/9",
            "its format is 'cas-llm/answer/9', not 'cas-llm/answer/1'",
        ),
        (b'"provenance": {}', b'"provenance": []', "its provenance is no object"),
        (b'"status": 200', b'"status": "200"', "'200' stands where a count must"),
        (b'"status": 200', b'"status": -1', "-1 stands where a count must"),
        (b'"ordinal": 1', b'"ordinal": true', "True stands where a count must"),
        (b'"run": "00000000"', b'"run": 0', "0 stands where a text must"),
        (b'"headers": []', b'"headers": {}', "{} stands where a list of texts must"),
        (b'"headers": []', b'"headers": [7]', "7 stands where a text must"),
        (b'"text": [', b'"base64": "%", "t": [', "its body is not base64: "),
        (b'"text": [', b'"style": "odd", "t": [', "its body has the unknown style 'odd'"),
        (b'"text": [', b'"part": "x", "ext": "t", "t": [', "'x' is not 64 hex digits"),
    ],
)
def test_what_is_no_answer_says_where_it_goes_wrong(old: bytes, new: bytes, why: str) -> None:
    """The file, the reason and the command."""
    data = GOOD.replace(old, new)
    assert data != GOOD
    with pytest.raises(ManifestInvalid) as raised:
        answer.decode(data, lambda *_: b"", path="o/x.json")
    head = "o/x.json is not an answer this version can read ("
    assert str(raised.value).startswith(f"{head}{why}")
    assert str(raised.value).endswith(f"); {RESTORE}")
    assert raised.value.path == Path("o/x.json")


def test_a_body_that_does_not_come_out_says_so() -> None:
    """With the file, the digest that was noted, and the command."""
    data = GOOD.replace(b'"text"\n', b'"next"\n')
    with pytest.raises(ObjectCorrupt) as raised:
        answer.decode(data, lambda *_: b"", path="o/x.json")
    assert str(raised.value) == (
        f"o/x.json: the body it gives is not the one that was recorded; {RESTORE}"
    )
    assert raised.value.digest == digest_of(b"text")
    assert raised.value.path == Path("o/x.json")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"x", "it was edited or cut off: its name does not carry its digest"),
        (b"<<<<<<< ours\n", "it holds merge conflict markers"),
        (b"{}\n", "'format'"),
        (b'{"format": 2}\n', "its format is 2, not 'cas-llm/tape/1'"),
    ],
)
def test_what_is_no_tape_says_why(data: bytes, why: str) -> None:
    """With the file and the command."""
    short = digest_of(data)[:16] if data.startswith(b"{") else "0" * 16
    path = Path(f"manifest/tapes/t/t.0.{short}.json")
    with pytest.raises(ManifestInvalid) as raised:
        tape.decode(data, path)
    assert str(raised.value) == f"{path} is not a tape that can be used ({why}); {RESTORE}"
    assert raised.value.path == path


@pytest.mark.parametrize(
    ("read", "value", "what"),
    [
        (members.text, 7, "7 stands where a text must"),
        (members.count, "7" * 70, "'" + "7" * 59 + " stands where a count must"),
        (members.count, 2**53, f"{2**53} stands where a count must"),
    ],
)
def test_a_member_of_another_type_is_shown(read, value: object, what: str) -> None:
    """In at most sixty characters."""
    with pytest.raises(ValueError) as raised:
        read(value)
    assert str(raised.value) == what


def test_a_flush_tries_all_and_tells_the_first_refusal(store: Store, monkeypatch) -> None:
    """What waits is synced even where the store's own files were refused, and the other way."""
    asked = []

    def refuse(name: str, error: OSError | None):
        def flush() -> None:
            asked.append(name)
            if error:
                raise error

        return flush

    first, second = (OSError(errno.EIO, f"{word} refused", word) for word in ("first", "second"))
    for one, other, said in (
        (first, second, "first"),
        (first, None, "first"),
        (None, second, "second"),
    ):
        asked.clear()
        monkeypatch.setattr(store._writer, "flush", refuse("store", one))
        monkeypatch.setattr(store.pending, "flush", refuse("pending", other))
        with pytest.raises(StoreError, match=f"cannot sync {said} to the disk: {said} refused"):
            store.flush()
        assert asked == ["store", "pending"]
    monkeypatch.undo()


def test_closing_closes_the_index_though_the_disk_refuses(store: Store, monkeypatch) -> None:
    """No connection stays open because of another error."""
    closed = []
    monkeypatch.setattr(store.index, "close", lambda: closed.append(1))

    def refuse() -> None:
        raise FULL

    monkeypatch.setattr(store._writer, "flush", refuse)
    with pytest.raises(StoreError, match="cannot sync"):
        store.close()
    assert closed == [1]
    monkeypatch.undo()


def test_a_store_that_cannot_be_opened_or_written_says_so(tmp_path: Path, monkeypatch) -> None:
    """Each step of writing names the file it was about."""
    store = Store(tmp_path / "s")
    store.prepare()
    digest, files = Recording(RECORD, Answer(KEY, Response(200, (), b"{}"), "0" * 8), {}).files()

    def refuse(*_: object, **__: object) -> None:
        raise FULL

    for name in ("add", "mark", "replace"):
        monkeypatch.setattr(store._writer, name, refuse)
    made = tape.Tape("t", 0, "", (tape.Turn(KEY, digest),))
    for work, place in (
        (lambda: store.write(files), layout.request_path(store.root, KEY)),
        (lambda: store.add_tape(made), made.path(store.root)),
        (lambda: store.add_shared(Shared(KEY, 0, "0" * 8, 1, digest)), store.root / layout.SHARED),
    ):
        with pytest.raises(StoreError) as raised:
            work()
        assert str(raised.value) == str(cannot_write(place, FULL))
        assert raised.value.path == place
    monkeypatch.undo()
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(StoreError) as raised:
        Store(tmp_path / "s")
    assert str(raised.value) == str(cannot_read(tmp_path / "s", FULL))
    monkeypatch.undo()


def test_a_folder_of_tapes_that_cannot_be_listed_is_not_empty(store: Store, monkeypatch) -> None:
    """It is named; a folder that is not there holds none."""
    assert list(store.manifest.tape_paths()) == []

    def refuse(_place: str) -> None:
        raise PermissionError(13, "Permission denied", "a/b")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StoreError) as raised:
        list(store.manifest.tape_paths())
    assert raised.value.path == Path("a/b")
    monkeypatch.undo()


def test_what_a_killed_writer_left_is_swept_by_the_next(tmp_path: Path) -> None:
    """Temporary files lie in `.local/tmp`, for every writer of the store."""
    left = tmp_path / "s" / ".local" / "tmp" / "999999999.1.0"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    Store(tmp_path / "s").prepare()
    assert not left.exists()
    assert left.parent.is_dir()


def test_a_pending_answer_that_is_not_whole_says_so(tmp_path: Path) -> None:
    """It names the file that is missing, and that it has to be recorded again."""
    pending = Pending(tmp_path / "pending")
    record, body = f"requests/{KEY[:2]}/{KEY[2:]}.json", b"{}"
    digest = digest_of(body)
    name = f"objects/{digest[:2]}/{digest[2:]}.json"
    pending.stage(
        "11111111",
        scope="t",
        key=KEY,
        ordinal=1,
        digest=digest,
        captured=False,
        files={record: RECORD, name: body},
    )
    assert pending.is_whole("11111111", digest)
    path = pending.root / "11111111" / name
    for damage in (lambda: path.write_bytes(b"{"), path.unlink):
        damage()
        assert not pending.is_whole("11111111", digest)
        with pytest.raises(ObjectCorrupt) as raised:
            list(pending.files("11111111", digest))
        assert str(raised.value) == (
            f"the pending answer {digest[:12]} is not whole: {path} is missing or was cut off; "
            "it has to be recorded again: cas-llm pending drop"
        )
        assert (raised.value.digest, raised.value.path) == (digest, path)
