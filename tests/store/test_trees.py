"""Each place that may need a recording: what it is called, what lies there, and which are near."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from support.stores import RUN, asks, recorded, says, tape_of

from cas_llm import gitrepo
from cas_llm.errors import StoreError
from cas_llm.store import Shared, Store, layout
from cas_llm.store.pruning import trees

TOLD = recorded(asks("Say hello"), says("Hello!"))
OTHER = recorded(asks("Say bye"), says("Bye!"))
DAY = 24 * 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a tape and a shared entry in a repository, committed on `main`."""
    folder = tmp_path / "here"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    made = Store(folder / "cache_store")
    made.save(TOLD)
    made.add_tape(tape_of(TOLD))
    made.add_shared(Shared(OTHER.answer.key, 0, RUN, 1, made.save(OTHER)))
    made.close()
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    return made


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def places(store: Store, later: float = 0.0) -> list[tuple[str, bool]]:
    found = trees.everywhere(store.root, time.time() + later)
    return [(tree.place, tree.near) for tree in found]


def test_outside_a_repository_there_is_the_work_tree_alone(tmp_path: Path) -> None:
    """Which is near."""
    made = Store(tmp_path / "s")
    made.prepare()
    assert places(made) == [("the work tree", True)]


def test_a_repository_has_the_index_and_head_as_well(store: Store) -> None:
    """HEAD's commit is told once, by the name of the default branch."""
    assert places(store) == [
        ("the work tree", True),
        ("the index", True),
        ("refs/heads/main", True),
    ]


def test_every_place_is_told_once_with_what_is_near(store: Store, tmp_path: Path) -> None:
    """Near is where a deletion goes: not other branches, stashes nor work trees."""
    folder = store.root.parent
    near = [("the work tree", True), ("the index", True), ("refs/heads/main", True)]
    git(folder, "branch", "other")
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(folder, "update-ref", "refs/remotes/origin/x/y", "HEAD")
    # The same commit under a second name is the same place, but for a branch that was just begun.
    assert places(store) == [*near, ("refs/heads/other", False)]
    git(folder, "checkout", "-q", "-b", "mine")
    git(folder, "commit", "-q", "--allow-empty", "-m", "two")
    near.append(("HEAD", True))
    far = [("refs/heads/other", False)]
    assert places(store) == [*near, *far]
    (folder / "a").write_text("x")
    git(folder, "stash", "-q", "-u")
    far += [(f"stash {number}", False) for number in range(3)]
    assert places(store) == [*near, *far]
    git(folder, "worktree", "add", "-q", "--detach", "../second", "HEAD")
    git(tmp_path / "second", "commit", "-q", "--allow-empty", "-m", "three")
    second = (tmp_path / "second").resolve()
    far += [(place.format(second), False) for place in ("{}", "the index of {}", "HEAD of {}")]
    assert places(store) == [*near, *far]
    git(folder, "checkout", "-q", "--detach")
    assert places(store) == [*near, ("refs/heads/mine", False), *far]


def test_a_branch_counts_for_two_weeks_after_its_last_commit(store: Store) -> None:
    """The default branch and the one that is checked out always do."""
    folder = store.root.parent
    git(folder, "branch", "other")
    near = [("the work tree", True), ("the index", True), ("refs/heads/main", True)]
    assert places(store, 13.9 * DAY) == [*near, ("refs/heads/other", False)]
    assert places(store, 14.1 * DAY) == near


def test_every_place_holds_what_was_committed(store: Store, tmp_path: Path) -> None:
    """The same names and the same bytes, from disk or from git; local files are nowhere."""
    folder = store.root.parent
    git(folder, "branch", "other")
    git(folder, "worktree", "add", "-q", "--detach", "../second")
    found = trees.everywhere(store.root, time.time())
    names = {
        path.relative_to(store.root).as_posix()
        for path in store.root.rglob("*")
        if path.is_file() and ".local" not in path.parts
    }
    tape_file = tape_of(TOLD).path(Path()).as_posix()
    [entry_file] = [name for name in names if name.startswith("manifest/shared/")]
    assert (store.root / ".local").is_dir()
    assert len(found) == 6
    for tree in found:
        assert tree.names == names
        wanted = [tape_file, "format", "absent"]
        assert dict(tree.read(wanted)) == {
            name: (store.root / name).read_bytes() for name in wanted[:2]
        }
        held = tree.entries({})
        assert held.tapes == {tape_file: tape_of(TOLD)}
        [(place, entry)] = held.shared.items()
        assert (place, entry.key, entry.digest) == (
            entry_file,
            OTHER.answer.key,
            OTHER.files()[0],
        )
        assert list(tree.entries({tape_file: "known"}).tapes.values()) == ["known"]


def test_names_that_are_no_entries_are_none(store: Store) -> None:
    """Foreign files beside tapes and entries, and entries in the wrong folder."""
    [entry] = list((store.root / layout.SHARED).rglob("*.*.*"))
    before = trees.on_disk(store.root).entries({})
    for name in (
        "manifest/tapes/notes.json",
        f"manifest/{entry.name}",
        f"manifest/shared/{entry.name}",
        f"manifest/shared/ab/cd/{entry.name}",
        f"manifest/other/ab/{entry.name}",
        f"manifest/shared/zz/{entry.name}",
        tape_of(TOLD).path(Path("elsewhere")).as_posix(),
    ):
        (store.root / name).parent.mkdir(parents=True, exist_ok=True)
        (store.root / name).touch()
    assert trees.on_disk(store.root).entries({}) == before


def test_a_tape_that_cannot_be_used_names_its_place(store: Store) -> None:
    """Nobody knows what it names."""
    path = tape_of(TOLD).path(store.root)
    name = path.relative_to(store.root).as_posix()
    path.write_bytes(b"x")
    with pytest.raises(StoreError) as raised:
        trees.on_disk(store.root, "there").entries({})
    assert str(raised.value).startswith(f"there: {name} is not a tape that can be used (")
    assert raised.value.path == Path(name)
    tree = trees.on_disk(store.root)
    path.unlink()
    with pytest.raises(StoreError) as raised:
        tree.entries({})
    assert str(raised.value).startswith(f"the work tree: {name} cannot be read, so that nobody ")
    assert str(raised.value).endswith("cas-llm verify --repair")
    assert raised.value.path == Path(name)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ("branches", "list the branches of {}"),
        ("files_in_index", "read the index"),
        ("files_at", "read refs/heads/main"),
    ],
)
def test_where_git_is_silent_nothing_is_known(store: Store, monkeypatch, asked, what) -> None:
    """The error says what was asked, and where to look."""
    monkeypatch.setattr(gitrepo, asked, lambda *_: None)
    with pytest.raises(StoreError) as raised:
        places(store)
    text = what.format(store.root.parent.resolve())
    assert str(raised.value) == (
        f"git does not {text}; nothing was changed. See what it says: git status"
    )
