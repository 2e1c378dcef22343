"""Whole files or nothing, and never twice."""

import errno
import os
import sys
import threading

import pytest

from cas_llm.store import files
from cas_llm.store.files import Writer, read


@pytest.fixture
def writer(tmp_path):
    return Writer(tmp_path / "tmp")


def left(tmp_path):
    return list((tmp_path / "tmp").iterdir()) if (tmp_path / "tmp").exists() else []


def failing(number):
    def fail(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return fail


def test_add_writes_once(writer, tmp_path):
    """The first content stays; nothing temporary is left."""
    path = tmp_path / "a" / "b"
    assert writer.add(path, b"one")
    assert not writer.add(path, b"two")
    assert path.read_bytes() == b"one"
    assert left(tmp_path) == []


def test_mark_creates_an_empty_file_once(writer, tmp_path):
    """A mark is its name."""
    assert writer.mark(tmp_path / "a" / "m")
    assert not writer.mark(tmp_path / "a" / "m")
    assert (tmp_path / "a" / "m").read_bytes() == b""


def test_replace_puts_new_bytes_in_place(writer, tmp_path):
    """A reader sees the old bytes or the new ones."""
    writer.replace(tmp_path / "a" / "b", b"one")
    writer.replace(tmp_path / "a" / "b", b"two")
    assert (tmp_path / "a" / "b").read_bytes() == b"two"
    assert left(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs modes")
def test_what_is_written_is_no_program(writer, tmp_path):
    """Readable and writable as the user's mask says, never executable."""
    before = os.umask(0o027)
    try:
        writer.add(tmp_path / "a", b"x")
        writer.mark(tmp_path / "b")
        writer.replace(tmp_path / "c", b"x")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "abc"] == [0o640] * 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_refused_write_leaves_nothing(writer, tmp_path, monkeypatch, number):
    """A full disk in the middle of a file leaves neither the file nor a temporary one."""
    real, calls = os.write, []

    def short(handle, data):
        if calls:
            failing(number)()
        calls.append(1)
        return real(handle, bytes(data[:3]))

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match=os.strerror(number)):
        writer.add(tmp_path / "a" / "b", b"0123456789")
    assert not (tmp_path / "a" / "b").exists()
    assert left(tmp_path) == []


@pytest.mark.parametrize("call", ["add", "replace"])
def test_a_refused_last_step_leaves_nothing(writer, tmp_path, monkeypatch, call):
    """Where the file system refuses the link or the rename, no temporary file stays."""
    monkeypatch.setattr(os, "link", failing(errno.EACCES))
    monkeypatch.setattr(files.Path, "replace", failing(errno.EACCES))
    with pytest.raises(PermissionError):
        getattr(writer, call)(tmp_path / "b", b"x")
    assert not (tmp_path / "b").exists()
    assert left(tmp_path) == []


@pytest.mark.parametrize("number", sorted(files._NO_LINKS))
def test_a_file_system_without_links_is_written_by_rename(writer, tmp_path, monkeypatch, number):
    """No hard links: a rename, which replaces nothing either."""
    monkeypatch.setattr(os, "link", failing(number))
    assert writer.add(tmp_path / "a" / "b", b"one")
    assert not writer.add(tmp_path / "a" / "b", b"two")
    assert (tmp_path / "a" / "b").read_bytes() == b"one"
    assert left(tmp_path) == []


def test_a_temporary_file_that_vanishes_is_an_error(writer, tmp_path, monkeypatch):
    """Somebody who cleans the temporary folder while it is used gets one error, not a hang."""
    real = os.link

    def after_cleaning(source, target):
        os.unlink(source)
        return real(source, target)

    monkeypatch.setattr(os, "link", after_cleaning)
    with pytest.raises(FileNotFoundError):
        writer.add(tmp_path / "a" / "b", b"one")


def test_a_killed_writers_file_is_never_written_through(tmp_path):
    """A temporary file with the same name may be linked to its final name: it is not truncated."""
    final, temporary = tmp_path / "final", tmp_path / "tmp"
    temporary.mkdir()
    final.write_bytes(b"whole")
    name = f"{os.getpid()}.{threading.get_ident()}.0"
    os.link(final, temporary / name)
    assert Writer(temporary).add(tmp_path / "other", b"x")
    assert final.read_bytes() == b"whole"


def test_many_threads_write_the_same_file_once(writer, tmp_path):
    """One of many writers wins, and every reader sees the whole file."""
    won = []
    data = b"x" * 100_000

    def write():
        won.append(writer.add(tmp_path / "a" / "b", data))
        assert read(tmp_path / "a" / "b") == data

    threads = [threading.Thread(target=write) for _ in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(won) == [False] * 15 + [True]
    assert left(tmp_path) == []


def synced(monkeypatch):
    seen, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append(handle), real(handle)))
    return seen


def test_durable_syncs_before_it_returns(tmp_path, monkeypatch):
    """The file, its folder, and once the entry of every folder above it."""
    seen = synced(monkeypatch)
    writer = Writer(tmp_path / "tmp", durable=True)
    above = len((tmp_path / "a").parents)
    writer.add(tmp_path / "a" / "b", b"x")
    assert len(seen) == 2 + above
    writer.add(tmp_path / "a" / "c", b"x")
    assert len(seen) == 4 + above


def test_durable_syncs_what_another_process_wrote(tmp_path, monkeypatch):
    """It may have been killed before it synced, and the answer that names the file is paid for."""
    for call in (lambda w: w.add(tmp_path / "b", b"x"), lambda w: w.mark(tmp_path / "m")):
        assert call(Writer(tmp_path / "tmp"))
        seen = synced(monkeypatch)
        assert not call(Writer(tmp_path / "tmp", durable=True))
        assert len(seen) == 2 + len(tmp_path.parents)
        monkeypatch.undo()


def test_a_folder_that_was_made_anew_is_synced_anew(tmp_path, monkeypatch):
    """What a prune took away and a recording made again has a new entry."""
    writer = Writer(tmp_path / "tmp", durable=True)
    writer.add(tmp_path / "a" / "b", b"x")
    (tmp_path / "a" / "b").unlink()
    (tmp_path / "a").rmdir()
    seen = synced(monkeypatch)
    writer.add(tmp_path / "a" / "b", b"x")
    assert len(seen) == 3


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_refused_sync_is_an_error(tmp_path, monkeypatch, number):
    """What the disk did not take is never said to be there; the rest is synced all the same."""
    writer = Writer(tmp_path / "tmp")
    for name in "bcd":
        writer.add(tmp_path / name, b"x")
    seen, real = [], os.fsync

    def fsync(handle):
        seen.append(handle)
        failing(number)() if len(seen) == 2 else real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        writer.flush()
    assert raised.value.filename == str(tmp_path / "c")
    assert len(seen) == 4 + len(tmp_path.parents)


@pytest.mark.parametrize("number", sorted(files._NO_SYNC))
def test_a_file_system_that_cannot_sync_is_written_to(tmp_path, monkeypatch, number):
    """It promises nothing, so nothing is refused."""
    writer = Writer(tmp_path / "tmp", durable=True)
    writer.mark(tmp_path / "a")
    monkeypatch.setattr(os, "fsync", failing(number))
    assert writer.mark(tmp_path / "b")


def test_a_write_that_takes_nothing_is_an_error(writer, tmp_path, monkeypatch):
    """A file system that takes no byte and says no reason is not asked for ever."""
    monkeypatch.setattr(os, "write", lambda _handle, _data: 0)
    with pytest.raises(OSError, match="took no byte"):
        writer.add(tmp_path / "b", b"x")
    assert left(tmp_path) == []


def test_otherwise_flush_syncs_once(writer, tmp_path, monkeypatch):
    """Nothing is synced per write, everything in one pass, and nothing twice."""
    seen = synced(monkeypatch)
    writer.add(tmp_path / "b", b"x")
    writer.mark(tmp_path / "c")
    assert seen == []
    writer.flush()
    assert len(seen) == 3 + len(tmp_path.parents)
    seen.clear()
    writer.flush()
    assert seen == []


def test_flush_passes_over_what_is_gone(writer, tmp_path):
    """A file that was pruned meanwhile is no error."""
    writer.add(tmp_path / "b", b"x")
    (tmp_path / "b").unlink()
    writer.flush()


def test_sweep_removes_what_a_dead_writer_left(writer, tmp_path):
    """Only files over an hour old whose writer is gone."""
    place = tmp_path / "tmp"
    place.mkdir()
    dead, mine, young = (
        place / "999999999.1.0",
        place / f"{os.getpid()}.1.0",
        place / "999999998.1.0",
    )
    for path in (dead, mine, young):
        path.write_bytes(b"x")
    for path in (dead, mine):
        os.utime(path, (1, 1))
    writer.sweep()
    assert sorted(place.iterdir()) == sorted([mine, young])


def test_sweep_without_a_folder_is_nothing(writer):
    """There may be nothing to sweep."""
    writer.sweep()


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_read_gives_the_whole_file(tmp_path, size):
    """All bytes, of empty files too."""
    (tmp_path / "f").write_bytes(b"x" * size)
    assert read(tmp_path / "f") == b"x" * size


def test_read_goes_on_where_the_file_grew(tmp_path, monkeypatch):
    """A size that was wrong when it was asked loses nothing."""
    (tmp_path / "f").write_bytes(b"x" * 100)
    monkeypatch.setattr(os, "fstat", lambda handle: os.stat_result([0] * 6 + [10, 0, 0, 0]))
    assert read(tmp_path / "f") == b"x" * 100
