"""`cas-llm restore`: what was taken out comes back from the trash or from git, without a call."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from support.histories import (
    DAY,
    Bench,
    Step,
    Talk,
    World,
    exchanges,
    record_parts,
    some_steps,
)
from support.inner import Inner
from support.terminal import said

from cas_llm.cli.verify import checks
from cas_llm.session import pruned
from cas_llm.store import Shared, Store, Tape
from cas_llm.store.proof.verify import verify
from cas_llm.store.pruning import sweep
from cas_llm.store.pruning.live import CompleteRun

NAME = "tests/test_a.py::t"
TALK = Talk(NAME, "x", 0, 2)
MISSES = 0
"""A seed whose merge lacks something."""


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Shop:
    """A repository with one test that was recorded twice, and the command line over it."""

    def __init__(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        self.bench = bench
        self.root = bench.root
        self.world = World({NAME: TALK})
        self.capsys = capsys

    def says(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """What the command line prints on both streams."""
        return said(self.capsys, *arguments, "--store", str(self.root), code=code)

    def restore(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        return json.loads(self.says("restore", *arguments, "--json", code=code)[0])

    def prune(self, *, gone: bool = False, commit: bool = True) -> tuple[str, ...]:
        """Take out what nothing needs, or the test's tapes too; the paths that went."""
        run = CompleteRun(gone=frozenset({NAME})) if gone else CompleteRun()
        found = sweep.plan(self.root, record_parts, run=run, now=time.time() + 2 * DAY)
        moved = sweep.sweep(found, record_parts).moved
        assert moved
        if commit:
            self.bench.commit("Prune")
            shutil.rmtree(self.root.parent / ".git" / "cas-llm")
        return moved

    def files(self) -> dict[str, bytes]:
        """All recordings by path, without what keeps a folder."""
        found = {}
        for folder in ("requests", "objects", "manifest"):
            for path in (self.root / folder).rglob("*"):
                if path.is_file() and path.name != ".keep":
                    found[path.relative_to(self.root).as_posix()] = path.read_bytes()
        return found

    def tape(self, take: int) -> Tape:
        return next(tape for tape in self.bench.tapes().values() if tape.take == take)

    def errors(self) -> list[str]:
        return [f.code for f in verify(self.root, checks()) if f.severity == "error"]

    def refused(self) -> bool:
        return self.bench.replay(self.world)[NAME].refused


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("template") / "shop", exchanges([]))
    for _ in range(2):
        made.run(World({NAME: TALK}), "capture", [TALK])
    made.commit("Recorded twice")
    return made


@pytest.fixture
def shop(template, tmp_path, capsys) -> Shop:
    return Shop(template.copied(tmp_path / "shop"), capsys)


def test_a_pruned_test_comes_back_by_a_key_and_replays(shop):
    """Its tape and all that the tape names, byte for byte; the commit that took it is named."""
    before, key = shop.files(), shop.tape(1).turns[1].key
    shop.prune(gone=True)
    assert shop.refused()
    told = shop.restore(key[:8])
    assert told["applied"] is True
    assert told["deleted_in"]["subject"] == "Prune"
    assert {one["state"] for one in told["entries"]} == {"served"}
    back = shop.files()
    assert back.keys() <= before.keys()
    assert all(before[name] == data for name, data in back.items())
    assert shop.errors() == []
    assert not shop.refused()
    assert shop.bench.git("status", "--short", "--porcelain").count("??") > 0


def test_a_dry_run_says_the_same_and_changes_nothing(shop):
    """The next command is the same without --dry-run."""
    key = shop.tape(1).turns[0].key
    shop.prune(gone=True)
    planned = shop.restore(key, "--dry-run")
    assert (planned["applied"], shop.files()) == (False, {})
    said, _ = shop.says("restore", key[:9], "--dry-run")
    assert "would come back" in said
    assert "deleted in " in said
    assert '"Prune" by Ada, just now' in said
    assert f"Next: cas-llm restore {key[:9]} --store {shlex.quote(str(shop.root))}\n" in said
    done = shop.restore(key)
    assert done | {"applied": False} == planned
    assert {one["path"] for one in planned["files"]} == shop.files().keys()


def test_a_test_comes_back_by_its_name(shop):
    """By its whole id, or by what its id ends in; the newest commit that took tapes of it."""
    shop.prune(gone=True)
    shop.restore(NAME)
    assert not shop.refused()
    shutil.rmtree(shop.root / "manifest")
    told = shop.restore("t", "--dry-run")
    assert {one["scope"] for one in told["entries"]} == {NAME}


def test_a_superseded_tape_that_comes_back_says_which_is_served(shop):
    """And what would make it served: nothing is served that was not before."""
    old, new = shop.tape(0), shop.tape(1)
    shop.prune()
    told = shop.restore(old.turns[1].key)
    served = new.path(shop.root).relative_to(shop.root).as_posix()
    [entry] = told["entries"]
    assert (entry["state"], entry["by"], entry["by_take"]) == ("superseded", served, 1)
    assert old.path(shop.root).read_bytes() == old.data
    assert shop.errors() == []
    heard = shop.bench.replay(shop.world)[NAME]
    assert heard.digests == tuple(turn.digest for turn in new.turns)
    os.remove(old.path(shop.root))
    said, _ = shop.says("restore", old.turns[1].key)
    assert (
        "take 0: is served what take 1 has no answer to; to be served it first: git rm "
        f"{shlex.quote(str(new.path(shop.root)))}; compare: cas-llm history {NAME} "
        f"--store {shlex.quote(str(shop.root))}\n"
    ) in said


def test_a_tie_is_said(shop):
    """Equal in source and take: the smallest digest is served."""
    first = shop.tape(1)
    other = Tape(NAME, 1, first.source, first.turns[:1])
    Store(shop.root).add_tape(other)
    shop.bench.commit("Both")
    os.remove(first.path(shop.root))
    assert "ties with another tape of this take" in shop.says("restore", NAME, "--dry-run")[0]
    [entry] = shop.restore(NAME)["entries"]
    assert entry["state"] == "tied"
    smallest = min((first, other), key=lambda tape: tape.digest)
    assert entry["by"] == smallest.path(shop.root).relative_to(shop.root).as_posix()


def test_shared_entries_come_back_with_their_run(shop):
    """A shared sequence that another superseded says so."""
    shop.bench.say_shared(3, "fallback")
    shop.bench.commit("Shared")
    [entry] = Store(shop.root).manifest.shared()
    shop.bench.say_shared(3, "capture")
    names = [name for name in shop.files() if "shared" in name and entry.run in name]
    for name in names:
        os.remove(shop.root / name)
    shop.bench.commit("Drop")
    told = shop.restore(entry.key)
    assert [(one["path"], one["state"]) for one in told["entries"]] == [(names[0], "superseded")]
    assert entry in set(Store(shop.root).manifest.shared())
    os.remove(shop.root / told["entries"][0]["by"])
    os.remove(shop.root / names[0])
    assert shop.restore(entry.key)["entries"][0]["state"] == "served"


def test_what_prune_took_and_nobody_committed_comes_out_of_the_trash(shop):
    """Also where there is no git; the trash keeps its copy."""
    before = shop.files()
    moved = shop.prune(commit=False)
    [trash] = sweep.trashed(shop.root)
    old = next(name for name in moved if name.startswith("manifest/"))
    key = json.loads(before[old])["turns"][1]["key"]
    told = shop.restore(key)
    assert (told["place"], told["deleted_in"]) == ("the trash", None)
    assert shop.files() == before
    assert (trash / old).is_file()


def test_what_was_committed_since_comes_from_the_last_commit_that_took_it(shop):
    """An older prune's trash is still there, and would give the older take."""
    old, new = shop.tape(0), shop.tape(1)
    key = next(key for key in new.answers if key in old.answers)
    shop.prune(commit=False)
    shop.bench.commit("Prune it")
    assert shop.restore(key, "--dry-run")["deleted_in"]["subject"] == "Prune it"
    os.remove(new.path(shop.root))
    shop.bench.commit("Delete by hand")
    [trash] = sweep.trashed(shop.root)
    assert list(trash.rglob(old.path(shop.root).name))
    told = shop.restore(key)
    assert told["deleted_in"]["subject"] == "Delete by hand"
    assert [one["take"] for one in told["entries"]] == [1]


@pytest.mark.parametrize("how", ["rm", "git rm"])
def test_what_was_deleted_without_a_commit_comes_back(shop, how):
    """The index holds it, or HEAD where it was taken out of the index too."""
    before, key = shop.files(), shop.tape(1).turns[0].key
    if how == "rm":
        shutil.rmtree(shop.root / "manifest")
        shutil.rmtree(shop.root / "objects")
    else:
        shop.bench.git("rm", "-rq", "cache_store/manifest", "cache_store/objects")
    told = shop.restore(key)
    assert told["place"] == ("git's index" if how == "rm" else "HEAD")
    assert shop.files() == before


def test_a_whole_store_that_was_deleted_comes_back(shop):
    """With the files it explains itself with."""
    before = shop.files()
    shutil.rmtree(shop.root)
    told = shop.restore("--from", "HEAD")
    assert shop.files() == before
    assert {one["path"] for one in told["files"]} == before.keys()
    assert shop.errors() == []
    assert shop.bench.git("status", "--short") == ""


def test_all_that_a_revision_held_comes_back(shop):
    """With a key, only what that names; what is there stays."""
    before = shop.files()
    shop.prune(gone=True)
    later = Talk("tests/test_b.py::u", "u", 9, 1)
    shop.bench.run(World({later.name: later}), "fallback", [later])
    before |= shop.files()
    some = shop.restore("--from", "HEAD~1", json.loads(before[_old(before)])["turns"][1]["key"])
    assert {one["path"] for one in some["files"]} < before.keys()
    shop.restore("--from", "HEAD~1")
    assert shop.files() == before
    assert "Nothing is missing" in shop.says("restore", "--from", "HEAD~1")[0]
    dry, _ = shop.says("restore", "--from", "HEAD~1", "--dry-run")
    assert "Next:" not in dry, "there is nothing to come back"


def _old(files: dict[str, bytes]) -> str:
    return next(name for name in files if name.startswith("manifest/tapes") and ".0." in name)


def test_answers_that_a_live_tape_names_in_vain_come_back(shop):
    """A branch nobody knew of used what was pruned: after the merge the entries are there."""
    before, key = shop.files(), shop.tape(1).turns[0].key
    digest = shop.tape(1).turns[1].digest
    os.remove(shop.root / "objects" / digest[:2] / f"{digest[2:]}.json")
    shop.bench.commit("Lose an answer")
    assert shop.refused()
    told = shop.restore(key)
    assert [one["path"] for one in told["files"]] == [f"objects/{digest[:2]}/{digest[2:]}.json"]
    assert (shop.files(), shop.refused()) == (before, False)


def test_what_only_another_branch_has_comes_back_and_says_so(shop):
    """No commit took it: the one that recorded it is named."""
    shop.bench.git("checkout", "-qb", "side")
    other = Talk("tests/test_b.py::u", "u", 9, 1)
    shop.world.talks[other.name] = other
    shop.bench.run(shop.world, "fallback", [other])
    shop.bench.commit("Record u")
    shop.bench.git("checkout", "-q", "main")
    assert "recorded in " in shop.says("restore", other.name, "--dry-run")[0]
    told = shop.restore(other.name)
    assert (told["deleted_in"], told["added_in"]["subject"]) == (None, "Record u")
    assert not shop.bench.replay(shop.world)[other.name].refused


def test_a_file_that_differs_is_never_written_over(shop):
    """It is told, with the command that mends it."""
    shop.prune(gone=True)
    turn = json.loads(shop.bench.git("show", f"HEAD~1:cache_store/{_taken(shop)}"))["turns"][0]
    path = shop.root / "objects" / turn["digest"][:2] / f"{turn['digest'][2:]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")
    said, _ = shop.says("restore", turn["key"], code=1)
    assert path.read_bytes() == b"mine"
    assert "is there and damaged; mend it with: cas-llm verify --repair" in said


def _taken(shop: Shop) -> str:
    names = shop.bench.git("ls-tree", "-r", "--name-only", "HEAD~1", "cache_store/manifest/tapes")
    return next(name for name in names.split() if ".1." in name).removeprefix("cache_store/")


def test_an_entry_whose_answer_is_nowhere_stays_out(shop):
    """Damaged in git itself: what is whole is no reason to serve half a tape."""
    old = shop.tape(1)
    digest = old.turns[1].digest
    path = shop.root / "objects" / digest[:2] / f"{digest[2:]}.json"
    shop.bench.git("checkout", "-q", "--orphan", "alone")
    path.write_bytes(b"cut off")
    shop.bench.commit("Begin anew")
    shop.bench.git("branch", "-D", "-q", "main")
    shop.bench.git(
        "rm", "-rq", "cache_store/manifest", "cache_store/objects", "cache_store/requests"
    )
    shop.bench.commit("All gone")
    said, _ = shop.says("restore", NAME, "--dry-run", code=1)
    assert "is named and nowhere: neither in the trash nor in git" in said
    assert "stays out, as not all that it names is left" in said
    told = shop.restore(old.turns[1].key, code=1)
    assert told["left_out"] == [old.path(shop.root).relative_to(shop.root).as_posix()]
    assert told["nowhere"] == [f"objects/{digest[:2]}/{digest[2:]}.json"]
    assert shop.errors() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("restore",), "say what comes back: a KEY, a TEST or --from REV"),
        (("restore", "abc"), "too short: give at least 4 hex digits"),
        (("restore", "0000feed"), "git fetch --all; see what there is with: cas-llm ls"),
        (("restore", "tests/none.py::x"), "no key and no test"),
        (("restore", "--from", "nowhere"), "'nowhere' is no commit, tag or branch that is here"),
        (("restore", "--from=--all"), "is no commit, tag or branch that is here"),
    ],
)
def test_a_word_that_names_nothing_is_one_clear_error(shop, arguments, says):
    """With the next command."""
    out, err = shop.says(*arguments, code=2 if arguments == ("restore",) else 1)
    assert says in err
    assert out == ""


def test_a_key_that_nothing_ever_named_is_one_clear_error(shop):
    """As of a writer that was killed, or a key that a revision does not have."""
    shop.prune(gone=True)
    key = "ab" * 32
    path = shop.root / "requests" / "ab" / f"{key[2:]}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    assert "no entry that named it is remembered" in shop.says("restore", key, code=1)[1]
    assert "HEAD does not name it" in shop.says("restore", key, "--from", "HEAD", code=1)[1]
    assert "nothing names it" in shop.says("history", key, code=1)[1]


def test_a_prefix_of_several_keys_lists_them(shop):
    """Gone ones too."""
    shop.prune(gone=True)
    store = Store(shop.root)
    for end in "ab":
        store.manifest.add_shared(Shared("00" * 31 + "0" + end, 0, "0a1b2c3d", 1, "f" * 64))
    _, err = shop.says("restore", "0000", code=1)
    assert "'0000' fits 2 keys" in err


def test_a_shallow_clone_and_a_folder_without_git_say_what_to_do(shop, tmp_path):
    """Each knows less, and says where more is."""
    shop.prune(gone=True)
    clone = tmp_path / "clone"
    shop.bench.git("clone", "-q", "--depth=1", f"file://{shop.root.parent}", str(clone))
    shop.root = clone / "cache_store"
    assert "git fetch --unshallow" in shop.says("restore", NAME, code=1)[1]
    shutil.rmtree(clone / ".git")
    assert "no git repository" in shop.says("restore", NAME, code=1)[1]
    assert "no git repository" in shop.says("restore", "--from", "HEAD", code=1)[1]


def test_where_git_is_missing_it_is_one_clear_error(shop, monkeypatch):
    """Nothing is known, and nothing raised."""
    shop.prune(gone=True)
    monkeypatch.setenv("PATH", "")
    assert "no key and no test" in shop.says("restore", NAME, code=1)[1]


@pytest.mark.slow
def test_pytest_and_explain_name_the_commit_and_the_command_mends_it(project, provider):
    """From the red test to the green one, as a person types it."""
    suite = Inner(project, provider).tests("def test_one():\n    ask('one')\n")
    suite.record(passed=1)
    project.commit("Record")
    project.git("rm", "-rq", "cache_store/manifest", "cache_store/objects", "cache_store/requests")
    project.commit("Prune too much")
    failed = suite.run(failed=1)
    [line] = {line.strip() for line in failed.stdout.splitlines() if "deleted in" in line}
    head = project.git("rev-parse", "HEAD")[:7]
    assert line.startswith(f'deleted in {head} "Prune too much" by Ada, ')
    assert line in project.cas_llm("explain").stdout
    command = line.rpartition("bring it back: ")[2]
    done = project.cas_llm(*command.split()[1:])
    assert "is served again" in done.stdout, done
    suite.run(passed=1)


def merged_unknown(folder: Path, seed: int) -> tuple[Bench, World, list[str]]:
    """Two branches of some steps each; one prunes without knowing of the other; both merged."""
    chance = random.Random(seed)
    bench, world = Bench(folder, exchanges([]), seed), World()
    bench.play(world, some_steps(chance, 5), "b")
    bench.commit("Base")
    bench.git("checkout", "-qb", "right")
    right = world.copy()
    bench.git("checkout", "-q", "main")
    bench.play(world, [*some_steps(chance, 4), Step("capture", 0, 2)], "l")
    bench.prune(days=15)
    bench.commit("Prune")
    bench.git("checkout", "-q", "right")
    bench.play(right, some_steps(chance, 4), "R")
    bench.commit("Right")
    bench.git("merge", "-q", "--no-edit", "main")
    shutil.rmtree(folder / ".git" / "cas-llm", ignore_errors=True)
    lost = [f.path for f in verify(bench.root, checks(), level=1) if f.severity == "error"]
    return bench, right, lost


def is_mended(folder: Path, seed: int, capsys) -> int:
    """Restore each test that misses; gives how many did."""
    bench, right, lost = merged_unknown(folder, seed)
    shop = Shop(bench, capsys)
    assert set(lost) <= pruned.deletions(bench.root, seconds=60).keys()
    missing = [name for name, heard in bench.replay(right).items() if heard.refused]
    assert lost or not missing
    before = bench.live
    for name in missing:
        talk = right.talks[name]
        for scope in (name, talk.fixture):
            if scope and Store(bench.root).manifest.tapes_of(scope):
                told = shop.restore(scope)
                assert told["left_out"] == told["nowhere"] == []
    still = {name for name, heard in bench.replay(right).items() if heard.refused}
    assert (still, bench.live) == (set(), before)
    return len(missing)


@pytest.mark.slow
def test_what_a_prune_took_from_a_branch_it_could_not_know_is_restored(tmp_path, capsys):
    """The merge is clean, each file it lacks names its commit, and restore mends it offline."""
    assert is_mended(tmp_path / "merged", MISSES, capsys) > 0


@pytest.mark.slow
def test_many_merges_with_branches_nobody_knew_of_are_restored(tmp_path, capsys):
    """Of random histories; some of them miss."""
    assert sum(is_mended(tmp_path / str(seed), seed, capsys) for seed in range(60)) > 5
