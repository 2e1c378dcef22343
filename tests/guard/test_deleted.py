"""`cas-llm-verify`: what a commit may delete from a store, and what it may not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commits import TEST_FILE, Repository, staged, told
from support.stores import asks, files_of, recorded, says, tape_of

from cas_llm.digest import digest_of
from cas_llm.session import usage
from cas_llm.store import Store


def blobs(repository: Repository) -> Iterator[Path]:
    for path in files_of(repository.root):
        if path.relative_to(repository.root).parts[0] in {"requests", "objects"}:
            yield path


def test_no_file_that_is_named_may_be_deleted(repository: Repository) -> None:
    """Each key record, answer and part by itself, in a commit that does nothing else."""
    for path in blobs(repository):
        name = repository.name(path)
        repository.git("rm", "-q", "--cached", "--", name)
        found = [one for one in told(repository) if one.severity == "error"]
        assert [(one.path, one.code in {"CAS010", "CAS011", "CAS012"}) for one in found] == [
            (name, True)
        ]
        repository.do(found[0])
    assert repository.git("status", "--porcelain") == ""


def test_no_entry_in_use_may_be_deleted(repository: Repository) -> None:
    """A test's current tape, a block's, and the answers to a shared request that are used."""
    used = [
        one
        for one in files_of(repository.root)
        if "manifest" in one.parts and ".1b2c3d4e." not in one.name
    ]
    assert len(used) == 5
    for path in used:
        name = repository.name(path)
        repository.git("rm", "-q", "--cached", "--", name)
        (finding,) = told(repository)
        assert (finding.code, finding.path) == ("CAS061", name)
        repository.do(finding)
    assert told(repository) == []


def test_a_recording_that_nothing_uses_may_be_deleted(repository: Repository) -> None:
    """A shared run that is not picked, and what only it named."""
    dead = repository.one("manifest/shared/*/*.1b2c3d4e.*")
    digest = dead.name.rpartition(".")[2]
    dead.unlink()
    (repository.root / f"objects/{digest[:2]}/{digest[2:]}.json").unlink()
    assert staged(repository) == []


def test_the_tape_of_a_deleted_test_may_go(repository: Repository) -> None:
    """With the test, in the same commit; the block's tape still may not."""
    for path in repository.root.glob("manifest/tapes/tests/**/*.json"):
        path.unlink()
    assert {one.code for one in staged(repository)} == {"CAS061"}
    (repository.path / TEST_FILE).unlink()
    assert staged(repository) == []


def test_a_recording_that_another_takes_the_place_of_may_go(repository: Repository) -> None:
    """A tape was recorded anew with another answer, and the old one deleted."""
    (old,) = repository.root.glob("manifest/tapes/tests/**/*.1.*.json")
    store = Store(repository.root)
    more = recorded(asks("Say hello"), says("Hello again!"))
    store.save(more)
    store.add_tape(tape_of(more, take=2, source="f" * 64))
    store.close()
    old.unlink()
    assert staged(repository) == []


def test_a_take_with_other_requests_may_go_unless_a_run_used_it(repository: Repository) -> None:
    """What `prune` takes after an edited prompt: nothing contradicts it, and nobody asks it now."""
    (old,) = repository.root.glob("manifest/tapes/tests/**/*.1.*.json")
    scope, digest = json.loads(old.read_text("utf-8"))["scope"], digest_of(old.read_bytes())
    store = Store(repository.root)
    more = recorded(asks("Say hello, briefly"), says("Hi."))
    store.save(more)
    store.add_tape(tape_of(more, scope=scope, take=2, source="f" * 64))
    store.close()
    old.unlink()
    assert staged(repository) == []
    had = [tape.digest for tape in store.manifest.tapes_of(scope)] + [digest]
    used = {scope: {"tapes": [digest], "had": had}}
    usage.note(store, used, usage.Extent(outcomes={scope: "passed"}))
    (finding,) = told(repository)
    assert (finding.code, finding.tests) == ("CAS061", (scope,))


def test_a_store_that_goes_as_a_whole_is_a_warning(repository: Repository) -> None:
    """It is meant, and still worth a line; a store that moves is not lost."""
    repository.git("rm", "-r", "-q", "--cached", "cache_store")
    (finding,) = told(repository)
    assert (finding.code, finding.severity, finding.path) == ("CAS064", "warning", "cache_store")
    assert "3 tapes" in finding.what
    repository.git("reset", "-q")
    repository.git("mv", "cache_store", "recordings")
    assert told(repository) == []


def flipped(place: Path) -> None:
    data = bytearray(place.read_bytes())
    if data:
        data[len(data) // 2] ^= 1
    place.write_bytes(data or b"x")


def renamed(place: Path) -> None:
    place.rename(place.with_name(f"x{place.name[1:]}"))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte flipped": flipped,
    "cut off": lambda place: place.write_bytes(place.read_bytes()[:-1] or b"x"),
    "renamed": renamed,
    "deleted": Path.unlink,
}


@pytest.mark.slow
@pytest.mark.parametrize("how", DAMAGE)
def test_no_damage_to_a_live_file_goes_unseen(repository: Repository, how: str) -> None:
    """Each file of the store by itself, in a commit that does only that; 100 %."""
    dead = ".1b2c3d4e."
    answers = {path.name.rpartition(".")[2] for path in repository.root.glob(f"**/*{dead}*")}
    seen = 0
    for path in files_of(repository.root):
        if dead in path.name or path.parent.name + path.stem in answers:
            continue
        DAMAGE[how](path)
        found = staged(repository)
        name = repository.name(path)
        assert any(one.path == name or renamed_from(one.path, name) for one in found), name
        seen += 1
        repository.git("reset", "-q", "--hard")
        repository.git("clean", "-q", "-f", "-d")
    print(f"{seen}: files damaged and seen ({how})")
    assert seen > 30


def renamed_from(path: str, name: str) -> bool:
    """Whether *path* is what `renamed` made of *name*."""
    return path == str(Path(name).with_name(f"x{Path(name).name[1:]}"))
