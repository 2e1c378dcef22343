"""What the pipeline does with a request, by mode, per-call header and rule."""

import json

import pytest
from support.desk import JSON, a_test, chat, completion, said

from cas_llm.errors import ConfigError
from cas_llm.session import Forward, Pass, Scope, Serve
from cas_llm.session.policy import PLACEHOLDER
from cas_llm.store import Answer
from cas_llm.wire import Request, Response

HI = chat("hi")


def problem(desk):
    """The only problem there is."""
    assert len(desk.log.problems) == 1
    return desk.log.problems[0]


@pytest.mark.parametrize(
    ("mode", "recorded", "outcome", "calls"),
    [
        ("replay", True, "1: hi", 0),
        ("replay", False, 424, 0),
        ("fallback", True, "1: hi", 0),
        ("fallback", False, "1: hi", 1),
        ("capture", True, "2: hi", 1),
        ("capture", False, "1: hi", 1),
        ("disabled", True, "2: hi", 1),
        ("disabled", False, "1: hi", 1),
    ],
)
def test_the_mode_decides_on_hit_and_miss(desk, upstream, mode, recorded, outcome, calls):
    """The table of `modes`, seen from the wire."""
    if recorded:
        desk("fallback").ask(HI, Scope())
    before = upstream.count
    response = desk(mode).ask(HI, Scope())
    assert outcome == (said(response) if response.status == 200 else response.status)
    assert upstream.count - before == calls


@pytest.mark.parametrize(("mode", "stored"), [("fallback", 1), ("capture", 1), ("disabled", 0)])
def test_only_recording_modes_store(desk, root, mode, stored):
    """DISABLED leaves no trace on disk."""
    desk(mode).ask(HI, Scope())
    assert len(list(root.glob("objects/*/*.json"))) == stored


def test_a_refusal_has_the_familys_shape_and_tells_sdks_not_to_retry(desk):
    """Status 424, the explanation where SDKs show it, and the header they heed."""
    response = desk("replay").ask(HI, Scope())
    assert response.status == 424
    assert response.header("x-should-retry") == "false"
    assert "cas-llm: not recorded" in json.loads(response.body)["error"]["message"]


def test_a_hit_is_the_recorded_response_byte_for_byte(desk, upstream):
    """Bytes that JSON would write otherwise come back as they were."""
    body = b'{"b": 1.0,  "a":\t"\\u00e9", "id":"x"}'
    upstream.answer = lambda _request: Response(200, (*JSON, ("x-request-id", "r1")), body)
    desk("fallback").ask(HI, Scope())
    response = desk("replay").ask(HI, Scope())
    assert (response.body, response.header("x-request-id")) == (body, "r1")


def test_a_call_may_ask_for_its_own_mode(desk, upstream):
    """x-cas-llm-mode overrides what code and table say."""
    asked = chat("hi", headers=(("x-cas-llm-mode", "CAPTURE"),))
    desk("fallback").ask(HI, Scope())
    assert desk("replay").says(asked, Scope()) == "2: hi"
    assert desk("replay").says(HI, Scope()) == "2: hi"


def test_a_call_cannot_override_the_command_line(desk, upstream):
    """The run says what it wants; a header is code."""
    from cas_llm.config import Rank

    made = desk("fallback")
    made.session.settings = made.session.settings.says("replay", Rank.COMMAND_LINE, "--cas-llm")
    asked = chat("hi", headers=(("x-cas-llm-mode", "fallback"),))
    assert made.ask(asked, Scope()).status == 424
    assert upstream.count == 0


def test_a_mode_that_does_not_exist_is_named_with_its_header(desk):
    """The error says the nearest mode and where the word came from."""
    asked = chat("hi", headers=(("x-cas-llm-mode", "replya"),))
    with pytest.raises(ConfigError, match=r"x-cas-llm-mode: unknown mode 'replya'.*'replay'"):
        desk("replay").begin(asked, Scope())


def test_a_repeat_that_does_not_exist_is_named_with_its_header(desk):
    """A word that is neither once nor each is no silent default."""
    asked = chat("hi", headers=(("x-cas-llm-repeat", "twice"),))
    with pytest.raises(ConfigError, match=r"x-cas-llm-repeat: repeat must be one of"):
        desk("fallback").begin(asked, Scope())


def test_a_call_may_ask_for_a_repetition(desk):
    """x-cas-llm-repeat: each records the same request a second time."""
    made, scope = desk("fallback"), Scope()
    asked = chat("hi", headers=(("x-cas-llm-repeat", "each"),))
    assert [made.says(asked, scope) for _ in range(2)] == ["1: hi", "2: hi"]
    replayed, scope = desk("replay"), Scope()
    assert [replayed.says(HI, scope) for _ in range(2)] == ["1: hi", "2: hi"]


def test_a_namespace_keeps_equal_requests_apart(desk):
    """The header and the setting mean the same."""
    spaced = chat("hi", headers=(("x-cas-llm-namespace", "b"),))
    made = desk("fallback")
    assert [made.says(HI, Scope()), made.says(spaced, Scope())] == ["1: hi", "2: hi"]
    assert desk("replay", namespace="b").says(HI, Scope()) == "2: hi"
    assert desk("replay").says(HI, Scope()) == "1: hi"


def test_control_headers_are_not_in_the_key(desk):
    """A request is the same one with and without them."""
    asked = chat("hi", headers=(("x-cas-llm-mode", "fallback"), ("x-cas-llm-repeat", "once")))
    desk("fallback").ask(asked, Scope())
    assert desk("replay").says(HI, Scope()) == "1: hi"


def test_on_ci_no_request_leaves_loopback(desk, upstream, monkeypatch):
    """One line, with the switch that allows it; a hit is served all the same."""
    made = desk("fallback")
    made.ask(HI, Scope())
    monkeypatch.setenv("CI", "true")
    assert made.says(HI, Scope()) == "1: hi"
    assert made.ask(chat("new"), Scope()).status == 424
    assert problem(made).kind == "live on CI"
    assert "CAS_LLM_LIVE_ON_CI=1" in problem(made).detail
    assert upstream.count == 1


@pytest.mark.parametrize("mode", ["fallback", "capture", "disabled"])
def test_cis_rule_holds_in_every_live_mode_and_can_be_lifted(desk, upstream, monkeypatch, mode):
    """live_on_ci lets the call through; so does an address on loopback."""
    monkeypatch.setenv("CI", "1")
    local = chat("hi", url="http://127.0.0.1:9/v1/chat/completions")
    assert desk(mode).ask(HI, Scope()).status == 424
    assert upstream.count == 0
    assert desk(mode).says(local, Scope()) == "1: hi"
    assert desk(mode, live_on_ci=True).says(HI, Scope()) == "2: hi"


@pytest.mark.parametrize("mode", ["fallback", "capture", "disabled"])
def test_a_placeholder_key_never_leaves(desk, upstream, mode):
    """The refusal names the variable to set."""
    made = desk(mode)
    asked = chat("hi", headers=(("authorization", f"Bearer {PLACEHOLDER}"),))
    assert made.ask(asked, Scope()).status == 424
    assert (problem(made).kind, upstream.count) == ("no key", 0)
    assert "OPENAI_API_KEY" in problem(made).detail


def test_a_placeholder_key_in_the_address_never_leaves(desk, upstream):
    """Some APIs take their key as a part of the query."""
    made = desk("fallback")
    host = "https://generativelanguage.googleapis.com"
    url = f"{host}/v1beta/models/gemini-2.0-flash:generateContent?key={PLACEHOLDER}"
    assert made.ask(chat("hi", url=url), Scope()).status == 424
    assert (problem(made).kind, upstream.count) == ("no key", 0)
    assert "GEMINI_API_KEY" in problem(made).detail


@pytest.mark.parametrize(
    ("host", "variable"),
    [
        ("openrouter.ai/api", "OPENROUTER_API_KEY"),
        ("api.groq.com/openai", "GROQ_API_KEY"),
        ("api.mistral.ai", "MISTRAL_API_KEY"),
        ("ada.openai.azure.com/openai", "AZURE_OPENAI_API_KEY"),
        ("router.huggingface.co", "HF_TOKEN"),
        ("llm.example.com", "OPENAI_API_KEY"),
    ],
)
def test_the_refusal_of_a_placeholder_names_the_providers_own_variable(desk, host, variable):
    """Not the one of the family whose shape the request has."""
    made = desk("fallback")
    sent = (("authorization", f"Bearer {PLACEHOLDER}"),)
    asked = chat("hi", url=f"https://{host}/v1/chat/completions", headers=sent)
    assert made.ask(asked, Scope()).status == 424
    assert problem(made).detail.startswith(f"{variable} is not set")


@pytest.mark.parametrize("host", ["127.evil.example", "127.0.0.1.evil.example", "1270.0.0.1"])
def test_only_an_address_on_loopback_is_this_machine(desk, upstream, monkeypatch, host):
    """A name that begins like one is somebody else's."""
    monkeypatch.setenv("CI", "1")
    made = desk("fallback")
    assert made.ask(chat("hi", url=f"https://{host}/v1/chat/completions"), Scope()).status == 424
    assert (problem(made).kind, upstream.count) == ("live on CI", 0)


def test_a_placeholder_key_replays(desk):
    """The key is not in the key."""
    desk("fallback").ask(HI, Scope())
    asked = chat("hi", headers=(("authorization", f"Bearer {PLACEHOLDER}"),))
    assert desk("replay").says(asked, Scope()) == "1: hi"


def test_the_budget_stops_the_call_after_the_one_that_spent_it(desk, upstream):
    """A soft stop: what is paid for is kept, hits go on, the next call is refused."""
    made, scope = desk("fallback", max_cost=0.000001), Scope()
    made.ask(chat("a"), scope)
    assert made.runtime.run.spent() > 0.000001
    assert made.ask(chat("b"), scope).status == 424
    assert problem(made).kind == "over budget"
    assert "--cas-llm-max-cost" in problem(made).detail
    assert made.says(chat("a"), scope) == "1: a"
    assert upstream.count == 1


def test_a_budget_of_nothing_forbids_what_costs_and_allows_what_is_free(desk, upstream):
    """The first call that has a price is refused; a local model's is made."""
    made, scope = desk("fallback", max_cost=0.0), Scope()
    made.ask(chat("dear"), scope)
    assert problem(made).kind == "over budget"
    assert upstream.count == 0
    made.ask(chat("free", url="http://127.0.0.1:9/v1/chat/completions"), scope)
    assert upstream.count == 1


def test_the_budget_is_the_whole_runs(desk, upstream):
    """Another process of the run sees what was spent."""
    made = desk("fallback", max_cost=0.000001)
    made.ask(chat("a"), Scope())
    other = desk("fallback", max_cost=0.000001, joins=made)
    assert other.ask(chat("b"), Scope()).status == 424
    assert upstream.count == 1


def test_ignored_hosts_pass(desk):
    """The app under test is nobody's provider, even with a body of a known shape."""
    made = desk("replay", ignore_hosts=("api.openai.com",))
    assert isinstance(made.begin(HI, Scope()), Pass)


def test_other_hosts_pass_unless_named(desk):
    """A plain request to some host is not ours; naming the host makes it so."""
    plain = Request("GET", "https://example.com/v1/things")
    assert isinstance(desk("replay").begin(plain, Scope()), Pass)
    assert isinstance(desk("replay", hosts=("example.com",)).begin(plain, Scope()), Serve)


def test_a_host_that_matched_once_counts_whole(desk):
    """A chat there is a sign; then its model list belongs to it, too."""
    made = desk("fallback")
    listing = Request("GET", "https://llm.example.com/v1/models")
    assert isinstance(made.begin(listing, Scope()), Pass)
    made.ask(chat("hi", url="https://llm.example.com/v1/chat/completions"), Scope())
    assert isinstance(made.begin(listing, Scope()), Forward)


def test_block_network_all_refuses_the_rest(desk):
    """Ignored hosts and loopback pass; the refusal says how to let a host through."""
    made = desk("replay", block_network="all", ignore_hosts=("ok.example.com",))
    for url in ("https://ok.example.com/", "http://127.0.0.1:8000/"):
        assert isinstance(made.begin(Request("GET", url), Scope()), Pass)
    assert made.ask(Request("GET", "https://example.com/a"), Scope()).status == 424
    assert problem(made).kind == "blocked"
    assert "ignore_hosts" in problem(made).detail
    live = desk("fallback", block_network="all")
    assert isinstance(live.begin(Request("GET", "https://example.com/a"), Scope()), Pass)


def test_a_mock_answers_its_scope_and_nobody_else(desk, upstream, root):
    """In memory only: nothing is stored, nothing is counted as an ask, other scopes miss."""
    made, scope = desk("replay"), a_test()
    key = _key(made)
    body = json.dumps(completion("mocked")).encode()
    scope.mocks[key] = Answer(key, Response(200, JSON, body), run=made.runtime.run.id)
    assert made.says(HI, scope) == "mocked"
    assert made.says(HI, scope) == "mocked"
    assert made.ask(HI, a_test("t.py::other")).status == 424
    assert (upstream.count, scope.uses, root.exists()) == (0, {}, False)


def _key(made):
    from cas_llm.keys import Rules, key_record

    return key_record(HI, "openai", Rules(), made.runtime.redactor(made.session.settings).text).key


def test_errors_are_stored_only_on_request(desk, upstream):
    """A 400 passes through and is asked again; with record_errors it is recorded."""
    upstream.answer = lambda _request: Response(400, JSON, b'{"error": {"message": "no"}}')
    assert desk("fallback").ask(HI, Scope()).status == 400
    assert desk("replay").ask(HI, Scope()).status == 424
    desk("fallback", record_errors=(400,)).ask(HI, Scope())
    assert desk("replay").ask(HI, Scope()).status == 400


def test_a_recorded_429_does_not_make_sdks_wait(desk, upstream):
    """Its retry-after is replaced by a millisecond."""
    headers = (*JSON, ("retry-after", "60"))
    upstream.answer = lambda _request: Response(429, headers, b'{"error": {"message": "slow"}}')
    desk("fallback", record_errors="all").ask(HI, Scope())
    response = desk("replay").ask(HI, Scope())
    assert response.status == 429
    assert (response.header("retry-after"), response.header("retry-after-ms")) == ("", "1")


def test_a_damaged_recording_is_a_loud_miss(desk, root, upstream):
    """Never a wrong answer, and never a silent new call; the file is named."""
    desk("fallback").ask(HI, Scope())
    path = next(root.glob("objects/*/*.json"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"1: hi", b"2: hi"))
    for mode in ("replay", "fallback"):
        made = desk(mode)
        assert made.ask(HI, Scope()).status == 424
        assert problem(made).kind == "unreadable"
        assert path.name in problem(made).detail
    assert upstream.count == 1


def test_a_locked_scope_is_never_asked_anew(desk, upstream):
    """CAPTURE runs as FALLBACK there: what is recorded is served, what is missing is called."""
    first = desk("fallback")
    scope = a_test(locked=True)
    first.ask(HI, scope)
    first.passed(scope)
    scope = a_test(locked=True)
    made = desk("capture")
    assert [made.says(HI, scope), made.says(chat("new"), scope)] == ["1: hi", "2: new"]


def test_the_log_counts_what_happened(desk):
    """Served, live, missed, stored; money spent and saved apart."""
    made, scope = desk("fallback"), Scope()
    made.ask(HI, scope)
    made.ask(HI, scope)
    sums = made.log.sums
    assert (sums.live, sums.stored, sums.served, sums.missed) == (1, 1, 1, 0)
    assert sums.spent == pytest.approx(sums.saved)
    assert sums.spent > 0
    replayed = desk("replay")
    replayed.ask(chat("new"), Scope())
    assert replayed.log.sums.missed == 1


def test_a_redirects_hops_belong_to_their_request(desk, upstream):
    """The host a recorded redirect leads to counts from then on, live and in replay."""
    away = Response(307, (("location", "https://files.example.net/x"),), b"")
    upstream.answer = lambda _request: away
    target = Request("GET", "https://files.example.net/x")
    for mode, after in (("fallback", Forward), ("replay", Serve)):
        made = desk(mode)
        assert isinstance(made.begin(target, Scope()), Pass)
        made.ask(HI, Scope())
        assert isinstance(made.begin(target, Scope()), after)
