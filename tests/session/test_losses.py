"""No paid answer is lost, asked for twice, or served in another one's place."""

import json
import os
import time
from dataclasses import replace

import pytest
from support.desk import JSON, a_test, chat, completion, lay_answer, lay_shared, said

from cas_llm.session import Forward, Kind, Scope, Wait
from cas_llm.store import Recording, Shared, Tape, layout
from cas_llm.store.tape import Turn
from cas_llm.wire import Response

HI = chat("hi")


def block():
    return Scope("use::x", Kind.BLOCK, staged=True)


def test_what_noise_dropped_is_not_offered_to_the_next_test(desk, upstream):
    """Two tests with one prompt, captured anew with other ids only, both pass."""

    def same_text(_request):
        return completion("same") | {"id": f"chatcmpl-{upstream.count}"}

    upstream.answer = same_text
    for mode in ("fallback", "capture"):
        made = desk(mode)
        for name in "ab":
            scope = a_test(f"tests/test_a.py::test_{name}")
            assert made.says(HI, scope) == "same"
            made.passed(scope)


def test_a_failed_attempts_answer_is_not_offered_to_the_next_test(desk):
    """The attempt that passed is the one that others share, whatever the digests' order."""
    for number in range(8):
        made, asked = desk("capture"), chat(f"prompt {number}")
        made.ask(asked, a_test(f"t.py::a{number}"))
        scope = a_test(f"t.py::a{number}", attempt=2)
        second = made.says(asked, scope)
        made.passed(scope)
        assert made.says(asked, a_test(f"t.py::b{number}")) == second


def test_an_append_at_import_continues_the_recorded_sequence(desk):
    """What pytest's imports append keeps the take and the run of what is there."""
    script, made = Scope(), desk("fallback", repeat="each")
    assert [made.says(HI, script) for _ in range(2)] == ["1: hi", "2: hi"]
    made, imports = desk("fallback"), Scope(staged=True)
    heard = [made.says(HI, imports) for _ in range(3)]
    made.passed(imports)
    made, again = desk("replay"), Scope()
    assert [made.says(HI, again) for _ in range(3)] == heard == ["1: hi", "2: hi", "3: hi"]


def test_an_append_after_a_gap_is_kept(desk, upstream):
    """A sequence whose second call failed has two answers; the third is paid for once."""
    made, scope = desk("fallback", repeat="each"), Scope()
    calls = [made.begin(HI, scope) for _ in range(3)]
    made.follow(calls[0], HI)
    upstream.answer = lambda _request: Response(500, JSON, b"{}")
    made.follow(calls[1], HI)
    upstream.answer = None
    made.follow(calls[2], HI)
    made, scope = desk("fallback"), Scope()
    first = [made.says(HI, scope) for _ in range(3)]
    paid = upstream.count
    made, scope = desk("fallback"), Scope()
    assert [made.says(HI, scope) for _ in range(3)] == first
    assert upstream.count == paid
    entries = made.runtime.store.manifest.shared_of(shared_key(made))
    for entry in entries:
        assert made.runtime.store.load(entry.digest).ordinal == entry.ordinal


def shared_key(made):
    (key,) = {entry.key for entry in made.runtime.store.manifest.shared()}
    return key


def test_a_hand_edit_survives_a_failed_capture(desk):
    """CAPTURE kept the edit; the next FALLBACK serves it beside what was asked anew."""
    made, scope = desk("capture"), a_test()
    for _ in range(2):
        made.says(HI, scope)
    tape, store = made.passed(scope).tape, made.runtime.store
    first = tape.turns[0]
    answer = store.load(first.digest)
    body = json.dumps(completion("edited")).encode()
    edit = replace(answer, response=replace(answer.response, body=body), marks=("edited",))
    digest = store.save(Recording(store.objects.get_request(first.key), edit))
    store.add_tape(Tape(scope.name, 1, "", (Turn(first.key, digest), tape.turns[1])))
    made, failing = desk("capture"), a_test()
    heard = [made.says(HI, failing) for _ in range(2)]
    made, scope = desk("fallback"), a_test()
    assert [made.says(HI, scope) for _ in range(2)] == heard
    assert heard[0] == "edited"
    assert made.passed(scope).tape.turns[0].digest == digest


@pytest.mark.parametrize("order", [(2, 1), (1, 2)])
def test_openings_of_one_block_keep_the_longer_sequence(desk, order):
    """A block in a loop that asks once and twice replays both ways."""
    made, heard = desk("capture"), {}
    for count in order:
        scope = block()
        heard[count] = [made.says(HI, scope) for _ in range(count)]
        made.passed(scope)
    made = desk("replay")
    for count in order:
        scope = block()
        replayed = [made.says(HI, scope) for _ in range(count)]
        assert len(set(replayed)) == count


def test_a_repetition_served_after_a_failed_ask_is_one_turn(desk, upstream):
    """The number the failed ask gave back leaves no second turn with one answer."""
    made, scope = desk("fallback"), a_test()
    first, second = made.begin(HI, scope), made.begin(HI, scope)
    assert isinstance(first, Forward)
    upstream.answer = lambda _request: Response(500, JSON, b"{}")
    made.follow(first, HI)
    upstream.answer = None
    made.follow(second.again() if isinstance(second, Wait) else second, HI)
    made.says(HI, scope)
    made.says(HI, scope)
    assert len(made.passed(scope).tape.turns) == 1
    made, scope = desk("replay"), a_test()
    assert [made.ask(HI, scope).status for _ in range(3)] == [200, 200, 200]


def test_a_missing_object_is_captured_anew(desk):
    """FALLBACK refuses loudly; CAPTURE, which the miss names, mends it."""
    made, scope = desk("fallback"), a_test()
    made.says(HI, scope)
    turn = made.passed(scope).tape.turns[0]
    layout.object_path(made.runtime.store.root, turn.digest).unlink()
    refused = desk("fallback").ask(HI, a_test())
    assert refused.status == 424
    assert b"--cas-llm=capture" in refused.body
    made, scope = desk("capture"), a_test()
    assert made.says(HI, scope) == "2: hi"
    made.passed(scope)
    assert desk("replay").says(HI, a_test()) == "2: hi"


def test_an_import_of_a_killed_run_is_not_paid_twice(desk, upstream):
    """Its answers wait under the shared scope, and the next run's imports use them."""
    desk("fallback").says(HI, Scope(staged=True))
    made, scope = desk("fallback"), Scope(staged=True)
    assert made.says(HI, scope) == "1: hi"
    made.passed(scope)
    assert upstream.count == 1
    assert made.runtime.store.pending.all() == []


def test_a_capture_asks_what_fallback_recorded_in_the_same_run(desk):
    """Only what this run asked anew is shared between the scopes of a capture."""
    made = desk("fallback")
    assert made.says(HI, a_test("t.py::a")) == "1: hi"
    assert desk("capture", joins=made).says(HI, a_test("t.py::b")) == "2: hi"


def test_a_stream_nobody_reads_holds_nobody_up(desk):
    """Two open streams of one prompt: the second makes its own call after a moment."""
    made, scope, other = desk("fallback"), a_test("t.py::a"), a_test("t.py::b")
    first = made.begin(HI, scope)
    first.recorder.head(200, (("content-type", "text/event-stream"),))
    made.runtime.run._pilots.clear()  # as if another thread had begun it
    second = made.begin(HI, other)
    assert isinstance(second, Wait)
    assert not second.over()
    time.sleep(0.6)
    assert second.over()
    assert isinstance(second.again(), Forward)


def test_a_stream_that_is_read_slowly_is_waited_for(desk):
    """Waiting for the provider's next piece is no stall."""
    made = desk("fallback")
    first = made.begin(HI, a_test("t.py::a"))
    first.recorder.head(200, (("content-type", "text/event-stream"),))
    first.recorder.reading()
    made.runtime.run._pilots.clear()
    second = made.begin(HI, a_test("t.py::b"))
    time.sleep(0.6)
    assert not second.over()


def test_two_runs_at_once_keep_their_own_answers(desk):
    """Another process's waiting answer stays as long as that process lives."""
    other = os.fork()
    if other == 0:
        desk("fallback").says(HI, a_test())
        time.sleep(30)
        os._exit(0)
    try:
        pending = desk("fallback").runtime.store.pending
        for _ in range(200):
            if pending.all():
                break
            time.sleep(0.01)
        (theirs,) = pending.all()
        made, scope = desk("capture"), a_test()
        made.says(HI, scope)
        made.passed(scope)
        assert theirs in pending.all()
    finally:
        os.kill(other, 9)
        os.waitpid(other, 0)


def test_a_fork_counts_only_what_it_spends(desk):
    """What the parent spent stands in the parent's own file."""
    run = desk("fallback").runtime.run
    run.spend(1.0)
    child = os.fork()
    if child == 0:
        run.spend(0.25)
        os._exit(0)
    os.waitpid(child, 0)
    assert run.spent() == 1.25


def test_answers_that_two_branches_appended_are_reported(desk):
    """The pick is deterministic, and verify names the one that is not used."""
    from cas_llm.cli.verify import checks
    from cas_llm.store.proof.verify import verify

    made = desk("fallback")
    lay_shared(made, HI, "one", run="00c0ffee")
    for text in ("two", "too"):
        key, digest = lay_answer(made, HI, text, ordinal=2, run="00c0ffee")
        made.runtime.store.add_shared(Shared(key, 0, "00c0ffee", 2, digest))
    found = list(verify(made.runtime.store.root, checks(), level=3))
    (tie,) = [finding for finding in found if finding.code == "CAS040"]
    assert "answer 2" in tie.why


def test_answers_inside_a_function_are_found_again(desk):
    """A call that a recorded function's body made is not paid for again."""
    made, scope = desk("fallback"), a_test()
    made.says(HI, scope)
    (use,) = scope.in_order()
    store = made.runtime.store
    store.promote(use.digest)
    key, digest = lay_answer(made, chat("outer"), "outer")
    outer = Turn(key, digest, within=((use.key, use.digest),))
    store.add_tape(Tape("t.py::function", 0, "", (outer,)))
    store.pending.release(store.pending.all())
    for name in ("t.py::function", "t.py::another"):
        assert said(desk("fallback").ask(HI, a_test(name))) == "1: hi"
