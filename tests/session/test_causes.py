"""What recording the missing takes, and how a cause is told."""

from cas_llm.keys import Difference
from cas_llm.session import causes
from cas_llm.session.causes import Bill
from cas_llm.session.misses import NOT_RECORDED, Nearest, Problem
from cas_llm.session.report import problem_document


def problem(scope="t.py::a", key="k1", **more):
    found = {
        "kind": "not recorded",
        "scope": scope,
        "what": "POST openai /v1/x",
        "key": key,
        "api": "openai",
        "model": "m",
        "cause": "c",
        "price_usd": 0.01,
        "headline": "cas-llm: not recorded   POST openai /v1/x",
        "explanation": "cas-llm: not recorded",
        "records": True,
        "new": False,
        "fixture": False,
        "turn": 0,
        "turns": 0,
        "test": scope,
        "nearest": None,
    }
    return found | more


def test_one_request_is_paid_for_once():
    """However many tests and workers miss it."""
    three = [problem(), problem("t.py::b"), problem(key="k2")]
    assert str(causes.bill(three, {})) == "2 calls, about $0.02"


def test_the_turns_behind_a_miss_are_calls_too():
    """Less those the test was served; a test that went on after its miss has none to come."""
    stopped = [problem(turn=3, turns=12)]
    assert causes.bill(stopped, {"t.py::a": 2}) == Bill(10, 0.1)
    assert causes.bill(stopped, {}).calls == 10
    went_on = [problem(turn=1, turns=5), problem(key="k2", turn=1, turns=5)]
    assert causes.bill(went_on, {"t.py::a": 3}).calls == 2


def test_unknown_prices_are_said():
    """And what a function costs is its own affair."""
    known, unknown = problem(), problem(key="k2", price_usd=None)
    function = problem(key="k3", api="python", price_usd=None)
    assert str(causes.bill([unknown], {})) == "1 call, price unknown"
    assert str(causes.bill([known, unknown], {})) == "2 calls, about $0.01, 1 of unknown price"
    assert str(causes.bill([function], {})) == "1 function run"
    free = problem(price_usd=0.0)
    assert str(causes.bill([free, function], {})) == "1 call, free and 1 function run"
    assert str(causes.bill([], {})) == "0 calls"


def test_a_cause_is_told_by_its_first_difference():
    """With the day the recording was made, where that was not today."""
    text = 'cas-llm: not recorded\n    $.messages[0].content   "a" -> "b"'
    old = problem(explanation=text, nearest={"recorded_at": "2026-03-02"})
    told = '$.messages[0].content   "a" -> "b"'
    assert causes.told([old]) == f"{told}    (recorded 2026-03-02)"
    assert causes.told([problem(explanation=text, nearest={"recorded_at": "4 min ago"})]) == told
    assert causes.told([problem(new=True)] * 2) == "POST openai /v1/x   new: nothing recorded yet"
    assert causes.told([problem()]) == "not recorded   POST openai /v1/x"


def test_another_server_is_the_cause_of_all_that_misses_there():
    """Whatever else was edited in some of the tests: there is one thing to do for all of them."""
    moved = Difference("api", "openai@loopback", "openai", "changed")
    edited = Difference("$.messages[0].content", "a", "b", "changed")
    made = [
        Problem(NOT_RECORDED, scope, "POST openai /v1/x", nearest=Nearest("k1", found, scope))
        for scope, found in {
            "t.py::a": (moved,),
            "t.py::b": (moved, edited),
            "t.py::c": (edited,),
        }.items()
    ]
    groups = causes.grouped(map(problem_document, made))
    assert [len(group) for group in groups] == [2, 1]
    assert causes.told(groups[0]) == 'api   "openai@loopback" -> "openai"'
    assert causes.told(groups[1]) == '$.messages[0].content   "a" -> "b"'
