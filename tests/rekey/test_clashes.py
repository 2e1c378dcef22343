"""Requests that become one: refused where an ask could get another's answer, and only there."""

import json
from dataclasses import replace

import pytest
from support.desk import chat

from cas_llm.store import Tape
from cas_llm.store.tape import Turn

ONE, TWO = "tests/test_a.py::test_one", "tests/test_a.py::test_two"
TRACE = "ignore:$.metadata"


def traced(number, *texts):
    """A chat request with an id of its own in its metadata."""
    return chat(*(texts or ("status?",)), metadata={"trace": f"t{number}"})


def body_of(request):
    return json.loads(request.body)


def following(request, answer, **more):
    """The *request* again, with an *answer* quoted in a member that a rule may ignore."""
    body = {**body_of(request), **more, "history": [answer]}
    return replace(request, body=json.dumps(body).encode())


def test_two_requests_of_a_test_without_an_order_clash(shelf):
    """Asked the other way round each would get the other's answer: refused, both shown."""
    shelf.tape(ONE, (traced(1), "pending"), (traced(2), "done"))
    before = [shelf.record(traced(n)).key for n in (1, 2)]
    made = shelf.under(TRACE).plan()
    (clash,) = made.clashes
    assert (clash.scope, [clash.first, clash.second]) == (ONE, before)
    assert clash.key == shelf.record(traced(3)).key
    assert clash.answers == ("pending", "done")
    assert [one.path for one in clash.differences] == ["$.metadata.trace"]


def test_an_allowed_clash_is_answered_in_the_tapes_order(shelf):
    """The k-th ask gets the k-th answer, whichever request it was."""
    shelf.tape(ONE, (traced(1), "pending"), (traced(2), "done"))
    first = shelf.record(traced(1)).key
    made = shelf.under(TRACE).move(first)
    assert (made.clashes, len(made.allowed)) == ((), 1)
    assert shelf.says(ONE, traced(7), traced(8), traced(9)) == ["pending", "done", None]


def test_allowing_one_clash_allows_no_other(shelf):
    """A key names the clash it is meant for."""
    shelf.tape(ONE, (traced(1), "a"), (traced(2), "b"))
    shelf.tape(TWO, (traced(3, "x"), "c"), (traced(4, "x"), "d"))
    first = shelf.record(traced(1)).key
    made = shelf.under(TRACE).plan(first)
    assert [one.scope for one in made.clashes] == [TWO]
    assert [one.scope for one in made.allowed] == [ONE]


def test_many_requests_that_become_one_are_not_told_in_pairs(shelf):
    """Each is told with one before it, however many there are."""
    shelf.tape(ONE, *((traced(n), f"a{n}") for n in range(12)))
    made = shelf.under(TRACE).plan()
    assert [clash.answers for clash in made.clashes] == [("a0", f"a{n}") for n in range(1, 12)]
    assert shelf.plan(made.clashes[0].first).clashes == ()


def test_what_quotes_the_earlier_answer_cannot_come_before_it(shelf):
    """The order is fixed by the requests themselves, so there is no clash."""
    one = traced(1)
    shelf.tape(ONE, (one, "pending"), (following(one, "pending"), "done"))
    made = shelf.under(TRACE, "ignore:$.history").move()
    assert (made.clashes, made.joined) == ((), 1)
    assert shelf.says(ONE, traced(5), traced(6)) == ["pending", "done"]


def test_an_order_through_a_third_request_counts(shelf):
    """The later one quotes an answer to what quotes the earlier one's."""
    one, last = traced(1), traced(3)
    middle = following(one, "pending", model="other")
    shelf.tape(ONE, (one, "pending"), (middle, "go on"), (following(last, "go on"), "done"))
    assert shelf.under(TRACE, "ignore:$.history").plan().clashes == ()


def test_a_tool_call_that_is_answered_fixes_the_order(shelf):
    """The id of a call in the answer stands in the request that brings the result."""
    call = {"id": "call_77aa", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    one = traced(1)
    key, digest = shelf.answer(one, "")
    answer = shelf.store.load(digest)
    body = json.loads(answer.response.body)
    body["choices"][0]["message"] |= {"content": None, "tool_calls": [call]}
    from cas_llm.store import Recording

    called = replace(answer, response=replace(answer.response, body=json.dumps(body).encode()))
    store = shelf.store
    called_digest = store.save(Recording(store.objects.get_request(key), called))
    result = following(one, "call_77aa")
    turns = (Turn(key, called_digest), Turn(*shelf.answer(result, "done")))
    store.add_tape(Tape(ONE, 0, "", turns))
    assert shelf.under(TRACE, "ignore:$.history").plan().clashes == ()


def test_equal_answers_never_clash(shelf):
    """Whoever gets which, gets the same bytes."""
    shelf.tape(ONE, (traced(1), "same"), (traced(2), "same"))
    made = shelf.under(TRACE).move()
    assert (made.clashes, made.joined) == ((), 1)
    assert shelf.says(ONE, traced(5), traced(6)) == ["same", "same"]


def test_requests_of_two_tests_become_one_without_harm(shelf):
    """Each test has its own tape, and its own answer."""
    shelf.tape(ONE, (traced(1), "a"))
    shelf.tape(TWO, (traced(2), "b"))
    made = shelf.under(TRACE).move()
    assert (made.clashes, made.joined) == ((), 1)
    assert (shelf.says(ONE, traced(3)), shelf.says(TWO, traced(3))) == (["a"], ["b"])


def test_two_tapes_that_a_scope_uses_side_by_side_may_not_differ_about_an_ask(shelf):
    """A fixture that opened twice, asking something else each time, would get one for both."""
    shelf.tape(ONE, (traced(1), "a"))
    shelf.tape(ONE, (traced(2), "b"), take=1)
    (clash,) = shelf.under(TRACE).plan().clashes
    assert (clash.answers, clash.leads) == (("b", "a"), True)
    shelf.move(clash.first)
    assert shelf.says(ONE, traced(7)) == ["b"]


def test_calls_within_a_functions_body_clash_as_well(shelf):
    """They are counted by themselves, and nothing orders them."""
    outer, *inner = (shelf.answer(traced(n, f"q{n > 1}"), f"{n}") for n in (1, 2, 3))
    shelf.store.add_tape(Tape(ONE, 0, "", (Turn(*outer, within=tuple(inner)),)))
    (clash,) = shelf.under(TRACE).plan().clashes
    assert clash.answers == ("2", "3")


def test_a_call_within_a_body_clashes_with_a_turn(shelf):
    """A body runs whenever its function does, so that the turn's answer could be given to it."""
    turn, inner = shelf.answer(traced(1), "turn"), shelf.answer(traced(2), "inner")
    shelf.store.add_tape(Tape(ONE, 0, "", (Turn(*turn, within=(inner,)),)))
    assert shelf.says(ONE, traced(1), traced(2)) == ["turn", "inner"]
    (clash,) = shelf.under(TRACE).plan().clashes
    assert clash.answers == ("turn", "inner")


def test_shared_answers_to_two_requests_clash(shelf):
    """They have no order; the one whose key is allowed serves from then on, for good."""
    shelf.shared(traced(1), "a")
    shelf.shared(traced(2), "b")
    second = shelf.record(traced(2)).key
    shelf.under(TRACE)
    (clash,) = shelf.plan().clashes
    assert clash.scope == ""
    shelf.move(second)
    assert shelf.says("", traced(9)) == ["b"]
    assert shelf.plan().is_done
    assert shelf.plan().clashes == ()


def test_shared_answers_that_are_alike_become_one(shelf):
    """Either serves both."""
    shelf.shared(traced(1), "same")
    shelf.shared(traced(2), "same")
    assert shelf.under(TRACE).move().clashes == ()
    assert shelf.says("", traced(9)) == ["same"]


def test_the_shared_answer_recorded_since_is_the_one_that_goes_back(shelf):
    """Recorded anew under the new rules, it stands for the one that was moved there."""
    shelf.shared(traced(1), "old")
    shelf.under(TRACE).move()
    key = shelf.record(traced(1)).key
    top = max(entry.take for entry in shelf.store.manifest.shared_of(key))
    shelf.shared(traced(1), "new", take=top + 1)
    made = shelf.under("ignore:$.metadata", "trim").move()
    assert made.clashes == ()
    assert shelf.says("", traced(1)) == ["new"]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_clash_does_not_depend_on_who_was_asked_first(shelf, order):
    """It is there in both orders, and shows them as they stand on the tape."""
    shelf.tape(ONE, *((traced(n), f"answer {n}") for n in order))
    (clash,) = shelf.under(TRACE).plan().clashes
    assert clash.answers == tuple(f"answer {n}" for n in order)
