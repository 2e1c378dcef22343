"""`cas-llm-verify`: what a commit does to a store, each thing that may be wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commits import Repository, staged, told
from support.stores import asks, every_kind, recorded, says, tape_of

from cas_llm.guard import touched
from cas_llm.guard.integrity import judge
from cas_llm.store import Store


def errors(repository: Repository) -> list[tuple[str, str]]:
    return [(one.code, one.path) for one in told(repository) if one.severity == "error"]


def test_a_store_that_is_added_whole_is_clean(tmp_path: Path) -> None:
    """The first commit of a repository, with every kind of file there is."""
    made = Repository.made(tmp_path / "new")
    made.filled()
    assert staged(made) == []


def test_a_store_at_the_top_of_its_repository_is_a_store(tmp_path: Path) -> None:
    """A repository or submodule of its own."""
    made = Repository.made(tmp_path / "new")
    every_kind(made.path)
    assert staged(made) == []
    one = next(made.path.glob("objects/*/*.json"))
    made.git("rm", "-q", "--cached", "--", made.name(one))
    assert {found.code for found in told(made)} == {"CAS010"}


def test_nothing_staged_means_all_of_the_store(repository: Repository) -> None:
    """So that CI and `pre-commit run --all-files` find what an earlier commit broke."""
    assert judge(repository.staged({})) == []
    gone = repository.one("objects/*/*.mp3")
    gone.unlink()
    repository.commit("Broken, past the hook")
    assert [one.code for one in judge(repository.staged({}))] == ["CAS012"]
    assert told(repository) == []  # a commit of nothing is no question about all


def test_what_is_only_in_the_work_tree_is_not_looked_at(repository: Repository) -> None:
    """A broken file that is not staged is not committed; one that is staged and mended since is."""
    place = repository.one("requests/*/*.json")
    place.write_bytes(b"broken")
    assert told(repository) == []
    repository.git("add", "-A")
    place.write_text(repository.git("show", f"HEAD:{repository.name(place)}"))
    assert errors(repository) == [("CAS060", repository.name(place))]


KINDS = (
    "requests/*/*.json",
    "objects/*/*.json",
    "objects/*/*.txt",
    "objects/*/*.png",
    "manifest/tapes/**/*.json",
)


@pytest.mark.parametrize("pattern", KINDS)
def test_an_edit_in_place_is_an_error_and_the_command_undoes_it(
    repository: Repository, pattern: str
) -> None:
    """Of every kind of content-named file; the finding says how an answer is changed rightly."""
    place = repository.one(pattern)
    place.write_bytes(place.read_bytes() + b" ")
    (finding,) = [one for one in staged(repository) if one.severity == "error"]
    assert (finding.code, finding.path) == ("CAS060", repository.name(place))
    assert "cas-llm edit" in finding.why
    repository.do(finding)
    assert (repository.git("status", "--porcelain"), told(repository)) == ("", [])


def test_a_shared_entry_must_stay_empty(repository: Repository) -> None:
    """The name is the entry."""
    place = repository.one("manifest/shared/*/*")
    place.write_bytes(b"\n")
    (finding,) = staged(repository)
    assert (finding.code, finding.path) == ("CAS021", repository.name(place))
    repository.do(finding)
    assert repository.git("status", "--porcelain") == ""


def test_bytes_that_come_right_are_no_edit(repository: Repository) -> None:
    """The commit that mends a broken file must go through."""
    place = repository.one("objects/*/*.json")
    right = place.read_bytes()
    place.write_bytes(right + b" ")
    repository.commit("Broken")
    place.write_bytes(right)
    assert staged(repository) == []


CONVERSIONS: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "final line end": lambda data: data.rstrip(b"\n"),
    "LFS": lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
}


def test_what_a_program_converted_is_named(repository: Repository) -> None:
    """Whether it was converted after it was committed, or before it was ever added."""
    place = repository.one("objects/*/*.json")
    name, right = repository.name(place), place.read_bytes()
    for how, convert in CONVERSIONS.items():
        place.write_bytes(convert(right))
        (finding,) = [one for one in staged(repository) if one.severity == "error"]
        assert (finding.code, finding.path, how in finding.what) == ("CAS062", name, True)
    repository.git("update-ref", "-d", "HEAD")
    (finding,) = [one for one in told(repository) if one.severity == "error"]
    assert (finding.code, finding.command.partition(" &&")[0]) == (
        "CAS062",
        "cas-llm verify --repair",
    )


def test_a_recording_that_was_not_added_is_named_with_the_command(repository: Repository) -> None:
    """A tape is staged and its answer, key record and part are not."""
    store = Store(repository.root)
    more = recorded(asks("Something new", extra="long text " * 400), says("Yes"))
    store.save(more)
    tape = store.add_tape(tape_of(more, scope="tests/test_bot.py::test_new"))
    store.close()
    repository.git("add", "--", repository.name(tape))
    found = told(repository)
    assert {one.code for one in found} == {"CAS010", "CAS011"}
    for one in found:
        assert "is not added" in one.what
        assert one.tests == ("tests/test_bot.py::test_new",)
        assert (repository.path / one.path).is_file()
    repository.do(found[0])
    assert told(repository) == []


def test_an_answer_that_is_nowhere_is_to_be_repaired_or_recorded(repository: Repository) -> None:
    """There is nothing to add."""
    store = Store(repository.root)
    more = recorded(asks("Something new"), says("Yes"))
    digest = store.save(more)
    store.add_tape(tape_of(more, scope="tests/test_bot.py::test_new"))
    store.close()
    (repository.root / f"objects/{digest[:2]}/{digest[2:]}.json").unlink()
    (finding,) = staged(repository)
    assert finding.code == "CAS010"
    assert "pytest tests/test_bot.py::test_new --cas-llm=fallback" in finding.command


def test_foreign_files_are_errors(repository: Repository) -> None:
    """Notes, files of this machine that were forced in, and wrong names; each can be taken out."""
    for name in ("notes.txt", ".local/index.sqlite3", "objects/ab/short.json", "requests/x.json"):
        place = repository.write(f"cache_store/{name}", "x")
        repository.git("add", "-f", "--", str(place))
        (finding,) = told(repository)
        assert (finding.code, finding.path) == ("CAS004", f"cache_store/{name}")
        repository.do(finding)
        assert told(repository) == []


def test_only_plain_files_are_recordings(repository: Repository) -> None:
    """A link would hold other bytes on each machine."""
    place = repository.one("objects/*/*.json")
    target = repository.write("elsewhere.json", place.read_bytes())
    place.unlink()
    place.symlink_to(os.path.relpath(target, place.parent))
    assert "CAS055" in {one.code for one in staged(repository)}


@pytest.mark.parametrize("name", ["format", ".gitattributes", ".gitignore", "README.md"])
def test_the_files_that_explain_the_store_are_guarded(repository: Repository, name: str) -> None:
    """Emptied or deleted; `README.md` is only said."""
    severity = "info" if name == "README.md" else "error"
    for spoil in (lambda place: place.write_bytes(b""), Path.unlink):
        spoil(repository.root / name)
        (finding,) = staged(repository)
        assert (finding.path, finding.severity) == (f"cache_store/{name}", severity)
        if finding.command:
            repository.do(finding)
        else:
            repository.git("checkout", "HEAD", "--", "cache_store")
        assert repository.git("status", "--porcelain") == ""


def test_attributes_that_win_over_the_stores_own_are_an_error(repository: Repository) -> None:
    """What only .git/info can say, and a filter that the store does not mention."""
    more = Store(repository.root)
    more.save(recorded(asks("More"), says("More")))
    more.close()
    assert {one.code for one in staged(repository)} == set()
    repository.write(".gitattributes", "*.json filter=lfs\n")
    repository.git("-c", "filter.lfs.clean=cat", "add", "-A")
    (finding,) = told(repository)
    assert (finding.code, "filter = lfs" in finding.what) == ("CAS054", True)
    repository.git("rm", "-q", "-f", ".gitattributes")
    repository.write(".git/info/attributes", "cache_store/** text\n")
    assert [one.code for one in told(repository)] == ["CAS054"]


def test_a_large_file_is_a_warning(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that holds more in itself than it need; above what forges take, an error."""
    store = Store(repository.root)
    one = recorded(asks("Tell me more"), says("word " * 1000))
    store.save(one)
    place = store.add_tape(tape_of(*[one] * 20, scope="tests/test_bot.py::test_long"))
    store.close()
    repository.git("add", "-A")
    name = repository.name(place)
    assert told(repository) == []
    size = place.stat().st_size
    for name_of_limit, severity in (("INLINE", "warning"), ("_WARNED", "warning")):
        with monkeypatch.context() as patched:
            patched.setattr(touched, name_of_limit, size - 1)
            (finding,) = told(repository)
            assert (finding.code, finding.severity, finding.path) == ("CAS063", severity, name)
    monkeypatch.setattr(touched, "_WARNED", size - 1)
    monkeypatch.setattr(touched, "_REFUSED", size - 1)
    assert errors(repository) == [("CAS063", name)]


def test_conflict_markers_and_files_in_conflict_are_errors(repository: Repository) -> None:
    """A store's file that both sides of a merge wrote differently, before and after `git add`."""
    repository.git("switch", "-q", "-c", "other")
    readme = repository.root / "README.md"
    readme.write_text("theirs\n")
    repository.commit("Theirs")
    repository.git("switch", "-q", "main")
    readme.write_text("ours\n")
    repository.commit("Ours")
    with pytest.raises(AssertionError):
        repository.git("merge", "-q", "other")
    (finding,) = [one for one in told(repository) if one.severity == "error"]
    assert (finding.code, finding.path) == ("CAS055", "cache_store/README.md")


def test_a_push_is_looked_at_from_what_the_remote_has(repository: Repository) -> None:
    """What a commit in between broke and a later one mended is none of its business."""
    base = repository.git("rev-parse", "HEAD").strip()
    place = repository.one("objects/*/*.json")
    right = place.read_bytes()
    place.write_bytes(b"broken")
    broken = repository.commit("Broken")
    variables = {"PRE_COMMIT_FROM_REF": base, "PRE_COMMIT_TO_REF": broken}
    (finding,) = judge(repository.staged(variables))
    assert (finding.code, f"--source={base[:12]}" in finding.command) == ("CAS060", True)
    place.write_bytes(right)
    mended = repository.commit("Mended")
    assert judge(repository.staged({**variables, "PRE_COMMIT_TO_REF": mended})) == []


def test_two_stores_are_told_apart(repository: Repository) -> None:
    """In a monorepo each finding names its own store's path."""
    every_kind(repository.path / "second package/cache_store")
    assert staged(repository) == []
    repository.commit("A second store")
    for folder in ("cache_store", "second package/cache_store"):
        place = min((repository.path / folder).glob("requests/*/*.json"))
        place.write_bytes(b"")
    found = [one for one in staged(repository) if one.severity == "error"]
    assert {one.path.partition("/requests")[0] for one in found} == {
        "cache_store",
        "second package/cache_store",
    }
    assert {one.code for one in found} == {"CAS060"}
    for one in found:
        repository.do(one)
    assert repository.git("status", "--porcelain") == ""
