"""Whatever happens to a file of the store, `verify` sees it and says which file it is.

Level 2 suffices: it reads and hashes every file, and no byte of one is left out. What only a name
tells (an empty shared entry's take, run and ordinal) is told by level 3 or, where a name may have
been meant, by git: level 4.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from support.extent import extent
from support.projects import Project
from support.stores import every_kind, files_of

from cas_llm.cli.verify import checks
from cas_llm.store import Store
from cas_llm.store.proof import tracked
from cas_llm.store.proof.verify import Finding, verify

BYTES_LEVEL = 2
KINDS = {
    "format",
    ".gitattributes",
    ".gitignore",
    "README.md",
    "requests/*.json",
    "objects/*.json",
    "objects/*.txt",
    "objects/*.png",
    "objects/*.mp3",
    "objects/*.wav",
    "manifest/tapes/*.json",
    "manifest/shared/*",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with a file of every kind and no finding."""
    root = every_kind(tmp_path / "cache_store").root
    assert findings(root, 3) == []
    return root


def findings(root: Path, level: int = BYTES_LEVEL) -> list[Finding]:
    return list(verify(root, checks(), level=level, workers=1))


def blamed(root: Path, level: int = BYTES_LEVEL) -> set[str]:
    return {finding.path for finding in findings(root, level)}


def place_of(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def positions(whole: bytes, step: int) -> list[int]:
    return sorted({*range(0, len(whole), step), len(whole) - 1}) if whole else []


def flip_all(root: Path, step: int, bits: Callable[[int], Iterator[int]]) -> tuple[int, int]:
    """Flip bits of every file, one at a time; the number of files and of flips, all of them seen."""
    flips = 0
    files = files_of(root)
    for path in files:
        whole = path.read_bytes()
        name = place_of(path, root)
        for position in positions(whole, step):
            for bit in bits(position):
                changed = whole[position] ^ (1 << bit)
                path.write_bytes(whole[:position] + bytes([changed]) + whole[position + 1 :])
                assert name in blamed(root), f"{name}: bit {bit} of byte {position}"
                flips += 1
        path.write_bytes(whole)
    assert findings(root) == []
    return len(files), flips


def test_the_store_has_every_kind_of_file(root: Path):
    """What is flipped here is all there is: a new kind of file must come in here."""
    kinds = set()
    for path in files_of(root):
        top, *middle = place_of(path, root).split("/")
        if top == "manifest":
            top = f"manifest/{middle[0]}"
        kinds.add(top + (f"/*{path.suffix if 'shared' not in top else ''}" if middle else ""))
    assert kinds == KINDS


def test_a_flipped_byte_of_any_file_is_seen(root: Path):
    """A sample: each 211th byte and the last of every file, one bit each."""
    files, flips = flip_all(root, 211, lambda position: iter([position % 8]))
    print(f"{flips} bytes of {files} files flipped: all seen at level {BYTES_LEVEL}")


@pytest.mark.slow
def test_flipped_bytes_of_every_file_are_seen(root: Path):
    """Under CAS_LLM_THOROUGH each byte of every file, else each 17th: two or three bits of it."""
    files, flips = flip_all(root, extent(29, 1), lambda position: iter({0, 7, position % 8}))
    print(f"{flips} bits of {files} files flipped: all seen at level {BYTES_LEVEL}")


def _shortened(whole: bytes) -> Iterator[bytes]:
    for position in positions(whole, max(len(whole) // 2, 1)):
        yield whole[:position] + whole[position + 1 :]


def _lengthened(whole: bytes) -> Iterator[bytes]:
    for position, more in ((0, b"\xef\xbb\xbf"), (len(whole) // 2, b" "), (len(whole), b"\n")):
        yield whole[:position] + more + whole[position:]


def _rewritten(whole: bytes) -> Iterator[bytes]:
    yield from (whole.replace(b"\n", b"\r\n"), whole.rstrip(b"\n"), whole[: len(whole) // 2], b"")


@pytest.mark.parametrize("changed", [_shortened, _lengthened, _rewritten])
def test_bytes_lost_added_or_rewritten_are_seen(root: Path, changed):
    """One byte less or more at the start, in the middle, at the end; line ends converted; half."""
    count = 0
    for path in files_of(root):
        whole = path.read_bytes()
        for data in changed(whole):
            if data != whole:
                path.write_bytes(data)
                assert place_of(path, root) in blamed(root), f"{path}: {data[:80]!r}"
                count += 1
        path.write_bytes(whole)
    print(f"{count} changes by {changed.__name__}: all seen")
    assert count


def _exchange(root: Path, step: int) -> int:
    pairs = list(combinations(files_of(root), 2))
    pairs = [pair for pair in pairs if pair[0].read_bytes() != pair[1].read_bytes()][::step]
    for first, second in pairs:
        one, other = first.read_bytes(), second.read_bytes()
        first.write_bytes(other)
        second.write_bytes(one)
        assert {place_of(first, root), place_of(second, root)} <= blamed(root)
        first.write_bytes(one)
        second.write_bytes(other)
    return len(pairs)


def test_two_files_that_changed_places_are_both_seen(root: Path):
    """The contents of two files exchanged, a sample of all pairs: both are named."""
    print(f"{_exchange(root, 19)} pairs: all seen")


@pytest.mark.slow
def test_any_two_files_that_changed_places_are_both_seen(root: Path):
    """The contents of any two files exchanged: both are named."""
    print(f"{_exchange(root, 1)} pairs: all seen")


def test_a_lost_file_is_seen(root: Path):
    """Any file gone: something names it. A tape's or an entry's own loss only git can tell."""
    for path in files_of(root):
        whole = path.read_bytes()
        path.unlink()
        found = findings(root, 1)
        if "manifest" not in path.parts:
            assert place_of(path, root) in {finding.path for finding in found}
        path.write_bytes(whole)


def _renamed(name: str) -> Iterator[str]:
    """*name* with each of its characters changed, in turn."""
    for position, char in enumerate(name):
        for other in ("0" if char != "0" else "1", "z", char.swapcase()):
            if other != char:
                yield name[:position] + other + name[position + 1 :]


def _renames(root: Path, step: int) -> Iterator[tuple[Path, Path]]:
    for path in files_of(root):
        for number, name in enumerate(_renamed(path.name)):
            if number % step == 0:
                yield path, path.with_name(name)


def _is_another_entry(old: Path, new: Path) -> bool:
    """Whether *new* is the name of an entry that could have been recorded: another take."""
    if "shared" not in old.parts:
        return False
    before, after = old.name.split("."), new.name.split(".")
    return len(before) == len(after) and [*after[:1], *after[2:]] == [*before[:1], *before[2:]]


def _rename_all(root: Path, step: int) -> tuple[int, int]:
    seen = unseen = 0
    for old, new in _renames(root, step):
        old.rename(new)
        found = findings(root, 3)
        if found:
            seen += 1
        else:
            assert _is_another_entry(old, new), f"{old.name} became {new.name}"
            unseen += 1
        new.rename(old)
    return seen, unseen


def test_a_changed_character_of_a_name_is_seen(root: Path):
    """A sample of characters of every name: a finding, at level 3."""
    seen, unseen = _rename_all(root, 131)
    print(f"{seen} renames seen at level 3; {unseen} are other entries to all but git")
    assert seen


@pytest.mark.slow
def test_changed_characters_of_every_name_are_seen(root: Path):
    """Under CAS_LLM_THOROUGH each character of every name, else each 11th, in up to three ways."""
    seen, unseen = _rename_all(root, extent(11, 1))
    print(f"{seen} renames seen at level 3; {unseen} are other entries to all but git")


def test_git_tells_a_renamed_entry_and_a_lost_tape(project: Project):
    """What could have been recorded so is held against git's index: level 4."""
    root = every_kind(project.path / "cache_store").root
    project.commit()
    assert list(tracked.compare(root)) == []
    for path in files_of(root):
        away = path.with_name("x" + path.name[1:])
        path.rename(away)
        found = {finding.path for finding in tracked.compare(root)}
        assert {place_of(path, root), place_of(away, root)} <= found
        away.rename(path)


def test_what_was_proved_before_is_read_again_when_it_changed(root: Path):
    """Notes of an earlier proof don't hide a change: not of the same length, nor in the same second."""
    knowing = replace(checks(), version="1")

    def noted() -> set[str]:
        return {f.path for f in verify(root, knowing, level=3, noted=True, workers=1)}

    assert noted() == set()
    assert noted() == set()
    for path in files_of(root):
        whole = path.read_bytes()
        before = path.stat()
        if whole:
            path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
            assert place_of(path, root) in noted()
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert place_of(path, root) in noted(), "its old time put back"
            path.write_bytes(whole)


def test_the_copy_of_a_damaged_store_is_damaged(root: Path, tmp_path: Path):
    """Findings are about bytes, not places: another root has the same."""
    path = next(iter(sorted((root / "objects").rglob("*.json"))))
    path.write_bytes(path.read_bytes()[:-1])
    other = tmp_path / "elsewhere" / "store"
    shutil.copytree(root, other)
    assert findings(other) == findings(root)
    assert Store(other).exists
