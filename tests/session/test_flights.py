"""Identical concurrent misses make one call."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.desk import JSON, a_test, chat, completion

from cas_llm.session import Forward, Scope, Serve, Wait
from cas_llm.session.runs import Run

HI = chat("hi")


def begun_elsewhere(made, request, scope):
    """The action of a request that another thread began."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(made.begin, request, scope).result()


def landed(action):
    """What becomes of a waiter once its leader is done."""
    assert isinstance(action, Wait)
    assert action.over()
    return action.again()


def test_eight_threads_make_one_call(desk, upstream):
    """All eight get the leader's answer."""

    def slow(_request):
        time.sleep(0.05)
        return completion("one")

    upstream.answer = slow
    made, scope, start = desk("fallback"), Scope(), threading.Barrier(8)

    def one(_number):
        start.wait()
        return made.says(HI, scope)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(8))) == ["one"] * 8
    assert upstream.count == 1
    assert (made.log.sums.live, made.log.sums.served) == (1, 7)


def test_scopes_and_processes_of_a_run_share_a_flight(desk):
    """A second test, and a second process, wait for the first one's call."""
    made = desk("fallback")
    other = desk("fallback", joins=made)
    leader = begun_elsewhere(made, HI, a_test("t.py::a"))
    waiters = [(made, made.begin(HI, a_test("t.py::b"))), (other, other.begin(HI, a_test("c")))]
    assert isinstance(leader, Forward)
    assert not any(waiter.over() for _, waiter in waiters)
    made.follow(leader, HI)
    for _, waiter in waiters:
        served = landed(waiter)
        assert isinstance(served, Serve)
        assert b"1: hi" in served.response.body


def test_a_failed_leader_lets_the_next_one_lead(desk):
    """A waiter is not given the failure."""
    made = desk("fallback")
    leader, waiter = begun_elsewhere(made, HI, Scope()), made.begin(HI, Scope())
    leader.recorder.fail(OSError("reset"))
    assert isinstance(landed(waiter), Forward)


def test_whoever_makes_the_call_does_not_wait_for_itself(desk):
    """A program that asks again while it still reads its first stream calls a second time."""
    made, scope = desk("fallback"), Scope()
    assert isinstance(made.begin(HI, scope), Forward)
    assert isinstance(made.begin(HI, scope), Forward)


def test_an_unstored_error_lets_the_next_one_lead(desk):
    """A 500 for one is not an answer for all."""
    made = desk("fallback")
    leader, waiter = begun_elsewhere(made, HI, Scope()), made.begin(HI, Scope())
    leader.recorder.head(500, JSON)
    leader.recorder.end()
    assert isinstance(landed(waiter), Forward)


def test_a_dead_process_flight_is_taken_over(desk):
    """A flight whose process is gone holds nobody up."""
    made, other = desk("fallback"), Scope()
    begun_elsewhere(made, HI, Scope())
    (path,) = (made.runtime.run.folder / "flights").iterdir()
    path.write_text(f"{_dead_pid()}\n", encoding="ascii")
    assert isinstance(made.begin(HI, other), Forward)


def _dead_pid():
    import subprocess
    import sys

    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return child.pid


def test_a_flight_is_landed_by_whoever_took_off(tmp_path):
    """Taking off twice fails, landing frees, landing twice changes nothing."""
    run = Run(tmp_path / "run", "00c0ffee")
    assert run.take_off("a.1")
    assert not run.take_off("a.1")
    assert run.in_flight("a.1")
    run.land("a.1")
    run.land("a.1")
    assert not run.in_flight("a.1")
    assert run.take_off("a.1")


def test_capture_shares_an_ask_between_scopes(desk, upstream):
    """The second test gets the run's own answer to the same key and ordinal."""
    made = desk("capture")
    one, other = a_test("t.py::a"), a_test("t.py::b")
    assert [made.says(HI, one), made.says(HI, one)] == ["1: hi", "2: hi"]
    assert [made.says(HI, other), made.says(HI, other)] == ["1: hi", "2: hi"]
    assert upstream.count == 2


def test_capture_waits_for_another_scopes_same_ask(desk):
    """Two tests at once: one call for the first ask of both."""
    made = desk("capture")
    leader = begun_elsewhere(made, HI, a_test("t.py::a"))
    waiter = made.begin(HI, a_test("t.py::b"))
    made.follow(leader, HI)
    assert isinstance(landed(waiter), Serve)


def test_capture_never_shares_within_a_scope(desk, upstream):
    """Repetitions at the same time are two calls at the same time."""
    made, scope = desk("capture"), a_test()
    actions = [made.begin(HI, scope) for _ in range(3)]
    assert all(isinstance(action, Forward) for action in actions)


def test_a_failed_attempt_is_not_shared_with_its_rerun(desk, upstream):
    """Its answer may be why it failed: in CAPTURE the rerun asks anew."""
    made = desk("capture")
    assert made.says(HI, a_test(attempt=1)) == "1: hi"
    assert made.says(HI, a_test(attempt=2)) == "2: hi"
    assert made.says(HI, a_test("t.py::other")) in {"1: hi", "2: hi"}
    assert upstream.count == 2


@pytest.mark.parametrize("mode", ["fallback", "capture"])
def test_different_requests_fly_at_the_same_time(desk, mode):
    """A flight holds up its own key only."""
    made, scope = desk(mode), a_test()
    actions = [made.begin(chat(text), scope) for text in "abc"]
    assert all(isinstance(action, Forward) for action in actions)


def test_a_waiter_whose_answer_was_stored_meanwhile_does_not_call(desk, upstream):
    """Between a look-up and taking off, whoever flew may have landed."""
    made, scope = desk("fallback"), Scope()
    run = made.runtime.run
    take_off = run.take_off

    def late(flight):
        run.take_off = take_off
        made.ask(HI, Scope())
        return take_off(flight)

    run.take_off = late
    assert made.says(HI, scope) == "1: hi"
    assert upstream.count == 1
    assert not list((run.folder / "flights").iterdir())
