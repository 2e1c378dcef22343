"""Which recording a running scope is served: own tapes, shared entries, others' tapes, pending."""

from support.desk import a_test, chat, lay_shared, lay_tape, said

from cas_llm.session import Kind, Scope

A, B, C = chat("a"), chat("a", "x", "b"), chat("c")
NAME = "tests/test_a.py::test_one"


def texts(desk, scope, *requests):
    """What each request is answered, in order; None for a refusal."""
    responses = [desk.ask(request, scope) for request in requests]
    return [said(r) if r.status == 200 else None for r in responses]


def recorded(desk, scope, *requests):
    """Ask, pass, and give the tape."""
    for request in requests:
        desk.ask(request, scope)
    return desk.passed(scope).tape


def test_two_tests_with_one_first_turn_keep_their_own_answers(desk):
    """A first turn answered differently in two tests leads each to its own second turn."""
    made = desk("replay")
    lay_tape(made, "t.py::one", [(A, "A1"), (B, "B1")])
    lay_tape(made, "t.py::two", [(A, "A2"), (C, "C2")], take=5)
    assert texts(made, a_test("t.py::one"), A, B) == ["A1", "B1"]
    assert texts(made, a_test("t.py::two"), A, C) == ["A2", "C2"]


def test_the_highest_take_comes_first(desk):
    """What was recorded last is what replays."""
    made = desk("replay")
    lay_tape(made, NAME, [(A, "old")], take=0)
    lay_tape(made, NAME, [(A, "new")], take=1)
    assert texts(made, a_test(), A) == ["new"]


def test_a_tape_of_this_source_comes_before_a_higher_take(desk, tmp_path):
    """A branch that has the test as it was finds the answers of the test as it was."""
    path = tmp_path / "test_x.py"
    path.write_text("def test_x():\n    assert True\n")
    scope = a_test(origin=(str(path), 1))
    made = desk("replay")
    lay_tape(made, NAME, [(A, "mine")], take=0, source=scope.source)
    lay_tape(made, NAME, [(A, "later")], take=3, source="another")
    assert texts(made, scope, A) == ["mine"]


def test_a_tape_that_agrees_with_what_was_served_comes_first(desk):
    """A lower take that holds the first answer beats a higher one that does not."""
    made = desk("replay")
    lay_tape(made, NAME, [(A, "A"), (B, "B old")], take=0)
    lay_tape(made, NAME, [(A, "A"), (C, "C")], take=2)
    lay_tape(made, NAME, [(B, "B new")], take=1)
    assert texts(made, a_test(), A, B) == ["A", "B old"]
    assert texts(made, a_test(), B) == ["B new"]


def test_order_does_not_matter_to_agreement(desk):
    """A tape agrees whatever the order it was recorded in."""
    made = desk("replay")
    lay_tape(made, NAME, [(C, "C1"), (A, "A1")], take=0)
    lay_tape(made, NAME, [(A, "A0"), (C, "C0")], take=1)
    assert texts(made, a_test(), A, C) == ["A0", "C0"]


def test_an_own_tape_that_disagrees_comes_before_anybody_elses(desk):
    """Rule 1b: the test's own recording, even of another take, before what others recorded."""
    made = desk("replay")
    lay_tape(made, NAME, [(A, "A0"), (B, "B0")], take=0)
    lay_tape(made, NAME, [(A, "A1")], take=1)
    lay_shared(made, B, "shared", take=7)
    assert texts(made, a_test(), A, B) == ["A1", "B0"]


def test_a_scope_without_a_tape_borrows(desk):
    """Shared entries first, then other scopes' tapes."""
    made = desk("replay")
    lay_tape(made, "t.py::other", [(A, "theirs"), (C, "theirs")], take=9)
    lay_shared(made, A, "shared")
    assert texts(made, a_test(), A, C) == ["shared", "theirs"]


def test_a_renamed_test_finds_its_own_tape_among_others(desk, tmp_path):
    """A tape with this source is the test's own under its old name, whatever its take."""
    path = tmp_path / "test_x.py"
    path.write_text("def test_renamed():\n    assert True\n")
    scope = a_test("t.py::test_renamed", origin=(str(path), 1))
    made = desk("replay")
    lay_tape(made, "t.py::test_old", [(A, "mine")], take=0, source=scope.source)
    lay_tape(made, "t.py::test_other", [(A, "theirs")], take=4, source="another")
    assert texts(made, scope, A) == ["mine"]


def test_what_a_renamed_test_recorded_comes_before_shared_answers(desk, tmp_path):
    """It is its own; another's answer to its first turn would make it miss the second."""
    path = tmp_path / "test_x.py"
    path.write_text("def test_renamed():\n    assert True\n")
    scope = a_test("t.py::test_renamed[b]", origin=(str(path), 1))
    made = desk("replay")
    for case in "cab":
        turns = [(A, f"A {case}"), (B, f"B {case}")]
        lay_tape(made, f"t.py::test_old[{case}]", turns, source=scope.source)
    lay_shared(made, A, "shared", take=3)
    assert texts(made, scope, A, B) == ["A b", "B b"]


def test_a_borrowed_sequence_is_one_tapes_only(desk):
    """Two tapes of one answer each are no sequence of two."""
    made = desk("replay")
    lay_tape(made, "t.py::x", [(A, "x1"), (A, "x2")], take=1)
    lay_tape(made, "t.py::y", [(A, "y1"), (A, "y2"), (A, "y3")], take=0)
    assert texts(made, a_test(), A, A, A) == ["x1", "x2", None]


def test_shared_entries_of_two_runs_are_never_mixed(desk):
    """The smallest run id of the highest take, and its ordinals only."""
    made = desk("replay")
    lay_shared(made, A, "first 1", run="0000000a")
    lay_shared(made, A, "other 1", "other 2", run="0000000b")
    assert texts(made, Scope(), A, A) == ["first 1", "first 1"]


def test_what_a_scope_recorded_is_served_to_it_before_it_passes(desk):
    """In FALLBACK the second ask is a hit, on an answer that is still pending."""
    made, scope = desk("fallback"), a_test()
    assert texts(made, scope, A, A) == ["1: a", "1: a"]
    assert not made.runtime.store.exists


def test_a_pending_answer_is_not_paid_for_twice(desk, upstream):
    """The next FALLBACK run serves what a failed test left, and its passing promotes it."""
    texts(desk("fallback"), a_test(), A)
    made, scope = desk("fallback"), a_test()
    assert texts(made, scope, A) == ["1: a"]
    assert made.log.sums.from_pending == 1
    assert made.passed(scope).recordings == 1
    assert texts(desk("replay"), a_test(), A) == ["1: a"]
    assert upstream.count == 1
    assert made.runtime.store.pending.all() == []


def test_replay_never_serves_what_is_pending_and_says_that_it_waits(desk):
    """The miss names the command."""
    texts(desk("fallback"), a_test(), A)
    made = desk("replay")
    assert texts(made, a_test(), A) == [None]
    assert made.log.problems[0].pending


def test_a_pending_answer_is_its_own_scopes_only(desk, upstream):
    """Another test of a later run does not get it; one of the same run does."""
    made = desk("fallback")
    assert texts(made, a_test("t.py::one"), A) == ["1: a"]
    assert texts(made, a_test("t.py::two"), A) == ["1: a"]
    assert texts(desk("fallback"), a_test("t.py::three"), A) == ["2: a"]


def test_a_second_scope_of_the_run_keeps_a_claim_on_what_is_pending(desk, upstream):
    """If the first test fails and the second passes, the answer is the second's."""
    made = desk("fallback")
    texts(made, a_test("t.py::fails"), A)
    two = a_test("t.py::passes")
    texts(made, two, A)
    assert made.passed(two).recordings == 1
    assert texts(desk("replay"), a_test("t.py::passes"), A) == ["1: a"]


def test_after_a_failed_capture_its_answers_come_before_the_tape(desk, upstream):
    """The scope's pending list counts as its highest take."""
    recorded(desk("fallback"), a_test(), A)
    texts(desk("capture"), a_test(), A)
    made, scope = desk("fallback"), a_test()
    assert texts(made, scope, A) == ["2: a"]
    assert recorded(made, scope).take == 1
    assert texts(desk("replay"), a_test(), A) == ["2: a"]


def test_a_failed_fallbacks_answer_serves_its_own_ordinal_only(desk, upstream):
    """A pending third answer is no first one."""
    made = desk("fallback", repeat="each")
    lay_tape(made, NAME, [(A, "one"), (A, "two")])
    assert texts(made, a_test(), A, A, A) == ["one", "two", "1: a"]
    again = desk("fallback", repeat="each")
    assert texts(again, a_test(), A, A, A, A) == ["one", "two", "1: a", "2: a"]


def test_a_newer_runs_pending_answer_takes_the_older_ones_place(desk):
    """Two failed captures leave the second's answers."""
    texts(desk("capture"), a_test(), A)
    texts(desk("capture"), a_test(), A)
    made = desk("fallback")
    (waiting,) = made.runtime.store.pending.of_scope(NAME)
    assert texts(made, a_test(), A) == ["2: a"]
    assert waiting.captured


def test_a_hand_edited_answer_is_kept_in_capture(desk, upstream):
    """CAPTURE serves it, unless the run says to replace edited answers."""
    from support.desk import lay_answer

    from cas_llm.store import Shared

    made = desk("capture")
    key, digest = lay_answer(made, A, "by hand", marks=("edited",))
    made.runtime.store.add_shared(Shared(key, 0, "00c0ffee", 1, digest))
    assert texts(made, a_test(), A) == ["by hand"]
    assert texts(desk("capture", replace_edited=True), a_test(), A) == ["1: a"]


def test_a_tied_tape_that_would_have_served_is_named(desk):
    """A merge left two tapes of one take; the miss says which file holds a later answer."""
    made = desk("replay")
    short = lay_tape(made, NAME, [(A, "1"), (A, "2")])
    n = 0
    while True:
        long = lay_tape(made, NAME, [(A, "1"), (A, "2"), (A, f"3.{n}")])
        if long.digest > short.digest:
            break
        long.path(made.runtime.store.root).unlink()
        n += 1
    made = desk("replay")
    assert texts(made, a_test(), A, A, A) == ["1", "2", None]
    assert str(long.path(made.runtime.store.root)) in made.log.problems[0].notes[0]


def test_a_fixtures_answers_are_its_own(desk):
    """A wider fixture's scope has its tape, and a test that asks the same has another."""
    fixture = Scope("tests/conftest.py::db", Kind.FIXTURE, staged=True)
    made = desk("capture")
    texts(made, fixture, A)
    made.passed(fixture)
    assert recorded(desk("capture"), a_test(), A).scope == NAME
    assert texts(desk("replay"), Scope("tests/conftest.py::db", Kind.FIXTURE), A) == ["1: a"]
    assert texts(desk("replay"), a_test(), A) == ["2: a"]
