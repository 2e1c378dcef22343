"""Which ask of a request gets which of its answers."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.desk import JSON, a_test, chat, lay_shared, lay_tape

from cas_llm.session import Kind, Scope
from cas_llm.wire import Response

HI = chat("hi")


def several(desk, scope, count, request=HI):
    """The answers to *count* asks, one after the other; None for a refusal."""
    from support.desk import said

    responses = [desk.ask(request, scope) for _ in range(count)]
    return [said(r) if r.status == 200 else None for r in responses]


def test_one_answer_serves_every_ask(desk, upstream):
    """A sequence of one is no sequence."""
    desk("fallback").ask(HI, Scope())
    assert several(desk("replay"), Scope(), 3) == ["1: hi"] * 3


def test_once_makes_one_call(desk, upstream):
    """Outside CAPTURE a repetition is a hit."""
    assert several(desk("fallback"), a_test(), 3) == ["1: hi"] * 3
    assert several(desk("fallback"), Scope(), 3) == ["2: hi"] * 3


@pytest.mark.parametrize("kind", [Kind.TEST, Kind.FIXTURE, Kind.BLOCK])
def test_capture_makes_an_ordinal_of_a_repetition_in_a_scope(desk, kind):
    """Each is the default in CAPTURE where there is a tape to count on."""
    scope = Scope("x.py::y", kind, staged=True)
    assert several(desk("capture"), scope, 2) == ["1: hi", "2: hi"]


def test_capture_outside_any_scope_asks_once_a_run(desk):
    """Scripts that capture get a new answer, and then that one."""
    made = desk("capture")
    assert several(made, Scope(), 2) == ["1: hi", "1: hi"]
    assert several(desk("capture"), Scope(), 2) == ["2: hi", "2: hi"]


def test_a_setting_overrides_the_default(desk):
    """`repeat` holds in every recording mode."""
    assert several(desk("capture", repeat="once"), a_test("a"), 2) == ["1: hi", "1: hi"]
    assert several(desk("fallback", repeat="each"), a_test("b"), 2) == ["2: hi", "3: hi"]


@pytest.mark.parametrize(
    ("exhausted", "expected"),
    [
        ("miss", ["a", "b", None, None]),
        ("last", ["a", "b", "b", "b"]),
        ("cycle", ["a", "b", "a", "b"]),
    ],
)
def test_past_the_end_the_setting_decides(desk, exhausted, expected):
    """The default is a miss that says how often it was asked and how often recorded."""
    made = desk("replay", exhausted=exhausted)
    lay_shared(made, HI, "a", "b")
    assert several(made, Scope(), 4) == expected
    if exhausted == "miss":
        assert made.log.problems[0].kind == "exhausted"
        assert made.log.problems[0].detail == "asked 3 times, recorded 2"


def test_past_the_end_fallback_calls_and_appends(desk, upstream):
    """The next replay has three."""
    made = desk("fallback")
    lay_shared(made, HI, "a", "b")
    assert several(made, Scope(), 3) == ["a", "b", "1: hi"]
    assert several(desk("replay"), Scope(), 3) == ["a", "b", "1: hi"]


def test_each_scope_counts_for_itself(desk):
    """Another scope's asks do not move this one's."""
    made = desk("replay")
    lay_shared(made, HI, "a", "b")
    one, other = Scope(), Scope()
    assert [made.says(HI, s) for s in (one, other, one, other)] == ["a", "a", "b", "b"]


def test_a_broken_call_gives_its_ordinal_back(desk):
    """The retry is the first ask again, and nothing of the broken one is stored."""
    made, scope = desk("capture"), a_test()
    action = made.begin(HI, scope)
    action.recorder.head(200, JSON)
    action.recorder.fail(OSError("reset"))
    assert list(scope.unanswered.values()) == ["OSError: reset"]
    assert several(made, scope, 2) == ["1: hi", "2: hi"]
    tape = made.passed(scope).tape
    assert [len(digests) for digests in tape.answers.values()] == [2]


def test_an_error_that_is_not_stored_gives_its_ordinal_back(desk, upstream):
    """A 429 and its retry are one ask."""
    replies = iter([Response(429, JSON, b"{}"), None])

    def answer(request):
        from support.desk import completion

        return next(replies) or completion("fine")

    upstream.answer = answer
    made, scope = desk("capture"), a_test()
    assert made.ask(HI, scope).status == 429
    assert made.says(HI, scope) == "fine"
    assert [use.ordinal for use in scope.in_order()] == [1]


def test_a_refusal_gives_its_ordinal_back(desk):
    """After a miss was mended in the same scope, the first answer is served first."""
    made, scope = desk("replay"), Scope()
    assert several(made, scope, 2) == [None, None]
    lay_shared(made, HI, "a", "b")
    assert several(made, scope, 2) == ["a", "b"]


def test_an_exhausted_ask_takes_nobody_elses_place(desk):
    """Three processes of one scope ask twice-recorded: a, b, a miss, and still a miss."""
    first = desk("replay")
    lay_shared(first, HI, "a", "b")
    scope = Scope()
    desks = [first, *(desk("replay", joins=first) for _ in range(3))]
    scopes = [scope, *(Scope.join(scope.describe()) for _ in range(3))]
    pairs = zip(desks, scopes, strict=True)
    assert [several(made, scope, 1)[0] for made, scope in pairs] == ["a", "b", None, None]


def test_an_error_answer_never_serves_a_repetition_while_recording(desk, upstream):
    """A recorded 400 is asked again in FALLBACK, and replays in its place."""
    replies = iter([Response(400, JSON, b'{"error": {}}')])

    def answer(_request):
        from support.desk import completion

        return next(replies, None) or completion("fine")

    upstream.answer = answer
    made, scope = desk("fallback", record_errors="all"), Scope()
    assert made.ask(HI, scope).status == 400
    assert made.says(HI, scope) == "fine"
    replayed, scope = desk("replay"), Scope()
    assert replayed.ask(HI, scope).status == 400
    assert replayed.says(HI, scope) == "fine"


def test_a_recorded_error_serves_the_first_ask_of_the_next_recording_run(desk, upstream):
    """It is a repetition that an error doesn't serve, not the ask it was recorded for."""
    upstream.answer = lambda _request: Response(400, JSON, b'{"error": {}}')
    desk("fallback", record_errors="all").ask(HI, Scope())
    assert desk("fallback", record_errors="all").ask(HI, Scope()).status == 400
    assert upstream.count == 1


def test_concurrent_asks_are_numbered_by_their_start(desk):
    """Whoever begins first has the first ordinal, whoever ends first or not."""
    made, scope = desk("capture"), a_test()
    actions = [made.begin(HI, scope) for _ in range(3)]
    for action in reversed(actions):
        made.follow(action, HI)
    tape = made.passed(scope).tape
    replayed, scope = desk("replay"), a_test()
    assert several(replayed, scope, 3) == ["3: hi", "2: hi", "1: hi"]
    assert len(tape.turns) == 3


def test_threads_share_a_scopes_sequence_out(desk):
    """Four threads, four answers, none twice."""
    made = desk("replay")
    lay_tape(made, "t.py::t", [(HI, text) for text in "abcd"])
    scope = Scope("t.py::t", Kind.TEST)
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda _n: made.says(HI, scope), range(4))) == list("abcd")


def test_a_gap_in_the_ordinals_is_read_in_order(desk):
    """Readers count the ordinals present: 1 and 3 are a first and a second answer."""
    from support.desk import lay_answer

    from cas_llm.store import Shared

    made = desk("replay")
    for ordinal, text in ((3, "b"), (1, "a")):
        key, digest = lay_answer(made, HI, text)
        made.runtime.store.add_shared(Shared(key, 0, "00c0ffee", ordinal, digest))
    assert several(made, Scope(), 3) == ["a", "b", None]
