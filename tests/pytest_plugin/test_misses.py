"""What fails a test: a miss, swallowed or not, and a live call that may not be made."""

import pytest
from support.inner import CAPTURE, FALLBACK, summary_of

SWALLOWED = """
    def test_swallowed():
        post([{"role": "user", "content": "hi"}])
"""


def test_a_swallowed_miss_fails_the_test(inner):
    """The test fails with the explanation although the app went on without an answer."""
    result = inner.tests(SWALLOWED).run(failed=1)
    assert "cas-llm: not recorded   POST openai@loopback /v1/chat/completions" in result.stdout
    assert 'gpt-4o-mini   "hi"' in result.stdout


def test_a_failure_after_a_miss_is_told_after_the_miss(inner):
    """The assertion that failed because of it stays, below the cause."""
    inner.tests(
        """
        def test_fails():
            answer = post([{"role": "user", "content": "hi"}]).json()
            assert answer["choices"], "no choices"
        """
    )
    text = inner.run(failed=1).stdout
    assert text.index("cas-llm: not recorded") < text.index("KeyError: 'choices'")


def test_a_test_that_skips_or_passes_over_a_miss_fails(inner):
    """A skip would hide it for ever; an expected failure may stay one."""
    inner.tests(
        """
        def test_skips():
            if post([{"role": "user", "content": "hi"}]).status_code != 200:
                pytest.skip("no answer")

        @pytest.mark.xfail
        def test_xfails():
            ask("hi")

        def test_goes_on(): pass
        """
    )
    inner.run(failed=1, xfailed=1, passed=1)


def test_a_miss_in_a_fixture_fails_whoever_asked(inner):
    """Raised in a set-up it is an error there; swallowed, it fails the test that set it up."""
    inner.tests(
        """
        @pytest.fixture
        def raises():
            return ask("in a set-up")

        @pytest.fixture(scope="module")
        def swallows():
            return post([{"role": "user", "content": "in a module"}])

        @pytest.fixture
        def late():
            yield
            post([{"role": "user", "content": "in a tear-down"}])

        def test_raises(raises): pass
        def test_swallows(swallows): pass
        def test_late(late): pass
        """
    )
    result = inner.run(failed=1, error=2, passed=1)
    for place in ("set-up", "module", "tear-down"):
        assert f'"in a {place}"' in result.stdout


def test_an_expected_miss_is_not_held_against_the_test(inner):
    """`expect_miss` gives the misses and takes them off the counts; none is a failure."""
    inner.tests(
        """
        import cas_llm as llm

        def test_expected():
            with llm.expect_miss() as found:
                assert post([{"role": "user", "content": "hi"}]).status_code == 424
            assert [miss.kind for miss in found] == ["not recorded"]

        def test_in_vain():
            with llm.expect_miss():
                pass
        """
    )
    result = inner.run(passed=1, failed=1)
    assert "expect_miss(): every request had a recording" in result.stdout
    assert "not recorded" not in summary_of(result)


def test_a_mocked_answer_is_the_tests_own(inner, provider):
    """It is in memory, for this test only, and leaves no tape."""
    inner.table("", priced=True).tests(
        """
        import cas_llm as llm

        def test_mocked():
            llm.mock({"model": "gpt-4o-mini",
                      "messages": [{"role": "user", "content": "hi"}]}, "mocked")
            assert ask("hi") == "mocked"

        def test_other(): ask("hi")
        """
    )
    inner.run(passed=1, failed=1)
    inner.record(passed=2)
    assert (provider.count, len(inner.tapes())) == (1, 1)


@pytest.mark.slow
def test_strict_fails_a_passing_test_that_leaves_recordings_unplayed(inner):
    """It names them and the command; without the flag they are nobody's business."""
    inner.tests("def test_it():\n    ask('one')\n    ask('two')").record(passed=1)
    path = inner.project.path / "tests" / "test_it.py"
    path.write_text(path.read_text().replace("    ask('two')", "    pass"))
    inner.run(passed=1)
    result = inner.run("--cas-llm-strict")
    assert result.code == 1
    assert "1 recording of this test not played (--cas-llm-strict)" in result.stdout
    assert "pytest tests/test_it.py::test_it --cas-llm=fallback" in result.stdout
    inner.record(passed=1)
    inner.run("--cas-llm-strict", passed=1)


@pytest.mark.slow
def test_one_edited_prompt_is_one_cause_however_many_tests_miss(inner):
    """Eight tests, one cause, one command with its price."""
    text = """
        @pytest.mark.parametrize("n", range(8))
        def test_many(n):
            said(post([{"role": "system", "content": "Answer in detail."},
                       {"role": "user", "content": f"Question {n}"}]))
    """
    inner.table("", priced=True).tests(text).record(passed=8)
    inner.tests(text.replace("in detail", "in one line"))
    result = inner.run(failed=8)
    assert summary_of(result).splitlines() == [
        "0 served   8 not recorded   0 live connections",
        "8 tests, 1 cause",
        '     8  $.messages[0].content   "Answer in detail." -> "Answer in one line."',
        "  record: pytest --cas-llm=fallback     8 calls, about $0.001",
    ]
    inner.tests(text.replace("in detail", "in one line") + "\n        def test_new(): ask('new')\n")
    assert "9 tests, 2 causes" in summary_of(inner.run(failed=9))


def test_a_replay_needs_no_key(inner, provider):
    """Neither a client made at import nor a request; the stand-in is gone afterwards."""
    text = """
        import os
        KEY = os.environ["OPENAI_API_KEY"]

        def test_keyless():
            ask("hi")
    """
    inner.tests(text).record(passed=1)
    del inner.project.variables["OPENAI_API_KEY"]
    inner.run(passed=1)
    assert provider.count == 1


def test_a_live_call_without_a_key_names_the_variable(inner, provider):
    """A stand-in never leaves the process: the call is refused before it is made."""
    del inner.project.variables["OPENAI_API_KEY"]
    inner.tests("@pytest.mark.cas_llm(mode='fallback')\ndef test_it(): ask('hi')")
    result = inner.run(failed=1)
    assert "cas-llm: no key" in result.stdout
    assert "OPENAI_API_KEY is not set, and this call would go to the provider." in result.stdout
    assert provider.count == 0


AWAY = """
    import httpx

    def test_away():
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        httpx.post("https://api.openai.com/v1/chat/completions", json=body, timeout=3)
"""


def test_no_call_leaves_ci_unless_it_is_allowed(inner):
    """With CI set a live mode is refused in one line that names the flag."""
    inner.tests(AWAY)
    result = inner.run(FALLBACK, env={"CI": "true"}, failed=1)
    assert "cas-llm: live on CI" in result.stdout
    assert "pytest --cas-llm-live-on-ci" in result.stdout
    allowed = inner.run(FALLBACK, "--cas-llm-live-on-ci", env={"CI": "true"}, failed=1)
    assert "live on CI" not in allowed.stdout


def test_ci_replays_by_default(inner, provider):
    """What is recorded replays there as anywhere."""
    inner.tests("def test_it(): ask('hi')").record(passed=1)
    inner.run(env={"CI": "true"}, passed=1)
    assert provider.count == 1


def test_ci_tells_a_miss_once(inner):
    """pytest's closing list, which isn't cut there, has its first line and not all of it again."""
    inner.tests("def test_it(): ask('hi')\ndef test_own(): raise KeyError('a\\nb')")
    said = inner.run(env={"CI": "true"}, failed=2).stdout
    above, _, closing = said.partition("short test summary info")
    assert above.count("Record it:") == 1
    assert "FAILED tests/test_it.py::test_it - cas-llm: not recorded" in closing
    assert "Record it:" not in closing
    assert "KeyError" in closing


def test_a_run_stops_calling_once_it_has_spent_its_money(inner, provider):
    """What was paid for is kept; the rest is refused with the limit."""
    inner.table("", priced=True).tests(
        "@pytest.mark.parametrize('n', range(4))\ndef test_it(n): ask(f'number {n}')"
    )
    result = inner.run(FALLBACK, "--cas-llm-max-cost=0.000001", passed=1, failed=3)
    assert "cas-llm: over budget" in result.stdout
    assert provider.count == 1
    inner.record(passed=4)
    assert provider.count == 4


@pytest.mark.slow
def test_a_request_outside_any_test_must_be_recorded_too(inner, provider):
    """An import that swallows its miss fails; recorded, it is shared, and replays."""
    inner.tests("ANSWER = post([{'role': 'user', 'content': 'at import'}])\ndef test_it(): pass")
    refused = inner.run()
    assert refused.code != 0
    assert '"at import"' in refused.stdout
    inner.record(passed=1)
    inner.run(passed=1)
    assert provider.count == 1


@pytest.mark.slow
def test_a_conftests_swallowed_miss_turns_the_run_red(inner, provider):
    """It belongs to no test, so that only the run as a whole can fail with it."""
    inner.project.file(
        "tests/conftest.py", "from llm import post\npost([{'role': 'user', 'content': 'early'}])\n"
    )
    inner.tests("def test_it(): pass")
    refused = inner.run("tests", passed=1)
    assert refused.code == 1
    assert "1 not recorded" in summary_of(refused)
    spread = inner.run("tests", "-n", "1", plugins=("xdist",), passed=1)
    assert spread.code == 1
    assert inner.record("tests", passed=1).code == 0
    assert inner.run("tests", passed=1).code == 0
    assert inner.run(CAPTURE, "tests", passed=1).code == 0
    assert provider.count == 2


@pytest.mark.parametrize("call", ["urllib.request.urlopen('https://api.openai.com/v1/models')"])
def test_a_connection_no_recorder_sees_fails_the_test(inner, call):
    """In replay it is refused at once, and the test fails even where the app swallows that."""
    inner.tests(
        f"""
        import urllib.request

        def test_it():
            try:
                {call}
            except Exception:
                pass
        """
    )
    result = inner.run(failed=1)
    assert "cas-llm: blocked" in result.stdout
    assert "1 refused connection" in summary_of(result)


def test_a_store_that_lost_its_format_file_stops_the_run(inner):
    """Going on as if there were no store would call for real."""
    inner.tests("def test_one(): ask('one')").record(passed=1)
    calls = inner.provider.count
    inner.project.file("pyproject.toml", "")
    (inner.project.path / "cache_store" / "format").unlink()
    result = inner.run()
    assert result.code == 4
    assert "no file 'format'" in result.text
    assert inner.provider.count == calls


def test_a_damaged_tape_fails_its_own_test_only(inner):
    """One clear failure names the file and the command; the other tests run."""
    inner.tests("def test_one(): ask('one')\ndef test_two(): ask('two')").record(passed=2)
    (tape,) = (inner.project.path / "cache_store/manifest/tapes").rglob("test_one*.json")
    tape.write_text("<<<<<<< ours\n" + tape.read_text())
    for mode in (), (CAPTURE,):
        result = inner.run(*mode, passed=1, failed=1)
        assert tape.name in result.text
        assert "cas-llm verify --repair" in result.text
        assert "INTERNALERROR" not in result.text


def test_workers_start_under_warnings_as_errors(inner):
    """The distributing process's session is not theirs to join: it would import too early."""
    inner.tests("def test_one(): ask('one')").record(passed=1)
    inner.run("-n", "1", "-W", "error", plugins=("xdist",), passed=1)


@pytest.mark.slow
def test_a_run_that_fails_for_want_of_a_key_says_what_helps(inner):
    """An SDK that wants a key fails before it asks, even where the answer is recorded."""
    inner.tests(
        """
        import os

        def test_one():
            assert os.environ.get("OPENAI_API_KEY"), "Missing credentials"
            ask("one")
        """
    )
    inner.record(passed=1)
    keyless = inner.run(FALLBACK, env={"OPENAI_API_KEY": ""}, failed=1)
    assert "no provider key is set" in summary_of(keyless)
    assert "where all is recorded any value will do" in summary_of(keyless)
    any_value = inner.run(FALLBACK, env={"OPENAI_API_KEY": "none"}, passed=1)
    assert "no provider key" not in any_value.stdout
    assert "1 served   0 calls" in summary_of(any_value)
    inner.tests("def test_one():\n    ask('one')\n    assert False")
    asked = inner.run(FALLBACK, env={"OPENAI_API_KEY": ""}, failed=1)
    assert "no provider key" not in asked.stdout
