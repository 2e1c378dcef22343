"""Taking out what nothing needs: what stays wherever it is needed, in which order, and undone."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from support.desk import chat
from support.histories import DAY, Bench, Talk, World, exchanges, record_parts

from cas_llm.cli.verify import checks
from cas_llm.errors import StoreError
from cas_llm.store import Store
from cas_llm.store.proof.verify import verify
from cas_llm.store.pruning import sweep, trees
from cas_llm.store.pruning.live import GONE, SUPERSEDED, CompleteRun
from cas_llm.store.tape import Tape

NAME = "tests/test_a.py::t"
TALK = Talk(NAME, "x", 0, 2)


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Kept:
    """A repository with one test that was recorded twice, all of it committed."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder / "kept", exchanges([]))
        self.root = self.bench.root
        self.world = World({NAME: TALK})
        for _ in range(2):
            self.bench.run(self.world, "capture", [TALK])
        self.bench.commit("Recorded twice")

    def plan(self, days: float = 0, **more):
        return sweep.plan(self.root, record_parts, now=time.time() + days * DAY, **more)

    def sweep(self, days: float = 0):
        return sweep.sweep(self.plan(days), record_parts)

    def names(self) -> set[str]:
        return set(trees.on_disk(self.root).names)

    def errors(self) -> list[str]:
        return [f.code for f in verify(self.root, checks()) if f.severity == "error"]

    def old_take(self) -> Tape:
        return next(tape for tape in self.bench.tapes().values() if tape.take == 0)


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path)


def test_a_superseded_take_goes_with_all_that_it_alone_names(kept):
    """Its answers, and the key record of the turn that quoted the old one; what stays is whole."""
    found = kept.plan()
    tape = kept.old_take()
    assert [one.reason for one in found.dead] == [
        SUPERSEDED,
        *[sweep.ONLY_DEAD] * (len(found.dead) - 1),
    ]
    assert found.dead[0].path == tape.path(kept.root).relative_to(kept.root).as_posix()
    assert {turn.digest[2:] + ".json" for turn in tape.turns} <= {
        Path(one.path).name for one in found.dead
    }
    assert found.bytes == sum((kept.root / one.path).stat().st_size for one in found.dead) > 0
    before = kept.names()
    done = sweep.sweep(found, record_parts)
    assert set(done.moved) == {one.path for one in found.dead} == before - kept.names()
    assert found.kept == sum(
        name.startswith(("req", "obj", "man"))
        for name in kept.names() - {name for name in kept.names() if name.endswith(".keep")}
    )
    assert kept.errors() == []
    assert not kept.bench.replay(kept.world)[NAME].refused
    assert kept.plan().dead == ()
    assert kept.sweep() == sweep.Swept((), None)


def test_a_sweep_can_be_undone(kept):
    """Every file is back, no .keep is left, and the work tree is clean again."""
    before = kept.names()
    done = kept.sweep()
    assert kept.bench.git("status", "--short")
    assert sweep.trashed(kept.root) == [done.trash]
    assert done.trash.is_relative_to(kept.bench.folder / ".git" / "cas-llm" / "trash")
    back = sweep.undo(kept.root, done.trash)
    assert set(back) == set(done.moved)
    assert kept.names() == before
    assert kept.bench.git("status", "--short") == ""
    assert sweep.trashed(kept.root) == []
    with pytest.raises(StoreError, match="holds nothing that prune took out"):
        sweep.undo(kept.root, done.trash)


def test_outside_a_repository_the_trash_lies_in_the_store(kept, tmp_path):
    """Where git cannot see it either."""
    shutil.rmtree(kept.bench.folder / ".git")
    done = kept.sweep()
    assert done.trash.is_relative_to(kept.root / ".local" / "trash")
    assert sweep.undo(kept.root, done.trash)


def test_a_folder_that_gets_empty_keeps_a_file(kept):
    """Else git takes it for renamed, and draws another branch's new files after it."""
    folders = {(kept.root / name).parent for name in kept.names()}
    kept.sweep()
    keeps = list(kept.root.rglob(".keep"))
    assert keeps
    assert all(folder.is_dir() and os.listdir(folder) for folder in folders)
    assert all(os.listdir(keep.parent) == [".keep"] and not keep.stat().st_size for keep in keeps)


@pytest.mark.parametrize("after", range(7))
def test_whatever_stops_a_sweep_nothing_names_what_is_missing(kept, monkeypatch, after):
    """After each single move: `verify` finds no error, and the rest can be undone."""
    before, moves = kept.names(), iter(range(after))
    real = shutil.move

    def stopped(source, target):
        if next(moves, None) is None:
            raise OSError(28, "No space left on device", str(source))
        return real(source, target)

    monkeypatch.setattr(shutil, "move", stopped)
    if after < len(kept.plan().dead):
        with pytest.raises(StoreError, match="No space left"):
            kept.sweep()
    else:
        kept.sweep()
    monkeypatch.undo()
    assert kept.errors() == []
    [trash] = sweep.trashed(kept.root)
    sweep.undo(kept.root, trash)
    assert kept.names() == before


def test_what_a_run_named_since_the_plan_stays(kept):
    """A tape that was written meanwhile gets all it names."""
    found = kept.plan()
    Store(kept.root).add_tape(Tape("tests/test_b.py::new", 0, "y", kept.old_take().turns))
    done = sweep.sweep(found, record_parts)
    assert [one for one in done.moved if not one.startswith("manifest/")] == []
    assert kept.errors() == []


def test_what_is_named_during_the_deletion_comes_back(kept, monkeypatch):
    """The last look is after the last move."""
    old, real, said = kept.old_take(), shutil.move, []

    def late(source, target):
        if "objects" in str(source) and not said:
            said.append(Store(kept.root).add_tape(Tape("tests/b.py::n", 0, "y", old.turns)))
        return real(source, target)

    monkeypatch.setattr(shutil, "move", late)
    kept.sweep()
    assert said
    assert kept.errors() == []


def uncommitted(kept):
    """The new take is not committed: at HEAD and in the index the old one is still the current."""
    kept.bench.run(kept.world, "capture", [TALK])
    return {1}


def staged(kept):
    """The same with the new take in the index, while HEAD has not got it."""
    kept.bench.run(kept.world, "capture", [TALK])
    kept.bench.git("add", "-A")
    return {1}


def branched(kept):
    """A branch parted before the new take was recorded."""
    kept.bench.git("branch", "other", "HEAD~1")
    return set()


def remote(kept):
    """The same branch, known from a remote only."""
    kept.bench.git("update-ref", "refs/remotes/origin/other", "HEAD~1")
    return set()


def stashed(kept):
    """A stash, which holds files that are untracked as well."""
    kept.bench.git("checkout", "-q", "HEAD~1")
    kept.bench.run(kept.world, "capture", [TALK])
    kept.bench.git("stash", "-q", "-u")
    kept.bench.git("checkout", "-q", "main")
    return set()


def linked(kept):
    """Another work tree, on no branch, with a recording of its own."""
    kept.bench.git("worktree", "add", "-q", "--detach", "../second", "HEAD~1")
    return set()


@pytest.fixture
def parted(tmp_path):
    """One commit for each of two takes."""
    made = Kept.__new__(Kept)
    made.bench = Bench(tmp_path / "parted", exchanges([]))
    made.root, made.world = made.bench.root, World({NAME: TALK})
    for number in range(2):
        made.bench.run(made.world, "capture", [TALK])
        made.bench.commit(f"Take {number}")
    return made


@pytest.mark.parametrize("place", [uncommitted, staged, branched, remote, stashed, linked])
def test_what_any_place_still_needs_stays(parted, place):
    """A take that is current at HEAD, in the index, a branch, a stash or another work tree."""
    assert [one.path for one in parted.plan().dead if one.is_entry]
    spared = {0} | place(parted)
    dead = {one.path for one in parted.plan().dead}
    for tape in parted.bench.tapes().values():
        path = tape.path(parted.root).relative_to(parted.root).as_posix()
        if place in {uncommitted, staged} and tape.take == 0:
            assert path in dead
        else:
            assert (path not in dead) == (tape.take in spared or tape.take >= 1)


def test_a_branch_without_a_commit_in_two_weeks_is_not_asked(parted):
    """Its recordings come back from git if it is merged after all."""
    parted.bench.git("branch", "other", "HEAD~1")
    assert parted.plan(days=13).dead == ()
    assert parted.plan(days=15).dead


def test_a_place_that_names_a_superseded_take_keeps_its_files_but_not_the_tape(kept):
    """A branch may record a tape that names them again; another tape it has itself."""
    kept.bench.git("branch", "just-begun")
    [only] = kept.plan().dead
    assert only.is_entry
    kept.bench.git("branch", "-D", "-q", "just-begun")
    assert len(kept.plan().dead) > 1


def test_the_default_branch_as_it_was_fetched_keeps_nothing_more(kept):
    """It is where the deletion will go."""
    before = kept.plan()
    kept.bench.git("update-ref", "refs/remotes/origin/main", "HEAD")
    kept.bench.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    assert kept.plan() == before


def test_a_part_that_only_another_branch_needs_stays(tmp_path):
    """Its key record is on that branch alone and has to be read from git."""
    bench = Bench(tmp_path / "part", [*exchanges([])[2:3], *exchanges([])[:1]])
    world = World({NAME: TALK})
    bench.run(world, "capture", [TALK])
    bench.commit("With a long system prompt")
    [part] = [name for name in trees.on_disk(bench.root).names if name.endswith(".txt")]
    bench.git("checkout", "-q", "-b", "other")
    other = Talk("tests/test_b.py::u", "u", 0, 2, version=3, cached=True)
    bench.run(World({other.name: other}), "capture", [other])
    bench.commit("The same prompt in a request of its own")
    bench.git("checkout", "-q", "main")
    gone = CompleteRun(gone=frozenset({NAME}))
    assert part not in {one.path for one in sweep.plan(bench.root, record_parts, run=gone).dead}
    bench.git("branch", "-D", "-q", "other")
    assert part in {one.path for one in sweep.plan(bench.root, record_parts, run=gone).dead}


def test_what_nothing_names_goes_after_a_day(kept):
    """Before, it may be a run's that is about to write its tape."""
    key = "ab" + "0" * 62
    Store(kept.root).objects.add_request(key, b"{}")
    Store(kept.root).objects.add(key, b"x", "txt")
    names = {f"requests/ab/{key[2:]}.json", f"objects/ab/{key[2:]}.txt"}
    assert not names & {one.path for one in kept.plan().dead}
    found = {one.path: one.reason for one in kept.plan(days=2).dead}
    assert [found.get(name) for name in names] == [sweep.NOTHING] * 2


@pytest.mark.parametrize(("hours", "goes"), [(23, False), (25, True)])
def test_the_grace_of_what_nothing_names_is_a_day(kept, hours, goes):
    """Counted from when the file was written."""
    key = "ab" + "0" * 62
    Store(kept.root).objects.add_request(key, b"{}")
    found = {one.path for one in kept.plan(days=hours / 24).dead}
    assert (f"requests/ab/{key[2:]}.json" in found) is goes


def test_what_goes_is_listed_entries_first_then_by_name(kept):
    """The order in which it is moved: whatever stops it, nothing names what is missing."""
    found = kept.plan().dead
    paths = [one.path for one in found]
    assert paths == sorted(paths, key=lambda name: (not name.startswith("manifest/"), name))
    assert [one.is_entry for one in found] == [name.startswith("manifest/") for name in paths]


def test_a_trash_of_another_making_is_left_alone(kept):
    """What cannot be read as a sweep brings nothing back and is not removed."""
    done = kept.sweep()
    listing = done.trash / "swept.json"
    whole = listing.read_bytes()
    for odd in (b"", b"{}", b"[]", whole.replace(b"cas-llm/swept/1", b"cas-llm/swept/9")):
        listing.write_bytes(odd)
        with pytest.raises(StoreError, match="holds nothing that prune took out") as raised:
            sweep.undo(kept.root, done.trash)
        assert raised.value.path == done.trash
        assert str(raised.value).startswith(f"{done.trash} holds nothing that prune took out (")
    assert "its format is 'cas-llm/swept/9', not 'cas-llm/swept/1'" in str(raised.value)
    listing.write_bytes(whole)
    assert set(sweep.undo(kept.root, done.trash)) == set(done.moved)
    assert not done.trash.exists()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="needs time zones")
def test_a_sweep_is_named_by_the_time_of_day_everywhere(kept, monkeypatch):
    """Whoever travels, or changes the clock in autumn, finds the latest last."""
    monkeypatch.setenv("TZ", "XYZ-9")
    time.tzset()
    try:
        before = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        name = kept.sweep().trash.name
        after = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert before <= name.partition("-")[0] <= after


def test_the_parts_of_what_was_named_since_the_plan_stay_too(tmp_path):
    """A key record has to be read to know them."""
    bench = Bench(tmp_path / "part", exchanges([])[2:3])
    bench.run(World({NAME: TALK}), "capture", [Talk(NAME, "x", 0)])
    bench.commit("With a long system prompt")
    [part] = [name for name in trees.on_disk(bench.root).names if name.endswith(".txt")]
    found = sweep.plan(bench.root, record_parts, run=CompleteRun(gone=frozenset({NAME})))
    assert part in {one.path for one in found.dead}
    [old] = bench.tapes().values()
    Store(bench.root).add_tape(Tape("tests/test_b.py::new", 0, "y", old.turns))
    assert part not in sweep.sweep(found, record_parts).moved


def test_what_went_since_the_plan_is_passed_over(kept):
    """Somebody removed a folder by hand: the rest is swept."""
    found = kept.plan()
    name = found.dead[-1].path
    shutil.rmtree((kept.root / name).parent)
    done = sweep.sweep(found, record_parts)
    assert name not in done.moved
    assert kept.errors() == []


def test_a_keep_file_that_somebody_wrote_into_stays(kept):
    """It is not the empty one that the sweep left."""
    done = kept.sweep()
    mine, *others = sorted(kept.root.rglob(".keep"))
    mine.write_text("mine")
    sweep.undo(kept.root, done.trash)
    assert mine.read_text() == "mine"
    assert not any(other.exists() for other in others)


def test_an_undo_that_is_refused_names_the_file_and_can_be_done_again(kept, monkeypatch):
    """What is back stays, the trash keeps the rest."""
    done = kept.sweep()

    def refuse(source, _target):
        raise OSError(28, "No space left on device", str(source))

    monkeypatch.setattr(shutil, "move", refuse)
    with pytest.raises(StoreError, match="No space left") as raised:
        sweep.undo(kept.root, done.trash)
    assert raised.value.path == done.trash / done.moved[-1]
    monkeypatch.undo()
    assert set(sweep.undo(kept.root, done.trash)) == set(done.moved)


def test_undo_leaves_what_was_recorded_again(kept):
    """A file that is there stays as it is, and a .keep beside new files goes."""
    before = {name: (kept.root / name).read_bytes() for name in kept.names()}
    done = kept.sweep()
    again = done.moved[-1]
    (kept.root / again).parent.mkdir(exist_ok=True)
    (kept.root / again).write_bytes(b"recorded again")
    back = sweep.undo(kept.root, done.trash)
    assert sorted(back) == sorted(set(done.moved) - {again})
    assert (kept.root / again).read_bytes() == b"recorded again"
    assert kept.names() == set(before)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "notes.txt",
        "objects/readme.json",
        "objects/ab/short.json",
        "objects/ab/.keep",
        "requests/zz/" + "0" * 62 + ".json",
        "manifest/tapes/tests/notes.json",
        "manifest/shared/ab/notes",
        ".local/anything",
    ],
)
def test_what_is_not_known_is_never_touched(kept, name):
    """Foreign files, whatever folder they lie in."""
    path = kept.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    assert name not in {one.path for one in kept.plan(days=99).dead}


def test_nothing_goes_while_a_tape_cannot_be_read(kept):
    """Nobody knows what it names."""
    path = kept.old_take().path(kept.root)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(StoreError, match="edited or cut off"):
        kept.plan()


def test_nothing_goes_while_a_key_record_in_use_is_missing(kept):
    """Nobody knows its parts; a superseded take's may be missing."""
    tapes = sorted(kept.bench.tapes().values(), key=lambda tape: tape.take)
    store = Store(kept.root)
    kept.bench.git("checkout", "-q", "--orphan", "alone")
    kept.bench.git("branch", "-D", "-q", "main")
    kept.bench.git("rm", "-rq", "--cached", ".")
    (
        store.root / "requests" / tapes[0].turns[1].key[:2] / f"{tapes[0].turns[1].key[2:]}.json"
    ).unlink()
    assert kept.plan().dead
    (
        store.root / "requests" / tapes[1].turns[1].key[:2] / f"{tapes[1].turns[1].key[2:]}.json"
    ).unlink()
    with pytest.raises(StoreError, match="is missing or damaged.*nothing was taken out"):
        kept.plan()


def test_nothing_goes_while_git_does_not_answer(kept, monkeypatch):
    """Nobody knows what other branches need."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StoreError, match="git does not list the branches"):
        kept.plan()


def test_the_tapes_of_a_test_that_is_gone_go_unless_another_branch_has_it(kept):
    """Which tests are gone is for a complete run to say, and only of what it ran."""
    gone = CompleteRun(gone=frozenset({NAME}))
    found = kept.plan(run=gone)
    assert {one.reason for one in found.dead if one.is_entry} == {GONE}
    assert found.kept == 0
    kept.bench.git("branch", "other")
    assert [one.reason for one in kept.plan(run=gone).dead] == [GONE]


def test_an_answer_whose_body_is_a_part_keeps_it(tmp_path):
    """Parts of answers are found as those of requests are."""
    bench = Bench(tmp_path / "speech", exchanges([]))
    body, headers = b"\0" * 5000, (("content-type", "audio/mpeg"),)
    bench.exchanges = [(chat("say it"), body, headers)]
    bench.groups = {}
    world = World({NAME: TALK})
    for _ in range(2):
        bench.run(world, "capture", [Talk(NAME, "x", 0)])
    bench.commit("Sound")
    [part] = [name for name in trees.on_disk(bench.root).names if name.endswith(".mp3")]
    later = time.time() + 2 * DAY
    assert part not in {one.path for one in sweep.plan(bench.root, record_parts, now=later).dead}
