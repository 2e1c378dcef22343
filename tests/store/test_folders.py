"""Folder listings are kept only while they are provably the same."""

import os
import sys
import time

import pytest

from cas_llm.digest import digest_of
from cas_llm.store import folders
from cas_llm.store.folders import SETTLED_NS, Listings, modified_ns


@pytest.fixture
def listed(monkeypatch):
    """Every folder that was really read."""
    seen, real = [], os.listdir
    monkeypatch.setattr(folders.os, "listdir", lambda place: (seen.append(place), real(place))[1])
    return seen


def settle(folder, seconds=10):
    then = time.time_ns() - seconds * 10**9
    os.utime(folder, ns=(then, then))


def test_a_settled_folder_is_read_once(tmp_path, listed):
    """Its time lay more than two seconds before it was read."""
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()
    settle(tmp_path)
    listings = Listings()
    assert listings.names(tmp_path) == listings.names(tmp_path) == ("a", "b")
    assert len(listed) == 1


@pytest.mark.parametrize("age_ns", [0, SETTLED_NS // 2, -10 * SETTLED_NS])
def test_a_young_folder_is_read_again(tmp_path, listed, age_ns):
    """It may have changed within the grain of the file system's clock, or the clock is wrong."""
    listings = Listings()
    then = time.time_ns() - age_ns
    os.utime(tmp_path, ns=(then, then))
    listings.names(tmp_path)
    (tmp_path / "late").touch()
    os.utime(tmp_path, ns=(then, then))
    assert listings.names(tmp_path) == ("late",)
    assert len(listed) == 2


def test_a_file_another_process_added_is_seen(tmp_path):
    """The folder's time changes with it."""
    listings = Listings()
    settle(tmp_path)
    assert listings.names(tmp_path) == ()
    os.system(f"touch '{tmp_path}/new'")
    assert listings.names(tmp_path) == ("new",)


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    """So is a file; both may come to be."""
    listings = Listings()
    assert listings.names(tmp_path / "a") == ()
    (tmp_path / "f").touch()
    assert listings.names(tmp_path / "f") == ()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").touch()
    assert listings.names(tmp_path / "a") == ("b",)
    assert modified_ns(tmp_path / "nowhere") == -1


def shared_names(count):
    """Names of shared entries in sorted order: some with a second take, of another run, appended."""
    names = []
    for number in range(count):
        digest = digest_of(b"%d" % number)
        names.append(f"{digest[2:]}.0.0a1b2c3d.1.{digest}")
        if number % 7 == 0:
            names.append(f"{digest[2:]}.0.0a1b2c3d.12.{digest[::-1]}")
            names.append(f"{digest[2:]}.10.ffffffff.1.{digest}")
    return sorted(names)


def test_many_shared_names_are_found_packed_as_they_are_plain(tmp_path):
    """Every one of them by its key, in order, and no other; a third of the space holds them."""
    names = shared_names(200)
    packed = folders.pack(names)
    assert packed is not None
    assert packed.starting("") == names
    for name in names:
        rest = name[:62]
        assert packed.starting(f"{rest}.") == [one for one in names if one.startswith(rest)]
        assert packed.starting(f"{rest}.1") == [one for one in names if one.startswith(f"{rest}.1")]
    assert packed.starting(digest_of(b"absent")[2:] + ".") == []
    plain = sum(sys.getsizeof(name) + 8 for name in names)
    assert len(packed._digits) + len(packed._which) < plain / 2


@pytest.mark.parametrize("odd", ["A" * 62 + ".0.0a1b2c3d.1." + "b" * 64, ".keep", "z" * 140, "é"])
def test_a_folder_with_any_other_name_is_kept_as_it_is(tmp_path, odd):
    """Nothing is found under a name that the disk does not hold."""
    names = sorted([*shared_names(100), odd])
    assert folders.pack(names) is None
    for name in names:
        (tmp_path / name).touch()
    listings = Listings()
    assert listings.names(str(tmp_path)) == tuple(names)
    assert listings.starting(str(tmp_path), odd) == (odd,)
