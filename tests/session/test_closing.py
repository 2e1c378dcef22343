"""When a scope passes: what leaves pending, when a tape is written, what counts as noise."""

import json

import pytest
from support.desk import a_test, chat, completion, lay_tape, said

from cas_llm.session import Kind, Scope
from cas_llm.session.closing import borrows, lenders, unplayed

A, B = chat("a"), chat("b")
NAME = "tests/test_a.py::test_one"


def recorded(desk, *requests, scope=None):
    """Ask, pass, and give what was written."""
    scope = scope or a_test()
    for request in requests:
        desk.ask(request, scope)
    return desk.passed(scope)


def files(root):
    """Every file of the store that git would track."""
    return sorted(p for p in root.rglob("*") if p.is_file() and ".local" not in p.parts)


def answering(text, **more):
    """A provider that says the same each time, with *more* on the completion."""
    return lambda _request: completion(text, **more)


def test_nothing_is_in_the_store_before_its_scope_passes(desk, root):
    """Then answers, requests and one tape are."""
    made, scope = desk("fallback"), a_test()
    made.ask(A, scope)
    assert files(root) == []
    written = made.passed(scope)
    assert written.recordings == 1
    assert written.tape.path(root).is_file()
    assert made.runtime.store.pending.all() == []


def test_a_tape_says_what_was_asked_and_answered_in_order(desk):
    """It is the file a reviewer reads."""
    tape = recorded(desk("fallback"), B, A).tape
    assert [(turn.ask, turn.answer) for turn in tape.turns] == [
        (("b",), ("1: b",)),
        (("a",), ("2: a",)),
    ]
    assert (tape.scope, tape.take, tape.source) == (NAME, 0, "")


def test_passing_twice_writes_once(desk, root):
    """Calling it again changes nothing."""
    made, scope = desk("fallback"), a_test()
    recorded(made, A, scope=scope)
    before = files(root)
    assert made.passed(scope).tape is None
    assert files(root) == before


def test_a_run_that_was_served_all_writes_no_tape(desk, root):
    """A FALLBACK run over a complete store changes no file."""
    recorded(desk("fallback"), A, B)
    before = files(root)
    written = recorded(desk("fallback"), A, B)
    assert (written.tape, written.recordings, files(root)) == (None, 0, before)


def test_another_order_of_the_same_answers_writes_no_tape(desk, root):
    """Threads finish as they like; lists are compared per key."""
    recorded(desk("fallback"), A, B)
    before = files(root)
    assert recorded(desk("fallback"), B, A).tape is None
    assert files(root) == before


def test_another_order_of_one_keys_answers_writes_a_tape(desk):
    """Which answer came first is part of the list."""
    made = desk("fallback")
    lay_tape(made, "t.py::other", [(A, "2"), (A, "1")])
    lay_tape(made, NAME, [(A, "1"), (A, "2")])
    scope = a_test("t.py::other")
    for _ in range(2):
        made.ask(A, scope)
    assert made.passed(scope).tape is None
    third = lay_tape(made, "t.py::third", [(A, "1"), (A, "2")])
    assert third.answers != made.runtime.store.manifest.tapes_of("t.py::other")[0].answers


def test_a_changed_test_that_is_served_all_writes_a_tape_for_its_source(desk, tmp_path):
    """The edited test says that these answers are its own, too, under the next take."""
    path = tmp_path / "test_x.py"
    path.write_text("def test_x():\n    assert True\n")
    recorded(desk("fallback"), A)
    scope = a_test(origin=(str(path), 1))
    tape = recorded(desk("fallback"), A, scope=scope).tape
    assert (tape.take, tape.source) == (1, scope.source)
    assert recorded(desk("fallback"), A, scope=a_test(origin=(str(path), 1))).tape is None


def test_a_new_request_writes_the_next_take(desk):
    """The tape holds hits and new answers alike."""
    recorded(desk("fallback"), A)
    tape = recorded(desk("fallback"), A, B).tape
    assert (tape.take, len(tape.turns)) == (1, 2)


def test_a_borrower_gets_a_tape_without_a_call(desk, upstream):
    """One FALLBACK run over borrowed recordings makes them the test's own."""
    made = desk("fallback")
    lay_tape(made, "t.py::other", [(A, "theirs")])
    scope = a_test()
    made.ask(A, scope)
    assert borrows(scope, made.runtime)
    assert made.passed(scope).tape.take == 0
    assert upstream.count == 0
    scope = a_test()
    replayed = desk("replay")
    replayed.ask(A, scope)
    assert not borrows(scope, replayed.runtime)


def test_whoever_recorded_what_a_scope_was_served_is_named(desk):
    """Not its own tapes, not those of its own text under an old name, not what was asked now."""
    made = desk("fallback")
    lay_tape(made, NAME, [(A, "mine")])
    lay_tape(made, "t.py::other", [(B, "theirs")])
    scope = a_test()
    for request in (A, B, chat("new")):
        made.ask(request, scope)
    assert lenders(scope, made.runtime) == ["t.py::other"]
    renamed = a_test("t.py::renamed")
    renamed.source = "5" * 16
    lay_tape(made, "t.py::old", [(chat("c"), "own")], source=renamed.source)
    made.ask(chat("c"), renamed)
    assert lenders(renamed, made.runtime) == []


def test_a_scope_that_asked_nothing_writes_nothing(desk, root):
    """No empty tapes."""
    assert recorded(desk("fallback")).tape is None
    assert not root.exists()


def test_unplayed_turns_are_those_of_the_current_tape_that_nobody_asked_for(desk):
    """Counted per key, so one of two equal asks is one unplayed turn."""
    made = desk("replay")
    lay_tape(made, NAME, [(A, "1"), (A, "2"), (B, "3")])
    scope = a_test()
    made.ask(A, scope)
    assert [turn.answer for turn in unplayed(scope, made.runtime)] == [(), ()]
    assert len(unplayed(scope, made.runtime)) == 2


@pytest.mark.parametrize("kind", [Kind.TEST, Kind.BLOCK])
def test_an_answer_that_differs_in_noise_only_is_dropped(desk, root, upstream, kind):
    """A re-recorded answer with a new id and time leaves the recorded one, and no new tape."""
    upstream.answer = answering("same", id="chatcmpl-1", created=1)
    recorded(desk("fallback"), A, scope=Scope(NAME, kind, staged=True))
    before = files(root)
    upstream.answer = answering("same", id="chatcmpl-2", created=2, system_fingerprint="fp_2")
    made = desk("capture")
    written = recorded(made, A, scope=Scope(NAME, kind, staged=True))
    assert (written.tape, files(root)) == (None, before)
    assert made.runtime.store.pending.all() == []


def test_an_answer_that_differs_in_more_is_kept(desk, upstream):
    """Other text is another answer."""
    upstream.answer = answering("same")
    recorded(desk("fallback"), A)
    upstream.answer = answering("other", id="chatcmpl-2")
    assert recorded(desk("capture"), A).tape.take == 1


def test_an_answer_whose_id_a_later_request_quotes_is_kept(desk, upstream):
    """A conversation that names the new id must be led by the answer that holds it."""

    def turn(made, number):
        upstream.answer = answering("same", id=f"chatcmpl-{number}")
        scope = a_test()
        first = json.loads(made.ask(A, scope).body)
        made.ask(chat("go on", metadata={"after": first["id"]}), scope)
        return made.passed(scope).tape

    turn(desk("fallback"), 1111)
    tape = turn(desk("capture"), 2222)
    assert tape.take == 1
    scope, replayed = a_test(), desk("replay")
    assert json.loads(replayed.ask(A, scope).body)["id"] == "chatcmpl-2222"


def test_wider_fixtures_are_exempt_from_noise(desk, upstream):
    """Their answers go on to tests, whose requests nobody can look ahead to."""
    scope = Scope("conftest.py::db", Kind.FIXTURE, staged=True)
    upstream.answer = answering("same", id="chatcmpl-1")
    recorded(desk("fallback"), A, scope=scope)
    upstream.answer = answering("same", id="chatcmpl-2")
    again = Scope("conftest.py::db", Kind.FIXTURE, staged=True)
    assert recorded(desk("capture"), A, scope=again).tape.take == 1


def test_a_failed_attempts_answers_stay_pending(desk):
    """Only the passing attempt's are on the tape."""
    made = desk("capture")
    made.ask(A, a_test(attempt=1))
    made.ask(B, a_test(attempt=1))
    tape = recorded(made, A, scope=a_test(attempt=2)).tape
    assert [turn.answer for turn in tape.turns] == [("3: a",)]
    assert desk("replay").ask(B, a_test()).status == 424


def test_a_staged_shared_scope_is_promoted_as_shared_entries(desk, root):
    """Import and collection calls of a test session."""
    made, scope = desk("fallback"), Scope(staged=True)
    made.ask(A, scope)
    assert files(root) == []
    assert made.passed(scope).recordings == 1
    assert len(list(made.runtime.store.manifest.shared())) == 1
    assert desk("replay").says(A, Scope()) == "1: a"


def test_what_a_tape_names_is_served_by_a_fresh_checkout(desk, root, tmp_path):
    """Without index, pending folder or anything local."""
    import shutil

    recorded(desk("fallback"), A, B)
    shutil.rmtree(root / ".local", ignore_errors=True)
    shutil.copytree(root, tmp_path / "copy")
    made = desk("replay", store=str(tmp_path / "copy"))
    assert [said(made.ask(r, a_test())) for r in (A, B)] == ["1: a", "2: b"]
