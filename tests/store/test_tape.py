"""A tape as a value and as a file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.digest import digest_of
from cas_llm.errors import ManifestInvalid
from cas_llm.store.tape import Tape, Turn, decode

digests = st.binary(max_size=4).map(digest_of)
lines = st.lists(st.text(st.characters(), max_size=20), max_size=3).map(tuple)
turns = st.builds(
    Turn,
    digests,
    digests,
    lines,
    lines,
    st.lists(st.tuples(digests, digests), max_size=2).map(tuple),
)
tapes = st.builds(
    Tape,
    scope=st.text(st.characters(), max_size=40),
    take=st.integers(0, 99),
    source=st.just("") | digests,
    turns=st.lists(turns, max_size=4).map(tuple),
)
ROOT = Path("cache_store")
A, B = digest_of(b"a"), digest_of(b"b")


@settings(max_examples=300, deadline=None)
@given(tapes)
def test_a_tape_comes_back_as_it_was(tape):
    """Its bytes give the same tape, with the same bytes and the same digest."""
    again = decode(tape.data, tape.path(ROOT))
    assert again == tape
    assert again.digest == tape.digest == digest_of(tape.data)
    assert replace(again).data == tape.data


@settings(max_examples=200, deadline=None)
@given(tapes)
def test_a_tapes_file_is_a_fixed_point_of_the_common_fixers(tape):
    """Line feeds only, no blanks at a line's end, one final newline."""
    assert tape.data.endswith(b"}\n")
    assert b"\r" not in tape.data
    assert all(line == line.rstrip() for line in tape.data.split(b"\n"))


def test_the_kth_turn_of_a_key_is_its_kth_ordinal():
    """Other keys in between don't count."""
    tape = Tape("s", 0, turns=(Turn(A, "1"), Turn(B, "2"), Turn(A, "3")))
    assert tape.answers == {A: ("1", "3"), B: ("2",)}


@pytest.mark.parametrize(
    ("served", "agrees"),
    [
        ([], True),
        ([(A, 1, "1")], True),
        ([(A, 2, "3"), (B, 1, "2")], True),
        ([(A, 1, "3")], False),
        ([(A, 3, "1")], False),
        ([(A, 1, "1"), ("absent", 1, "1")], False),
    ],
)
def test_a_tape_agrees_if_it_holds_all_that_was_served(served, agrees):
    """In any order, each key and ordinal with the digest that was served."""
    tape = Tape("s", 0, turns=(Turn(A, "1"), Turn(B, "2"), Turn(A, "3")))
    assert tape.agrees(served) is agrees


TAPE = Tape("tests/test_a.py::t", 2, A, (Turn(A, B, ("ask",), ("answer",)),))


def named(document):
    data = json.dumps(document).encode()
    return data, Path(f"t.2.{digest_of(data)[:16]}.json")


@pytest.mark.parametrize(
    ("data", "path", "says"),
    [
        (TAPE.data[:-1], TAPE.path(ROOT), "edited or cut off"),
        (b"", TAPE.path(ROOT), "edited or cut off"),
        (TAPE.data, Path("t.2.json"), "edited or cut off"),
        (b"<<<<<<< ours\n" + TAPE.data, TAPE.path(ROOT), "merge conflict markers"),
        (*named({"format": "cas-llm/tape/9"}), "cas-llm/tape/9"),
        (*named([]), "list indices"),
        (*named(None), "not subscriptable"),
        (*named(json.loads(TAPE.data) | {"turns": [{"key": "x", "digest": B}]}), "64 hex digits"),
        (*named(json.loads(TAPE.data) | {"turns": [None]}), "not subscriptable"),
        (*named(json.loads(TAPE.data) | {"take": "x"}), "stands where a count must"),
    ],
)
def test_what_is_no_tape_is_one_clear_error(data, path, says):
    """The file, the reason and the command."""
    with pytest.raises(ManifestInvalid, match=says) as raised:
        decode(data, path)
    assert str(path) in str(raised.value)
    assert "cas-llm verify --repair" in str(raised.value)


@pytest.mark.parametrize("position", range(0, len(TAPE.data), 7))
def test_any_flipped_bit_of_a_tape_is_seen(position):
    """The name carries the digest, so an edit cannot pass for a recording."""
    flipped = bytearray(TAPE.data)
    flipped[position] ^= 4
    with pytest.raises(ManifestInvalid):
        decode(bytes(flipped), TAPE.path(ROOT))
