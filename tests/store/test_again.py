"""What `verify` noted spares reading, and hides nothing that the file system can show."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from support.recordings import fill

from cas_llm.cli import verify as command
from cas_llm.cli.verify import checks, examine
from cas_llm.guard import checks as judging
from cas_llm.store import Store, crew
from cas_llm.store.proof import again, facts, noted, walk
from cas_llm.store.proof.checks import Subset
from cas_llm.store.proof.verify import verify

WHOLE = Subset()


@pytest.fixture
def store(tmp_path: Path, provider) -> Store:
    """A few recordings of several kinds, made some seconds ago."""
    made = fill(tmp_path / "cache_store", provider)
    made.close()
    age(made)
    return made


@pytest.fixture
def settled(monkeypatch) -> None:
    """Files count as settled at once: their inodes' change times cannot be set back."""
    monkeypatch.setattr(noted, "SETTLED_NS", -1)
    monkeypatch.setattr(again, "SETTLED_NS", -1)


@pytest.fixture
def examined(monkeypatch) -> list[str]:
    """The names of the files whose contents were looked at."""
    seen: list[str] = []
    real = facts.Examiner.fact

    def fact(self, kind, name):
        seen.append(name)
        return real(self, kind, name)

    monkeypatch.setattr(facts.Examiner, "fact", fact)
    return seen


def age(store: Store) -> None:
    then = time.time() - 60
    for path in store.root.rglob("*"):
        os.utime(path, (then, then))


def run(store: Store, level: int = 3, *, noting: bool = True) -> list[str]:
    found = examine(store.root, level=level, part=WHOLE, noted=noting)
    return sorted(f"{one.code} {one.path}" for one in found if one.severity == "error")


def test_a_store_nobody_touched_is_not_read_again(store: Store, settled, examined) -> None:
    """The second pass reads no file, and says the same."""
    assert run(store) == []
    count = len(examined)
    assert count > 5
    assert run(store) == []
    assert len(examined) == count


def test_findings_are_told_again(store: Store, settled, examined) -> None:
    """What was wrong is still wrong, with its tests and its command."""
    next((store.root / "objects").rglob("*.json")).unlink()
    first = list(examine(store.root, level=3, part=WHOLE, noted=True))
    count = len(examined)
    assert [one.code for one in first if one.severity == "error"] == ["CAS010"]
    assert list(examine(store.root, level=3, part=WHOLE, noted=True)) == first
    assert len(examined) == count


def test_full_reads_every_file(store: Store, settled, examined) -> None:
    """Whatever was noted."""
    run(store)
    count = len(examined)
    run(store, noting=False)
    assert len(examined) == 2 * count


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def flip_and_set_back_the_time(path: Path) -> None:
    """The change time tells, which nobody can set."""
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flip_by_replacing(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    flip(other)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("damage", [flip, flip_and_set_back_the_time, flip_by_replacing])
@pytest.mark.parametrize("folder", ["requests", "objects", "manifest/tapes"])
def test_a_flipped_byte_is_seen_after_a_pass_that_noted(
    damage, folder: str, store: Store, settled, examined
) -> None:
    """Of any kind of file, however it was flipped; and only that file is read again."""
    assert run(store) == []
    time.sleep(0.02)  # the clock of change times ticks a hundred times a second
    path = next(path for path in sorted((store.root / folder).rglob("*.json")))
    damage(path)
    examined.clear()
    assert [word.split()[0] for word in run(store)] == ["CAS020"]
    assert len(examined) == 1


def test_a_young_file_is_not_noted(store: Store, examined) -> None:
    """It may change again within the grain of the clock and look the same: every file is, here."""
    run(store)
    count = len(examined)
    run(store)
    assert len(examined) == 2 * count


def test_another_judgement_reads_all_again(store: Store, settled, examined, monkeypatch) -> None:
    """A version that knows another secret, say, takes no word of an earlier one for it."""
    run(store)
    count = len(examined)
    monkeypatch.setattr(judging, "_judgement", lambda _: "another")
    run(store)
    assert len(examined) == 2 * count


def test_a_deeper_level_reads_what_a_shallower_one_noted(store: Store, settled, examined) -> None:
    """Bytes that were right say nothing of keys; the other way round nothing is read."""
    run(store, 2)
    count = len(examined)
    run(store, 3)
    objects_and_records = 2 * count - len(examined)
    assert objects_and_records < count
    examined.clear()
    run(store, 2)
    assert examined == []


@pytest.mark.parametrize("content", [b"", b"x", b"0" * 64 + b"\n{}", None])
def test_damaged_notes_are_no_notes(content, store: Store, settled, examined) -> None:
    """Their own digest guards them; one altered note of a file is thrown away with the rest."""
    run(store)
    count = len(examined)
    for path in (store.root / noted.FOLDER).iterdir():
        data = content
        if data is None:
            data = path.read_bytes().replace(b'"by"', b'"By"')
        path.write_bytes(data)
    assert run(store) == []
    assert len(examined) == 2 * count


def test_notes_outlive_any_number_of_passes(store: Store, settled, examined) -> None:
    """Each pass reads the one file that was touched, and keeps what it knows of the others."""
    run(store)
    paths = sorted((store.root / "objects").rglob("*.json"))
    for path in [*paths, *paths]:
        time.sleep(0.02)
        os.utime(path)
        examined.clear()
        assert run(store) == []
        assert len(examined) == 1


@pytest.mark.parametrize("what", ["\ud800", object(), {1: 2}])
def test_what_cannot_be_noted_is_not_noted(tmp_path: Path, what: object) -> None:
    """Without an error: it would only have spared reading."""
    place = tmp_path / "verified" / "x.json"
    place.parent.mkdir()
    noted.note(place, "by", what)
    assert noted.recall(place, "by") is None
    noted.note(place, "by", ["\u00e9"])
    assert noted.recall(place, "by") == ["\u00e9"]
    assert noted.recall(place, "another") is None


def test_where_nothing_can_be_written_all_is_read(store: Store, settled, examined) -> None:
    """A read-only checkout is verified, and stays as it is."""
    local = store.root / ".local"
    (local / "verified").write_text("a file, where a folder would go")
    assert run(store) == run(store) == []
    assert len(set(examined)) * 2 == len(examined)


def test_processes_find_what_one_process_finds(store: Store, monkeypatch) -> None:
    """In the same order, of a sound store and of a damaged one."""
    alone = list(verify(store.root, checks(), workers=1))
    monkeypatch.setattr(crew, "WORTHWHILE", 0)
    assert list(verify(store.root, checks(), workers=2)) == alone
    for path in sorted((store.root / "objects").rglob("*.json"))[:2]:
        flip(path)
    several = list(verify(store.root, checks(), workers=2))
    assert several == list(verify(store.root, checks(), workers=1))
    assert sum(one.code == "CAS020" for one in several) == 2


def test_a_mark_changes_with_any_name_size_or_time(store: Store) -> None:
    """Adding, removing, renaming and touching each give another mark; looking gives the same."""
    before = walk.mark(store.root)
    assert walk.mark(store.root) == before
    marks = {before.digest}
    path = next((store.root / "objects").rglob("*.json"))
    os.utime(path)
    marks.add(walk.mark(store.root).digest)
    path = path.rename(path.with_name("renamed"))
    marks.add(walk.mark(store.root).digest)
    path.unlink()
    marks.add(walk.mark(store.root).digest)
    (store.root / "manifest" / "new").mkdir()
    marks.add(walk.mark(store.root).digest)
    assert len(marks) == 5
    (store.root / ".local" / "x").write_text("local")
    assert walk.mark(store.root).digest in marks


def test_the_command_notes_and_tells_json_the_same(store: Store, settled, capsys) -> None:
    """``--json`` is the same document with and without notes, and with ``--full``."""
    told = []
    for full in (False, False, True):
        command.verify(store=store.root, as_json=True, full=full, level=3, subset="", repair=False)
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1] == told[2]
