"""Which recording answers a request: each rule of the order, and that nothing else decides."""

import random
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.store.pick import (
    Shared,
    at,
    current,
    from_others,
    from_own,
    from_shared,
    ranked,
    tied,
    ties,
)
from cas_llm.store.tape import Tape, Turn

NOW, THEN = "source now", "source then"


def tape(take, *answers, source=NOW, scope="t"):
    """A tape whose turns are given as `key=digest` texts."""
    return Tape(scope, take, source, tuple(Turn(*text.split("=")) for text in answers))


def by_digest(*tapes):
    return sorted(tapes, key=lambda tape: tape.digest)


def test_the_same_source_comes_before_a_higher_take():
    """A branch with the older test keeps the older test's answers."""
    same, higher = tape(0, "k=same"), tape(5, "k=higher", source=THEN)
    assert from_own([higher, same], "k", [], NOW).digests == ("same",)
    assert current([higher, same], NOW) is same
    assert from_own([higher, same], "k", [], THEN).digests == ("higher",)


def test_the_highest_take_wins_within_a_source():
    """What was recorded anew last is used."""
    tapes = [tape(n, f"k={n}") for n in (0, 10, 9)]
    assert from_own(tapes, "k", [], NOW).digests == ("10",)


def test_without_the_same_source_the_highest_take_wins():
    """An edited test replays what it had."""
    tapes = [tape(0, "k=0", source="a"), tape(2, "k=2", source="b"), tape(1, "k=1", source="c")]
    assert from_own(tapes, "k", [], NOW).digests == ("2",)


def test_the_smallest_digest_breaks_a_tie_and_the_tie_is_named():
    """Two branches that re-recorded one test: the same pick everywhere, never silent."""
    first, second = by_digest(tape(1, "k=x"), tape(1, "k=y"))
    found = from_own([second, first], "k", [], NOW)
    assert found.tape is first
    assert found.tied == (second,)


def test_equal_takes_of_another_source_are_no_tie():
    """Only source and take together tie."""
    found = from_own([tape(1, "k=x"), tape(1, "k=y", source=THEN)], "k", [], NOW)
    assert found.tied == ()


def test_a_tape_that_agrees_with_what_was_served_comes_first():
    """A conversation is not mixed from two recordings of it."""
    first, second = by_digest(tape(0, "a=1", "b=2"), tape(0, "a=3", "b=4"))
    for chosen in (first, second):
        served = [("a", 1, chosen.answers["a"][0])]
        assert from_own([first, second], "b", served, NOW).tape is chosen
    lower = tape(0, "a=1", "b=2")
    higher = tape(1, "a=3", "b=4")
    assert from_own([lower, higher], "b", [("a", 1, "1")], NOW).digests == ("2",)


def test_agreement_asks_for_no_order():
    """Concurrent requests are served in any order."""
    own = [tape(0, "a=1", "b=2", "c=3"), tape(1, "a=9", "b=8", "c=7")]
    for served in permutations([("c", 1, "3"), ("a", 1, "1")]):
        assert from_own(own, "b", served, NOW).digests == ("2",)


def test_agreement_of_an_older_source_comes_before_this_source():
    """Rule one holds before source: what was served so far decides."""
    own = [tape(0, "a=1", "b=2", source=THEN), tape(0, "a=3", "b=4")]
    assert from_own(own, "b", [("a", 1, "1")], NOW).digests == ("2",)


def test_own_tapes_that_dont_agree_come_before_anybody_elses():
    """Rule 1b: in the same order, source, take, digest."""
    own = [tape(0, "k=0"), tape(2, "k=2"), tape(3, "k=3", source=THEN)]
    assert from_own(own, "k", [("other", 1, "x")], NOW).digests == ("2",)


def test_a_tape_without_the_key_is_passed_over():
    """However high its take."""
    assert from_own([tape(0, "k=0"), tape(9, "other=9")], "k", [], NOW).digests == ("0",)
    assert from_own([tape(9, "other=9")], "k", [], NOW) is None
    assert from_own([], "k", [], NOW) is None


def test_a_sequence_is_one_tapes():
    """The answers of a key are all those of the chosen tape and no other's."""
    own = [tape(0, "k=1", "k=2", "k=3"), tape(1, "k=4", "k=5")]
    assert from_own(own, "k", [], NOW).digests == ("4", "5")


def entry(take, run, ordinal, digest):
    return Shared("k", take, run * 8, ordinal, digest)


def test_shared_the_highest_take_wins_then_the_smallest_run():
    """A clock decides nothing; two clones pick the same."""
    entries = [entry(0, "a", 1, "1"), entry(10, "c", 1, "3"), entry(10, "b", 1, "2")]
    assert from_shared(entries).digests == ("2",)


def test_shared_runs_are_never_mixed():
    """A second answer of another run doesn't continue the first one's."""
    entries = [
        entry(0, "b", 1, "1"),
        entry(0, "b", 2, "2"),
        entry(0, "a", 1, "3"),
        entry(1, "b", 1, "4"),
    ]
    assert from_shared(entries).digests == ("4",)
    assert from_shared(entries[:3]).digests == ("3",)
    assert from_shared(entries[:2]).digests == ("1", "2")


def test_a_shared_run_counts_once_its_first_answer_is_there():
    """It is written last: a run of which only later answers are there was never finished."""
    whole = [entry(0, "a", 1, "1"), entry(0, "a", 2, "2")]
    assert from_shared([*whole, entry(1, "b", 2, "4")]).digests == ("1", "2")
    assert from_shared([*whole, entry(1, "b", 2, "4"), entry(1, "b", 1, "3")]).digests == ("3", "4")


def test_shared_ordinals_are_those_present_in_order():
    """A gap closes up; of two answers with one ordinal the smaller digest counts."""
    entries = [entry(0, "a", 10, "c"), entry(0, "a", 2, "b"), entry(0, "a", 2, "a")]
    assert from_shared(entries).digests == ("a", "c")
    assert from_shared([]) is None


def test_a_renamed_test_finds_its_own_tape_first():
    """Among other scopes the one with this source, even with a lower take and no agreement."""
    renamed = tape(0, "k=renamed", scope="old name")
    other = tape(7, "k=other", "a=1", scope="other", source=THEN)
    assert from_others([other, renamed], "k", [("a", 1, "1")], NOW).digests == ("renamed",)


def test_a_scope_without_source_has_no_renamed_twin():
    """Two blocks without a source are not one another's old names."""
    plain, higher = tape(0, "k=0", scope="a", source=""), tape(1, "k=1", scope="b", source=THEN)
    assert from_others([plain, higher], "k", [], "").digests == ("1",)


def test_of_other_scopes_those_that_agree_come_first_then_takes_then_digests():
    """The same order as for own tapes."""
    agreeing = tape(0, "a=1", "k=agreeing", scope="x", source=THEN)
    higher = tape(3, "a=2", "k=higher", scope="y", source=THEN)
    assert from_others([higher, agreeing], "k", [("a", 1, "1")], NOW).digests == ("agreeing",)
    assert from_others([higher, agreeing], "k", [], NOW).digests == ("higher",)
    first, second = by_digest(tape(0, "k=1", scope="x"), tape(0, "k=2", scope="y"))
    assert from_others([second, first], "k", [], NOW).tape is first
    assert from_others([tape(0, "other=1")], "k", [], NOW) is None


keys = st.sampled_from("abc")
answers = st.builds("{}={}".format, keys, st.integers(0, 3))
some_tapes = st.lists(
    st.builds(
        lambda take, source, scope, turns: tape(take, *turns, source=source, scope=scope),
        st.integers(0, 2),
        st.sampled_from([NOW, THEN]),
        st.sampled_from("tu"),
        st.lists(answers, max_size=4),
    ),
    max_size=6,
)
some_served = st.lists(st.tuples(keys, st.integers(1, 2), st.integers(0, 3).map(str)), max_size=2)


@settings(max_examples=300, deadline=None)
@given(some_tapes, keys, some_served, st.randoms(use_true_random=False))
def test_the_pick_does_not_depend_on_the_order_of_files(
    tapes, key, served, shuffled: random.Random
):
    """Whatever order a file system lists them in, the same answers are given."""
    mixed = list(tapes)
    shuffled.shuffle(mixed)
    for rule in (from_own, from_others):
        one, other = rule(tapes, key, served, NOW), rule(mixed, key, served, NOW)
        assert (one and one.digests) == (other and other.digests)
    assert [t.digest for t in ranked(tapes, NOW)] == [t.digest for t in ranked(mixed, NOW)]


@settings(max_examples=300, deadline=None)
@given(some_tapes, keys, some_served)
def test_an_agreeing_tape_is_never_passed_over(tapes, key, served):
    """If any tape holds the key and agrees, the chosen one agrees."""
    found = from_own(tapes, key, served, NOW)
    holding = [tape for tape in tapes if key in tape.answers]
    assert (found is None) is (not holding)
    if any(tape.agrees(served) for tape in holding):
        assert found.tape.agrees(served)


def test_ties_are_listed_for_the_highest_take_of_each_source():
    """Superseded takes and single tapes are no ties."""
    a, b = by_digest(tape(2, "k=1"), tape(2, "k=2"))
    old = [tape(1, "k=3"), tape(1, "k=4")]
    x, y = by_digest(tape(0, "k=5", source=THEN), tape(0, "k=6", source=THEN))
    assert ties([*old, b, a, y, x]) == [(a, b), (x, y)]
    assert ties([a, replace(b, take=3)]) == []


@pytest.mark.parametrize("exhausted", ["miss", "last", "cycle"])
@pytest.mark.parametrize(
    ("count", "asks", "ordinals"),
    [
        (0, [1, 2], {"miss": [None, None], "last": [None, None], "cycle": [None, None]}),
        (1, [1, 2, 9], {"miss": [1, 1, 1], "last": [1, 1, 1], "cycle": [1, 1, 1]}),
        (
            3,
            [1, 2, 3, 4, 5, 6, 7],
            {
                "miss": [1, 2, 3, None, None, None, None],
                "last": [1, 2, 3, 3, 3, 3, 3],
                "cycle": [1, 2, 3, 1, 2, 3, 1],
            },
        ),
    ],
)
def test_at_says_which_answer_serves_an_ask(count, asks, ordinals, exhausted):
    """One answer serves every ask; past the end of more, `exhausted` decides."""
    digests = [str(n) for n in range(count)]
    assert [at(digests, ask, exhausted) for ask in asks] == ordinals[exhausted]


def test_ties_do_not_depend_on_the_order_of_tapes():
    """The highest take of a source is the same whichever is met first."""
    a, b = by_digest(tape(2, "k=1"), tape(2, "k=2"))
    low = by_digest(tape(1, "k=3"), tape(1, "k=4"))
    then = [tape(7, "k=5", source=THEN), tape(0, "k=6", source=THEN), tape(0, "k=7", source=THEN)]
    for mixed in ([a, b, *low, *then], [*low, *then, b, a], [*then, a, *low, b]):
        assert ties(mixed) == [(a, b)]


def test_what_ties_is_told_for_the_source_that_asks():
    """Among the tapes that lead for it; one that leads alone ties with none."""
    a, b = by_digest(tape(0, "k=1"), tape(0, "k=2"))
    high = tape(5, "k=3", source=THEN)
    assert tied([high, b, a], NOW) == (a, b)
    assert tied([high, b, a], THEN) == ()
    assert tied([high, b, a], "another") == ()
    assert tied([b, a], "another") == (a, b)
    assert tied([], NOW) == ()


def test_a_renamed_test_keeps_its_parameters():
    """Of all cases of one source the one with the same parameters, whatever their takes."""
    cases = [
        tape(take, f"k={case}", scope=f"tests/old.py::t[{case}]")
        for take, case in ((0, "a"), (1, "b"), (2, "c[d]"))
    ]
    for case in ("a", "b", "c[d]"):
        found = from_others(cases, "k", [], NOW, f"tests/new.py::u[{case}]")
        assert found.digests == (case,)
    assert from_others(cases, "k", [], NOW, "tests/new.py::u").digests == ("c[d]",)


def test_an_own_recording_is_said_to_be_own():
    """On one tape, on one of several, or within a body; another scope's is not."""
    inner = Tape("t", 0, NOW, (Turn("k", "1", within=(("w", "2"),)),))
    assert from_own([inner], "k", [], NOW).own is True
    assert from_own([inner, tape(1, "k=3")], "k", [], NOW).own is True
    assert from_own([inner], "w", [], NOW).own is True
    assert from_others([inner], "k", [], NOW).own is False
    assert from_others([inner], "w", [], NOW).own is False
