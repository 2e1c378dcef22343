"""`cas-llm resolve`: real merges with real conflicts end with both sides' recordings, whole."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.histories import Bench, Talk, World, exchanges
from support.terminal import said

from cas_llm.cli.verify import checks
from cas_llm.gitrepo import contents, files_at
from cas_llm.store import layout
from cas_llm.store.proof.verify import verify

ONE = Talk("tests/test_a.py::one", "one", 0, 2)
TWO = Talk("tests/test_b.py::two", "two", 8, 1)
SIDE = Talk("tests/test_c.py::side", "side", 9, 1)
MAIN = Talk("tests/test_d.py::main", "main", 10, 1)


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Bench:
    """Two branches, on each of which another test was recorded."""
    folder = tmp_path_factory.mktemp("template") / "work"
    bench = Bench(folder, exchanges([]))
    bench.run(World({ONE.name: ONE, TWO.name: TWO}), "capture", [ONE, TWO])
    bench.commit("Record both")
    for branch, talk in (("side", SIDE), ("main", MAIN)):
        bench.git("checkout", "-q", *(["-b"] if branch == "side" else []), branch)
        bench.run(World({talk.name: talk}), "capture", [talk])
        bench.commit(f"Record on {branch}")
    return bench


class Fork:
    """A repository in which two branches did something each; `merge` brings them together."""

    def __init__(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = bench.folder
        self.root = bench.root
        self.bench = bench
        self.capsys = capsys
        self.recorded = {**self.files("main"), **self.files("side")}

    def git(self, *words: str) -> str:
        return self.bench.git(*words)

    def files(self, revision: str) -> dict[str, bytes]:
        """The recordings of *revision* by path."""
        blobs = files_at(self.folder, revision, "cache_store") or {}
        data = dict(contents(self.folder, set(blobs.values())))
        return {n: data[blob] for n, blob in blobs.items() if n[:3] in {"req", "obj", "man"}}

    def on(self, branch: str, *changes: Any) -> Fork:
        """Do *changes* on *branch* and commit them; ends on main."""
        self.git("checkout", "-q", branch)
        for change in changes:
            change(self)
        self.bench.commit(f"Changes on {branch}")
        self.git("checkout", "-q", "main")
        return self

    def merge(self, *words: str, conflicts: bool = True) -> Fork:
        done = self.bench.try_git("merge", "--no-commit", "--no-ff", "-q", *words, "side")
        assert (done.returncode != 0) == conflicts, done.stdout + done.stderr
        return self

    def resolve(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        return json.loads(self.says("resolve", "--json", *arguments, code=code)[0])

    def says(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        return said(self.capsys, *arguments, "--store", str(self.root), code=code)

    def tape(self, talk: Talk) -> str:
        """The store path of the tape of *talk*."""
        return next(n for n in self.recorded if n.startswith("manifest/") and talk.born in n)

    def path(self, name: str) -> Path:
        return self.root / name

    def answer(self, talk: Talk) -> str:
        """The store path of its first answer."""
        digest = json.loads(self.recorded[self.tape(talk)])["turns"][0]["digest"]
        return layout.sharded("objects", digest)

    def is_whole(self) -> None:
        """All that either side recorded is there and proved, and git takes the merge."""
        now = {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for folder in ("requests", "objects", "manifest")
            for path in (self.root / folder).rglob("*")
            if path.is_file() and path.name != ".keep"
        }
        assert now == {n: d for n, d in self.recorded.items() if not n.endswith(".keep")}
        assert [f.code for f in verify(self.root, checks()) if f.severity == "error"] == []
        self.git("add", "-A", str(self.root))
        assert self.git("ls-files", "-u") == ""
        self.git("commit", "-q", "-m", "Merge")


@pytest.fixture
def fork(template, tmp_path, capsys) -> Fork:
    return Fork(template.copied(tmp_path / "work"), capsys)


def edit(talk: Talk, text: bytes):
    """Write something into a tape, as somebody does who takes it for the way to change one."""

    def change(fork: Fork) -> None:
        path = fork.path(fork.tape(talk))
        path.write_bytes(path.read_bytes().replace(b'"answer": [', b'"answer": [' + text))

    return change


def delete(*talks: Talk):
    """Take out a test's tape and its first answer."""

    def change(fork: Fork) -> None:
        for talk in talks:
            os.remove(fork.path(fork.tape(talk)))
            os.remove(fork.path(fork.answer(talk)))

    return change


def reformat(fork: Fork) -> None:
    """What a fixer does to each JSON file: members sorted, four spaces."""
    for path in fork.root.rglob("*.json"):
        if layout.LOCAL not in path.parts:
            path.write_text(json.dumps(json.loads(path.read_bytes()), indent=4, sort_keys=True))


def test_a_tape_edited_on_both_sides_gets_its_own_bytes_back(fork):
    """What was in the work tree is set aside, nothing is added to the index."""
    fork.on("side", edit(ONE, b'"side", ')).on("main", edit(ONE, b'"main", ')).merge()
    before = fork.git("ls-files", "-s")
    told = fork.resolve()
    assert {one["path"]: one["what"] for one in told["files"]} == {
        fork.tape(ONE): "its own bytes put back; what was there lies in .local/bad/"
    }
    assert fork.git("ls-files", "-s") == before
    assert list((fork.root / ".local" / "bad").iterdir())
    assert told["next"] == f"git add -A {fork.root} && git commit"
    fork.is_whole()


@pytest.mark.parametrize(("deletes", "edits"), [("main", "side"), ("side", "main")])
def test_what_one_side_deleted_and_the_other_edited_is_kept(fork, deletes, edits):
    """With the answers that it names and the deletion took."""
    fork.on(deletes, delete(ONE)).on(edits, edit(ONE, b'"x", ')).merge()
    told = fork.resolve()
    whats = {one["path"]: one["what"] for one in told["files"]}
    assert whats[fork.answer(ONE)] == "brought back: an entry that stays names it"
    assert fork.tape(ONE) in whats
    fork.is_whole()


def test_what_a_fixer_rewrote_on_one_side_is_put_back(fork):
    """Also where git merged it without a conflict, as the other side had not touched it."""
    fork.on("side", reformat).merge(conflicts=False)
    told = fork.resolve()
    assert {one["what"][:9] for one in told["files"]} == {"its own b"}
    fork.is_whole()


def test_what_a_fixer_rewrote_on_one_side_and_the_other_deleted(fork):
    """A modify/delete conflict on a part of the files, and rewritten ones beside."""
    fork.on("side", reformat).on("main", delete(ONE)).merge()
    fork.resolve()
    fork.is_whole()


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_a_store_that_was_taken_from_one_side_gets_the_others_recordings(fork, side):
    """Whoever resolves a conflict with one side's folder loses what the other recorded."""
    fork.on("side", edit(ONE, b'"side", ')).on("main", edit(ONE, b'"main", ')).merge()
    revision = "HEAD" if side == "ours" else "MERGE_HEAD"
    shutil.rmtree(fork.root)
    fork.git("rm", "-rq", "--cached", "cache_store")
    fork.git("checkout", revision, "--", "cache_store")
    told = fork.resolve()
    assert {one["what"] for one in told["files"]} >= {"kept: a side has it"}
    fork.is_whole()


def test_an_object_lost_in_a_resolution_comes_back(fork):
    """From either parent, also where no path is in conflict any more."""
    fork.merge(conflicts=False)
    os.remove(fork.path(fork.answer(SIDE)))
    os.remove(fork.path(fork.answer(MAIN)))
    fork.git("add", "-A")
    told = fork.resolve()
    assert {one["path"] for one in told["files"]} == {fork.answer(SIDE), fork.answer(MAIN)}
    fork.is_whole()


def test_what_one_side_pruned_stays_out_unless_it_is_named(fork):
    """A deletion that merges cleanly is no conflict."""
    fork.on("main", delete(TWO)).merge(conflicts=False)
    assert fork.resolve()["files"] == []
    assert "All is as it must be." in fork.says("resolve")[0]
    assert not fork.path(fork.tape(TWO)).exists()


def test_conflict_markers_inside_files_are_undone(fork):
    """As a merge driver leaves them that was told to merge recordings as text."""
    for branch, line in (("side", b'"side",\n'), ("main", b'"main",\n')):
        fork.on(branch, edit(ONE, line), drop_attributes)
    (fork.folder / ".git" / "info" / "attributes").write_text("* text merge\n")
    fork.merge()
    assert b"<<<<<<<" in fork.path(fork.tape(ONE)).read_bytes()
    fork.git("add", "-A")
    fork.resolve()
    attributes = fork.root / ".gitattributes"
    assert attributes.read_text() == layout.GITATTRIBUTES
    fork.is_whole()


def drop_attributes(fork: Fork) -> None:
    path = fork.root / ".gitattributes"
    path.write_text(fork.git("rev-parse", "--abbrev-ref", "HEAD"))


@pytest.mark.parametrize("name", ["format", "README.md", ".gitignore", ".gitattributes"])
def test_the_stores_own_files_are_written_as_this_version_writes_them(fork, name):
    """Whatever both sides made of them; a folder with a `format` in pieces is still mended."""
    for branch in ("side", "main"):
        fork.on(branch, lambda fork, branch=branch: fork.path(name).write_text(branch * 9))
    fork.merge()
    told = fork.resolve()
    assert {one["path"]: one["what"] for one in told["files"]} == {
        name: "written as this version writes it"
    }
    fork.is_whole()


def test_a_side_that_a_later_version_wrote_changes_nothing(fork):
    """It is no file of this version to mend."""
    fork.on("side", lambda fork: fork.path("format").write_text("cas-llm/store/2\n"))
    fork.on("main", lambda fork: fork.path("format").write_text("cas-llm/store/1\n\n")).merge()
    _, err = fork.says("resolve", code=1)
    assert "nothing was changed. Upgrade it with: pip install -U cas-llm" in err


def test_an_empty_file_that_somebody_filled_on_both_sides_is_emptied(fork):
    """A folder's .keep and a shared entry say all by their names."""
    name = "objects/ff/.keep"

    def fill(fork: Fork) -> None:
        fork.path(name).parent.mkdir(exist_ok=True)
        fork.path(name).write_text(fork.git("rev-parse", "HEAD"))

    fork.on("side", fill).on("main", fill).merge()
    assert [one["path"] for one in fork.resolve()["files"]] == [name]
    assert fork.path(name).read_bytes() == b""
    fork.is_whole()


def test_a_tape_that_git_took_along_into_a_moved_folder_goes_back(fork):
    """One side moved a folder of tapes by hand, the other added to it: git suggests the new one."""
    folder = Path(fork.tape(ONE)).parent
    added = Talk("tests/test_a.py::late", "late", 11, 1)

    def move(fork: Fork) -> None:
        fork.git("mv", f"cache_store/{folder}", f"cache_store/{folder}_moved")

    fork.on("main", move)
    fork.git("checkout", "-q", "side")
    fork.bench.run(World({added.name: added}), "capture", [added])
    fork.bench.commit("Record late")
    late = next(n for n in fork.files("side") if ".late." in n or "/late." in n)
    fork.git("checkout", "-q", "main")
    done = fork.bench.try_git("-c", "merge.directoryRenames=conflict", "merge", "-q", "side")
    assert done.returncode != 0, done
    assert not fork.path(late).exists()
    fork.resolve()
    assert fork.path(late).read_bytes() == fork.files("side")[late]


def test_a_file_that_is_no_recording_is_left_to_a_person(fork):
    """It is named, and the exit code says that not all is done."""
    for branch in ("side", "main"):
        fork.on(branch, lambda fork, branch=branch: fork.path("notes.txt").write_text(branch))
    fork.merge()
    before = fork.path("notes.txt").read_bytes()
    assert fork.resolve(code=1)["by_hand"] == ["notes.txt"]
    assert "choose by hand" in fork.says("resolve", code=1)[0]
    assert fork.path("notes.txt").read_bytes() == before


def test_a_file_whose_bytes_no_side_has_is_moved_away(fork):
    """Damaged before both: git knows no better, so it is named and not served."""
    name = "objects/ab/" + "c" * 62 + ".json"
    for branch in ("side", "main"):

        def write(fork: Fork, branch: str = branch) -> None:
            fork.path(name).parent.mkdir(exist_ok=True)
            fork.path(name).write_text(branch)

        fork.on(branch, write)
    fork.merge()
    told = fork.resolve()
    assert [one["what"][:20] for one in told["files"]] == ["moved to .local/bad/"]
    assert (fork.root / ".local" / "bad" / Path(name).name).exists()
    fork.is_whole()


def test_a_dry_run_says_the_same_and_writes_nothing(fork):
    """Down to the last byte of the work tree."""
    fork.on("side", edit(ONE, b'"side", ')).on("main", delete(ONE)).merge()
    before = _snapshot(fork)
    planned = fork.resolve("--dry-run")
    said, _ = fork.says("resolve", "--dry-run")
    assert "Nothing was changed. Next: cas-llm resolve" in said
    assert _snapshot(fork) == before
    assert fork.resolve() == planned | {"applied": True}
    said, _ = fork.says("resolve")
    assert re.search(r"Next: git add -A .*cache_store && git commit\n", said)


def _snapshot(fork: Fork) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in fork.root.rglob("*")
        if path.is_file() and ".local" not in path.parts
    }


def test_a_cherry_pick_a_revert_and_a_rebase_are_merges_too(fork):
    """Each names the command that ends it; what a revert takes out stays out."""
    fork.git("revert", "--no-commit", "HEAD")
    assert fork.resolve()["files"] == []
    assert not fork.path(fork.tape(MAIN)).exists()
    fork.git("revert", "--abort")
    fork.on("side", edit(ONE, b'"side", ')).on("main", edit(ONE, b'"main", '))
    assert fork.bench.try_git("cherry-pick", "side").returncode != 0
    assert fork.resolve()["next"].endswith(" && git cherry-pick --continue")
    assert fork.path(fork.tape(ONE)).read_bytes() == fork.recorded[fork.tape(ONE)]
    fork.git("cherry-pick", "--abort")
    assert fork.bench.try_git("rebase", "side").returncode != 0
    assert fork.resolve()["next"].endswith(" && git rebase --continue")
    fork.git("rebase", "--abort")
    fork.on("main", edit(ONE, b'"again", '))
    assert fork.bench.try_git("revert", "--no-edit", "HEAD~1").returncode != 0
    assert fork.resolve()["next"].endswith(" && git revert --continue")


def test_a_stash_that_conflicts_is_resolved_without_touching_the_rest(fork):
    """There is no other side; only what is in conflict counts."""
    edit(ONE, b'"stash", ')(fork)
    fork.git("stash", "-q")
    fork.on("main", edit(ONE, b'"main", '))
    os.remove(fork.path(fork.answer(TWO)))
    assert fork.bench.try_git("stash", "pop").returncode != 0
    told = fork.resolve()
    assert [one["path"] for one in told["files"]] == [fork.tape(ONE), fork.answer(TWO)][::-1]
    assert told["next"] == f"git add -A {fork.root}"


def test_outside_a_merge_there_is_nothing_to_resolve(fork):
    """It ends with 0 and says what mends a damaged file; also where there is no git."""
    said, _ = fork.says("resolve")
    assert "Nothing to resolve: no merge goes on here" in said
    assert "cas-llm verify --repair" in said
    assert fork.resolve() == fork.resolve() | {"merging": False, "files": [], "applied": False}
    shutil.rmtree(fork.folder / ".git")
    assert "is in no git repository" in fork.says("resolve")[0]
