"""Which turn of one tape stands where in another: nothing twice, nothing lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cas_llm.drift.pairing import Pair, pair
from cas_llm.store.tape import Turn

WORDS = ("book a room", "book two rooms", "what is the weather", "go on", "thank you", "")


def turn(key: int, ask: str = "") -> Turn:
    return Turn(f"{key:064x}", f"{key + 1:064x}", (ask,) if ask else ())


def nobody_knows(_old: str, _new: str) -> None:
    return None


def apart(old: str, new: str) -> int:
    """How far two keys are from each other, as if they were requests."""
    return abs(int(old, 16) - int(new, 16))


turns = st.lists(st.builds(turn, st.integers(0, 6), st.sampled_from(WORDS)), max_size=14)


@given(turns, turns, st.sampled_from([nobody_knows, apart]))
def test_every_turn_of_both_tapes_is_in_exactly_one_pair(before, after, weigh):
    """Whatever was repeated, moved, put in or left out; the new tape's order is kept."""
    found = pair(before, after, weigh)
    assert sorted(one.before for one in found if one.before is not None) == [*range(len(before))]
    assert [one.after for one in found if one.after is not None] == [*range(len(after))]
    assert Pair(None, None) not in found


@given(turns)
def test_a_tape_is_paired_with_itself_turn_by_turn(same):
    """Repetitions as well: the k-th ask of a request is its k-th."""
    assert pair(same, same, nobody_knows) == tuple(Pair(n, n) for n in range(len(same)))


@given(st.permutations(range(8)))
def test_equal_requests_find_each_other_in_any_order(order):
    """Parallel calls may have been recorded in another order."""
    before = [turn(n, "go on") for n in range(8)]
    found = pair(before, [before[n] for n in order], nobody_knows)
    assert found == tuple(Pair(n, place) for place, n in enumerate(order))


@given(st.integers(0, 5), st.integers(0, 5))
def test_one_turn_put_in_or_left_out_moves_no_other(length, place):
    """With an edited prompt every key differs; the asks say which is which."""
    asks = [f"question {n} of them" for n in "abcdef"[: length + 1]]
    place = min(place, length)
    before = [turn(n, ask) for n, ask in enumerate(asks)]
    after = [turn(100 + n, ask) for n, ask in enumerate(asks)]
    extra = turn(999, "something wholly unlike")
    found = pair(before, [*after[:place], extra, *after[place:]], nobody_knows)
    assert [one.before for one in found if one.after != place] == [*range(length + 1)]
    assert Pair(None, place) in found
    gone = pair([*before[:place], extra, *before[place:]], after, nobody_knows)
    assert Pair(place, None) in gone
    assert len(gone) == length + 2


def test_an_edited_question_is_paired_by_its_words_then_by_its_place():
    """Two that are alike cross over; one that is like nothing is new."""
    before = [turn(1, "book a room for Ada"), turn(2, "and the weather in Rome please")]
    after = [turn(3, "the weather in Rome"), turn(4, "please book a room for Ada"), turn(5, "bye")]
    assert pair(before, after, nobody_knows) == (Pair(1, 0), Pair(0, 1), Pair(None, 2))
    assert pair([turn(1, "yes")], [turn(2, "no")], nobody_knows) == (Pair(0, 0),)


def test_where_words_do_not_decide_the_whole_requests_do():
    """The same words twice, and one of the two was left out: the nearer request is the one."""
    before = [turn(10, "go on"), turn(20, "go on")]
    assert pair(before, [turn(19, "go on")], apart) == (Pair(0, None), Pair(1, 0))
    assert pair(before, [turn(11, "go on")], apart) == (Pair(0, 0), Pair(1, None))


def test_a_long_tape_is_paired_without_comparing_all_with_all():
    """Two hundred turns, each edited: not one request is looked into."""
    before = [turn(n, f"question number {n}") for n in range(200)]
    after = [turn(1000 + n, f"question number {n}") for n in range(200)]

    def never(_old: str, _new: str) -> int:
        raise AssertionError

    assert pair(before, after, never) == tuple(Pair(n, n) for n in range(200))
