"""Re-recording is safe: tests replay what they were given, money is paid once, limits hold."""

from __future__ import annotations

import collections
import itertools
import json
import signal
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from support.inner import Inner
from support.leaves import PRICE, Leaves, asked, in_use, said
from support.projects import Project
from support.provider import Received, Reply, ScriptedProvider

TALKS = """
import json

def talk(name, turns):
    messages = []
    for number in range(turns):
        messages.append({"role": "user", "content": f"{name} says {number}"})
        if number % 3 == 2:
            reply = post(messages, tools=[TOOL]).json()["choices"][0]["message"]
            call = reply["tool_calls"][0]
            messages.append({"role": "assistant", "tool_calls": [call], "content": None})
            done = {"role": "tool", "tool_call_id": call["id"], "content": "done"}
            messages.append(done)
        else:
            messages.append({"role": "assistant", "content": said(post(messages))})
    return messages

TOOL = {"type": "function", "function": {"name": "act", "parameters": {"type": "object"}}}

def test_two():
    assert talk("Ada", 2)

def test_five():
    assert talk("Bob", 5)

@pytest.mark.parametrize("name", ["Cleo", "Ada"])
def test_twelve(name):
    assert talk(name, 12)

def test_of_another_model():
    assert said(post([{"role": "user", "content": "hi"}], model="gpt-4o"))
"""
# Ada's conversation of two turns is the beginning of hers of twelve: one run asks for it once.
CALLS = 5 + 12 + 12 + 1


def varied(received: Received) -> Reply:
    """Text, or a call of a tool where one is given, never the same twice."""
    body, number = received.json, received.number
    document = said(f"reply number {number}", body["model"])
    if body.get("tools"):
        function = {"name": "act", "arguments": json.dumps({"step": number})}
        call = {"id": f"call_{number:08}", "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        document["choices"][0] |= {"message": message, "finish_reason": "tool_calls"}
    return Reply.of(document)


@pytest.fixture
def talks(tmp_path: Path, provider: ScriptedProvider) -> Inner:
    """A project whose conversations are recorded."""
    provider.script(varied)
    inner = Inner(Project(tmp_path), provider)
    inner.tests(TALKS)
    inner.run("--cas-llm=capture", passed=5)
    provider.clear()
    return inner


@pytest.mark.slow
def test_conversations_replay_after_they_were_recorded_anew(talks: Inner) -> None:
    """As a whole, by model, by test: every call is made once, and all tests replay without one."""
    for words, calls in (
        (("--all",), CALLS),
        (("--model", "gpt-4o-mini", "--jobs", "2"), CALLS - 1),
        (("tests/test_it.py::test_five",), 5),
        (("test_twelve[Cleo]",), 12),
    ):
        result = talks.project.cas_llm("rerecord", *words, "--apply", "--json")
        assert result.code == 0, str(result)
        assert talks.provider.count == json.loads(result.stdout)["calls"] == calls
        talks.provider.clear()
        talks.run(passed=5)
        assert talks.provider.count == 0
    assert talks.project.cas_llm("verify").code == 0


@pytest.mark.slow
def test_a_turn_that_is_quoted_is_not_sent_and_its_test_is_named(talks: Inner) -> None:
    """Each turn that a later one quotes is refused with its test; the others go, and all replay."""
    first = talks.tapes("test_five")[0]["turns"][0]["key"]
    refused = talks.project.cas_llm("rerecord", first, "--reissue", "--apply")
    assert refused.code == 1
    assert "its answer is quoted in turn 2 of tests/test_it.py::test_five" in refused.stderr
    assert "cas-llm rerecord tests/test_it.py::test_five --apply" in refused.stderr
    assert talks.provider.count == 0
    done = talks.project.cas_llm("rerecord", "--all", "--reissue", "--apply", "--json")
    document = json.loads(done.stdout)
    # The last turns of five, twelve and twelve, and the one alone; the last of two is quoted.
    assert document["recorded"] == talks.provider.count == 4
    assert len(document["kept"]) == CALLS - 4
    talks.provider.clear()
    talks.run(passed=5)
    assert talks.provider.count == 0


@pytest.mark.slow
def test_a_killed_re_record_of_tests_pays_for_no_answer_twice(talks: Inner) -> None:
    """Killed in the middle of twelve turns, the next one goes on behind the last answer."""
    reached = talks.provider.count + 7
    process = _begun(talks.project, "rerecord", "test_twelve[Cleo]", "--apply")
    while talks.provider.count < reached:
        time.sleep(0.001)
        assert process.poll() is None
    process.kill()
    process.wait()
    _until_quiet(talks.provider)
    paid = talks.provider.count
    result = talks.project.cas_llm("rerecord", "test_twelve[Cleo]", "--apply")
    assert result.code == 0, str(result)
    assert talks.provider.count <= 12 + 1, paid
    talks.provider.clear()
    talks.run(passed=5)
    assert talks.provider.count == 0


@pytest.mark.slow
def test_two_hundred_leaves_survive_ten_kills(tmp_path: Path, provider: ScriptedProvider) -> None:
    """All have new answers, at most one call is paid for again per kill, and the ledger names it."""
    leaves = Leaves(tmp_path, provider, 200)
    lost: set[str] = set()
    for kill in range(10):
        lost |= leaves.killed_after(11 + kill)
    result = leaves.run("--json")
    assert result.code == 0, str(result)
    answers = in_use(leaves.root)
    assert len(answers) == 200
    assert all(text.startswith("new ") for text in answers.values())
    assert len(set(answers.values())) == 200
    asked_twice = collections.Counter(map(asked, provider.calls))
    again = [text for text, count in asked_twice.items() if count > 1]
    assert provider.count <= 200 + 10
    assert len(again) <= len(lost) <= 10
    provider.clear()
    assert "No" in leaves.project.cas_llm("pending").stdout
    assert leaves.project.cas_llm("verify").code == 0
    assert provider.count == 0


@pytest.mark.slow
def test_a_server_that_fails_half_of_the_time_is_asked_until_it_answers(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    """Too many requests with a time in seconds or as a date, errors, silence: each is got over."""
    leaves = Leaves(tmp_path, provider, 40)
    seen: collections.Counter[str] = collections.Counter()

    def script(received: Received) -> Reply:
        text = asked(received)
        seen[text] += 1
        if seen[text] % 2 == 0:
            return Reply.of(said(f"new {received.number}"))
        now = format_datetime(datetime.now(UTC), usegmt=True)
        return (
            Reply.of({"error": "slow down"}, 429, retry_after="0"),
            Reply.of({"error": "slow down"}, 429, retry_after=now),
            Reply.of({"error": "broken"}, 500),
            Reply(wait=0.5, body=b"late"),
        )[int(text.split()[1]) % 4]

    provider.script(script)
    result = leaves.run("--jobs", "8", "--timeout", "0.3", "--json")
    assert result.code == 0, str(result)
    assert provider.count == json.loads(result.stdout)["calls"] == 80
    assert all(text.startswith("new ") for text in in_use(leaves.root).values())


@pytest.mark.slow
def test_no_call_is_begun_once_the_money_is_spent(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    """Money for ten calls and a half is spent by eleven; what they answered is in use."""
    leaves = Leaves(tmp_path, provider, 40)
    result = leaves.run("--jobs", "4", "--max-cost", str(PRICE * 10.5))
    assert result.code == 1
    assert "the budget is spent" in result.stdout
    assert provider.count == 11
    assert sum(text.startswith("new ") for text in in_use(leaves.root).values()) == 11
    assert leaves.run().code == 0
    assert provider.count == 40


@pytest.mark.slow
def test_an_interrupted_re_issue_says_how_to_go_on(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    """What was under way is kept, nothing is asked twice, and the exit code is a shell's 130."""
    leaves = Leaves(tmp_path, provider, 30)
    assert leaves.killed_after(5, when=signal.SIGINT) == set()
    assert leaves.run().code == 0
    assert provider.count == 30


def _begun(project: Project, *words: str):
    import subprocess
    import sys

    return subprocess.Popen(
        [sys.executable, "-m", "cas_llm", *words],
        cwd=project.path,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _until_quiet(provider: ScriptedProvider) -> None:
    """Wait until what the killed one had started asks no more."""
    for before in itertools.count():
        count = provider.count
        time.sleep(0.7)
        if provider.count == count:
            return
        assert before < 50
