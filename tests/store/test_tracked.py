"""What git holds of a store, and how a bad file is put back from there, word for word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.projects import Project
from support.stores import TEST, asks, recorded, says, tape_of

from cas_llm.digest import digest_of
from cas_llm.errors import StoreError
from cas_llm.store import Store, layout
from cas_llm.store.files import Writer
from cas_llm.store.proof import tracked
from cas_llm.store.proof.census import Finding
from cas_llm.store.proof.repair import Mended, repair

TOLD = recorded(asks("Say hello"), says("Hello!"))
OTHER = recorded(asks("Say bye"), says("Bye!"))
ANSWER_FILE = layout.sharded("objects", TOLD.files()[0])
[PART] = TOLD.parts
PART_FILE = layout.sharded("objects", PART, "txt")
TAPE_FILE = tape_of(TOLD).path(Path()).as_posix()


@pytest.fixture
def store(project: Project) -> Store:
    """A committed store with one tape of one turn."""
    made = Store(project.path / "cache_store")
    made.save(TOLD)
    made.add_tape(tape_of(TOLD))
    made.close()
    project.commit()
    return made


def told(store: Store) -> list[tuple[object, ...]]:
    return [
        (one.code, one.severity, one.path, one.what, one.why, one.command)
        for one in tracked.compare(store.root)
    ]


def test_a_committed_store_is_as_git_holds_it(store: Store) -> None:
    """Nothing to say, and every file was looked at once."""
    counts: list[int] = []
    assert list(tracked.compare(store.root, counts.append)) == []
    files = [path for path in store.root.rglob("*") if path.is_file()]
    assert sum(counts) == len([path for path in files if ".local" not in path.parts])


def test_outside_a_repository_is_information(tmp_path: Path) -> None:
    """The store works; nobody else gets it."""
    made = Store(tmp_path / "s")
    made.prepare()
    assert told(made) == [
        (
            "CAS050",
            "info",
            ".",
            "is in no git repository",
            "recordings that are in no repository reach nobody else",
            "git init",
        )
    ]


def test_an_ignored_store_names_the_command_that_shows_the_rule(store: Store, project) -> None:
    """Nothing else is said: nothing else matters."""
    project.file(".gitignore", "cache_store/\n")
    assert told(store) == [
        (
            "CAS053",
            "error",
            ".",
            "is ignored by git",
            "no recording will ever be committed",
            "git check-ignore -v cache_store/format",
        )
    ]


@pytest.mark.parametrize("name", ["text", "merge"])
def test_an_attribute_that_would_convert_recordings_is_an_error(
    store: Store, project, name
) -> None:
    """`.git/info/attributes` overrides the store's own rules, and nobody sees it."""
    info = project.path / ".git" / "info" / "attributes"
    info.parent.mkdir(exist_ok=True)
    info.write_text(f"cache_store/objects/** {name}\n")
    assert told(store) == [
        (
            "CAS054",
            "error",
            ".gitattributes",
            f"has the attribute {name} = set, it must be unset",
            "git would convert or merge recordings; .git/info/attributes can override",
            "git check-attr -a cache_store/objects/x.json",
        )
    ]


def test_a_lost_file_is_an_error(store: Store) -> None:
    """With both ways on: bring it back, or say that it is meant."""
    (store.root / ANSWER_FILE).unlink()
    assert told(store) == [
        (
            "CAS051",
            "error",
            ANSWER_FILE,
            "is tracked but not on disk",
            "it is committed or staged; unless a prune took it, it was lost",
            f"git checkout -- {ANSWER_FILE} (in {store.root.resolve()}), or git rm {ANSWER_FILE}",
        )
    ]


@pytest.mark.parametrize(
    ("change", "what", "why"),
    [
        (
            lambda data: data + b"x",
            "has other bytes than git's index",
            "it was changed after it was added; recordings never change",
        ),
        (
            lambda data: data.replace(b"\n", b"\r\n"),
            "has other line ends in git",
            "git or an editor converted them; .gitattributes must say -text",
        ),
    ],
)
def test_other_bytes_than_git_holds_are_an_error(store: Store, change, what, why) -> None:
    """Other line ends are told apart: they have another cause."""
    path = store.root / PART_FILE
    path.write_bytes(change(path.read_bytes()))
    command = f"git checkout -- {PART_FILE}, or git add it"
    assert told(store) == [("CAS052", "error", PART_FILE, what, why, command)]


def test_one_lost_file_hides_no_other_fault(store: Store) -> None:
    """Every file is compared, in the order git names them."""
    lost, changed = sorted([ANSWER_FILE, PART_FILE])
    (store.root / lost).unlink()
    (store.root / changed).write_bytes(b"x")
    assert [(one[0], one[2]) for one in told(store)] == [("CAS051", lost), ("CAS052", changed)]


def test_line_ends_that_git_holds_and_the_disk_does_not_are_told_too(store: Store, project) -> None:
    """Whichever of the two was converted."""
    path = store.root / PART_FILE
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\n", b"\r\n"))
    project.commit()
    path.write_bytes(whole)
    assert [one.what for one in tracked.compare(store.root)] == ["has other line ends in git"]


def test_what_git_does_not_hold_is_a_warning(store: Store) -> None:
    """Each file, in order of names; local files are no business of git's."""
    store.save(OTHER)
    names = sorted(
        [
            layout.sharded("objects", OTHER.files()[0]),
            layout.sharded("requests", OTHER.answer.key),
        ]
    )
    assert told(store) == [
        (
            "CAS056",
            "warning",
            name,
            "is not added to git",
            "whoever clones the repository will miss it",
            "git add cache_store",
        )
        for name in names
    ]


def test_a_link_that_git_holds_is_an_error(store: Store, project) -> None:
    """A recording is a plain file."""
    path = store.root / PART_FILE
    other = path.with_name("plain")
    path.rename(other)
    path.symlink_to("plain")
    project.commit()
    assert ("CAS055", "error", PART_FILE) in [one[:3] for one in told(store)]
    [odd] = [one for one in told(store) if one[2] == PART_FILE]
    assert odd[3:] == (
        "is tracked with the mode 120000",
        "it must be a plain file",
        "cas-llm verify --repair",
    )


def test_a_file_in_conflict_is_an_error(store: Store, project) -> None:
    """A merge that nobody finished; told once, whatever the stages."""

    def git(*words: str, given: bytes = b"") -> bytes:
        argv = ["git", *words]
        done = subprocess.run(argv, cwd=project.path, input=given, check=True, capture_output=True)
        return done.stdout

    name = f"cache_store/{PART_FILE}"
    blob = git("rev-parse", f"HEAD:{name}").decode().strip()
    git("rm", "-q", "--cached", name)
    stages = "".join(f"100644 {blob} {stage}\t{name}\n" for stage in (2, 3))
    git("update-index", "--index-info", given=stages.encode())
    assert told(store) == [
        (
            "CAS055",
            "error",
            PART_FILE,
            "is in conflict",
            "a merge is not finished",
            "cas-llm verify --repair",
        )
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_a_name_that_is_no_text_is_told_all_the_same(store: Store) -> None:
    """Git names bytes."""
    Path(os.fsdecode(os.fsencode(store.root / "objects") + b"/\xff")).write_bytes(b"x")
    assert [one.path for one in tracked.compare(store.root)] == ["objects/\udcff"]


def test_a_git_folder_without_a_repository_is_none(tmp_path: Path) -> None:
    """Git says so, whatever lies there."""
    (tmp_path / ".git").mkdir()
    made = Store(tmp_path / "s")
    made.prepare()
    assert [one.code for one in tracked.compare(made.root)] == ["CAS050"]


def finding(path: str, code: str = "CAS020", *tests: str) -> Finding:
    return Finding(code, "error", path, "what", tests=tests)


def mended(store: Store, *findings: Finding) -> list[Mended]:
    return list(repair(store.root, findings))


def test_a_damaged_recording_comes_back_from_git(store: Store) -> None:
    """The bytes its name stands for; twice is once."""
    for name in (ANSWER_FILE, TAPE_FILE, PART_FILE):
        whole = (store.root / name).read_bytes()
        (store.root / name).write_bytes(b"bad")
        what = "restored from git, digest checked"
        assert mended(store, finding(name), finding(name)) == [Mended(name, True, what)]
        assert (store.root / name).read_bytes() == whole
        assert mended(store, finding(name)) == [Mended(name, True, "is whole")]


def test_an_entry_is_mended_by_emptying_it(store: Store) -> None:
    """Its name says all."""
    name = f"manifest/shared/ab/{'0' * 62}.0.0a1b2c3d.1.{'0' * 64}"
    path = store.root / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    what = "emptied: its name is the entry"
    assert mended(store, finding(name, "CAS021")) == [Mended(name, True, what)]
    assert path.read_bytes() == b""


@pytest.mark.parametrize("name", ["format", ".gitignore", ".gitattributes"])
def test_a_file_that_explains_the_store_comes_back(store: Store, name: str) -> None:
    """As git has it, a team's own lines included; where git has none, as it was first written."""
    path = store.root / name
    whole = path.read_bytes()
    path.unlink()
    code = "CAS001" if name == "format" else "CAS002"
    assert mended(store, finding(name, code)) == [Mended(name, True, "restored from git")]
    assert path.read_bytes() == whole


def test_without_git_a_file_that_explains_the_store_is_written_anew(tmp_path: Path) -> None:
    """What it must say is known."""
    made = Store(tmp_path / "s")
    made.prepare()
    (made.root / "README.md").unlink()
    assert mended(made, finding("README.md", "CAS003")) == [
        Mended("README.md", True, "written anew")
    ]
    assert (made.root / "README.md").read_text("utf-8") == layout.README


def test_a_readme_of_the_teams_own_stays(store: Store) -> None:
    """Nothing reads it, so nothing is wrong with it."""
    (store.root / "README.md").write_text("mine")
    assert mended(store, finding("README.md", "CAS003")) == []
    assert (store.root / "README.md").read_text() == "mine"


def test_a_store_of_a_later_version_is_left_alone(store: Store) -> None:
    """An older cas-llm would make it worse."""
    (store.root / "format").write_text("cas-llm/store/9\n")
    newer = Finding("CAS001", "error", "format", "says 9; upgrade it with: pip")
    assert mended(store, newer) == [
        Mended(
            "format",
            False,
            "a later cas-llm wrote this store; nothing was changed",
            "pip install -U cas-llm",
        )
    ]
    assert (store.root / "format").read_text() == "cas-llm/store/9\n"


def test_what_git_holds_no_whole_copy_of_is_set_aside(store: Store) -> None:
    """Never deleted; the command that records it anew names the tests."""
    store.save(OTHER)
    name = layout.sharded("objects", OTHER.files()[0])
    last = Path(name).name
    (store.root / name).write_bytes(b"bad")
    what = f"git holds no whole copy; moved to .local/bad/{last}"
    command = f"pytest '{TEST}' t.py --cas-llm=capture"
    assert mended(store, finding(name, "CAS020", TEST, "block", "t.py")) == [
        Mended(name, False, what, command)
    ]
    assert (store.root / ".local" / "bad" / last).read_bytes() == b"bad"
    assert not (store.root / name).exists()
    assert mended(store, finding(name, "CAS010", "block")) == [
        Mended(name, False, "git never held it", "run it once with CAS_LLM_MODE=capture")
    ]


def test_a_tape_that_says_nothing_any_more_names_its_file_of_tests(store: Store) -> None:
    """The folder it lies in is that file."""
    name = f"manifest/tapes/tests/test_x.py/t.0.{'0' * 16}.json"
    assert mended(store, finding(name)) == [
        Mended(name, False, "git never held it", "pytest tests/test_x.py --cas-llm=capture")
    ]


@pytest.mark.parametrize("code", ["CAS004", "CAS013", "CAS030", "CAS033", "CAS040", "CAS056"])
def test_what_cannot_be_mended_is_left_to_people(store: Store, code: str) -> None:
    """A secret, a stranger's file, a tie: nothing is touched."""
    (store.root / ANSWER_FILE).write_bytes(b"bad")
    assert mended(store, finding(ANSWER_FILE, code)) == []
    assert (store.root / ANSWER_FILE).read_bytes() == b"bad"


def test_a_repair_that_is_refused_names_the_file(store: Store, monkeypatch) -> None:
    """One clear error; what was there is still there."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (store.root / ANSWER_FILE).write_bytes(b"bad")
    monkeypatch.setattr(Writer, "replace", refuse)
    with pytest.raises(StoreError, match="No space left") as raised:
        mended(store, finding(ANSWER_FILE))
    assert raised.value.path == store.root / ANSWER_FILE
    assert digest_of((store.root / ANSWER_FILE).read_bytes()) == digest_of(b"bad")
