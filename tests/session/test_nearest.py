"""Which recording a miss is compared with, and how the explanation reads."""

import pytest
from support.desk import a_test, chat, key_of, lay_shared, lay_tape

from cas_llm.session import Scope
from cas_llm.session.misses import (
    Problem,
    error_for,
    explain,
    grouped,
    headline,
    price_text,
    record_command,
)

NAME = "tests/test_a.py::test_one"


def miss(desk, request, scope=None):
    """The problem that asking *request* in REPLAY is."""
    assert desk.ask(request, scope or a_test()).status == 424
    return desk.log.problems[-1]


def test_an_empty_store_says_so(desk):
    """There is nothing near, and that is why."""
    problem = miss(desk("replay"), chat("hi"))
    assert problem.store_empty
    assert "The store is empty" in explain(problem)


def test_the_own_tapes_turn_comes_first(desk):
    """A later turn of the same test is compared with that turn, whatever others recorded."""
    made = desk("replay")
    lay_tape(made, NAME, [(chat("a"), "1"), (chat("a", "1", "blue"), "2")])
    lay_shared(made, chat("a", "1", "green"), "x")
    scope = a_test()
    made.ask(chat("a"), scope)
    problem = miss(made, chat("a", "1", "red"), scope)
    assert (problem.nearest.scope, problem.nearest.turn) == (NAME, 2)
    assert [d.path for d in problem.nearest.differences] == ["$.messages[2].content"]
    text = explain(problem)
    assert "turn 2 of 2 not recorded" in text
    assert "this test's turn 2" in text
    assert '"blue" -> "red"' in text


def test_later_turns_are_counted_as_not_tried(desk):
    """One edit early in a conversation is one miss, not four."""
    made = desk("replay")
    lay_tape(made, NAME, [(chat(text), text) for text in "abcd"])
    text = explain(miss(made, chat("b!")))
    assert "turn 1 of 4 not recorded (3 later turns not tried)" in text


def test_the_smallest_difference_wins(desk):
    """Of other recordings, the one that differs least."""
    made = desk("replay")
    lay_shared(made, chat("far", temperature=0.5, top_p=0.1), "x")
    lay_shared(made, chat("near", temperature=0.9), "y")
    problem = miss(made, chat("nearer", temperature=0.9))
    assert problem.nearest.key == key_of(made, chat("near", temperature=0.9))
    assert len(problem.nearest.differences) == 1


def test_another_api_is_further_away_than_other_words(desk):
    """What was asked of somebody else is seldom what was meant."""
    made = desk("replay")
    away = "https://openrouter.ai/api/v1/chat/completions"
    lay_tape(made, NAME, [(chat("near", url=away), "1")])
    lay_shared(made, chat("far", temperature=0.5, top_p=0.1, seed=1), "x")
    problem = miss(made, chat("near"))
    assert problem.nearest.key == key_of(made, chat("far", temperature=0.5, top_p=0.1, seed=1))


def test_what_was_recorded_on_this_machine_says_how_to_replay_it(desk):
    """The same words asked of the real provider are another request: its base URL is missing."""
    made = desk("replay")
    here = "http://127.0.0.1:11434/v1/chat/completions"
    lay_tape(made, NAME, [(chat("hi", url=here), "1")])
    text = explain(miss(made, chat("hi")))
    assert 'api   "openai@loopback" -> "openai"' in text
    assert "recorded from a server on this machine; to replay it, set OPENAI_BASE_URL" in text


def test_more_than_three_differences_are_counted(desk):
    """The rest is a command away."""
    made = desk("replay")
    lay_shared(made, chat("a", temperature=0.1, top_p=0.1, seed=1, n=1), "x")
    problem = miss(made, chat("b", temperature=0.2, top_p=0.2, seed=2, n=2))
    assert "differs at 5 places" in explain(problem)
    assert f"and 2 more: cas-llm explain {problem.key[:12]}" in explain(problem)


def test_a_changed_time_offers_to_freeze_or_ignore_it(desk):
    """The remedies are commands to copy."""
    made = desk("replay")
    lay_shared(made, chat("hi", metadata={"at": "2026-01-02T03:04:05Z"}), "x")
    text = explain(miss(made, chat("hi", metadata={"at": "2026-01-02T03:05:09Z"})))
    assert 'time_machine.travel("2026-01-02T03:04:05Z")' in text
    assert 'normalise = ["time:$.metadata.at"]' in text


def test_a_difference_inside_a_tool_result_says_so(desk):
    """Programs write those by themselves."""

    def with_result(text):
        request = chat("weather?")
        import json
        from dataclasses import replace

        body = json.loads(request.body)
        body["messages"].append({"role": "tool", "tool_call_id": "c1", "content": text})
        return replace(request, body=json.dumps(body).encode())

    made = desk("replay")
    lay_shared(made, with_result("12 degrees"), "x")
    assert "in a tool result" in explain(miss(made, with_result("13 degrees")))


def test_a_damaged_request_is_not_compared_with(desk, root):
    """Verify reports it; a miss is told all the same."""
    made = desk("replay")
    lay_shared(made, chat("a"), "x")
    (path,) = root.glob("requests/*/*.json")
    path.chmod(0o644)
    path.write_bytes(b"{")
    assert "Nothing like it is recorded." in explain(miss(made, chat("b")))


PROBLEM = Problem("not recorded", NAME, "POST openai /v1/x", model="m", ask="hi", price=0.001)


@pytest.mark.parametrize(
    ("scope", "command"),
    [
        (NAME, f"pytest {NAME} --cas-llm=fallback"),
        ("t.py::t[a b]", "pytest 't.py::t[a b]' --cas-llm=fallback"),
        ("tests/conftest.py::db", "pytest --cas-llm=fallback"),
        ("use::demo", "run it once with CAS_LLM_MODE=fallback"),
        ("shared", "run it once with CAS_LLM_MODE=fallback"),
    ],
)
def test_the_command_that_records_fits_the_scope(scope, command):
    """A test by its id, quoted; a fixture by any test; a script by the environment."""
    assert record_command(Problem("not recorded", scope, "POST x")) == command


def test_the_headline_says_what_happened_to_which_request():
    """Kind, request, model and question, in one line."""
    assert headline(PROBLEM) == 'cas-llm: not recorded   POST openai /v1/x   m   "hi"'


def test_the_price_is_known_free_or_unknown():
    """Three words for three cases; several calls are summed."""
    from dataclasses import replace

    assert price_text([PROBLEM, PROBLEM]).startswith("2 calls, about $")
    assert price_text([replace(PROBLEM, price=0.0)]) == "1 call, free"
    assert price_text([replace(PROBLEM, price=None)]) == "1 call, price unknown"


def test_misses_with_one_cause_are_one_group(desk):
    """Eighty tests that send one edited system prompt are one fact; the largest group is first."""
    made = desk("replay")
    for number in range(5):
        old = chat("be kind", "ok", f"question {number}")
        lay_tape(made, f"t.py::t{number}", [(old, "x")])
    for number in range(5):
        new = chat("be brief", "ok", f"question {number}")
        made.ask(new, a_test(f"t.py::t{number}"))
    made.ask(chat("something else entirely", temperature=1), a_test("t.py::t0"))
    groups = grouped(made.log.problems)
    assert [len(group.problems) for group in groups] == [5, 1]
    assert groups[0].scopes == tuple(f"t.py::t{number}" for number in range(5))


def test_the_error_carries_all_misses_and_tells_the_first():
    """The rest is a number."""
    error = error_for([PROBLEM, PROBLEM, PROBLEM])
    assert str(error).startswith(explain(PROBLEM))
    assert str(error).endswith("and 2 more like it or after it")
    assert len(error.misses) == 3


def test_a_stream_that_is_read_on_is_a_problem_of_its_own(desk, upstream):
    """Recorded as far as it was read; the error says how to record the rest."""
    made, scope = desk("fallback"), Scope()
    action = made.begin(chat("hi", stream=True), scope)
    action.recorder.head(200, (("content-type", "text/event-stream"),))
    action.recorder.chunk(b"data: {}\n\n")
    action.recorder.close()
    made, scope = desk("replay"), Scope()
    served = made.begin(chat("hi", stream=True), scope)
    assert served.response.incomplete
    assert made.log.problems == []
    assert "left early when it was recorded" in str(served.read_on())
    assert made.log.problems[0].kind == "read on"
