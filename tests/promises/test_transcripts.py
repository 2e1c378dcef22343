"""What people see, word for word: a new project, and an agent whose tool tells the time."""

import re

import pytest
from support.agent import AGENT
from support.inner import Inner, summary_of
from support.openai_answers import chat as answer_chat
from support.provider import Reply

BOT = """
from openai import OpenAI

client = OpenAI()


def ask(text):
    messages = [{"role": "user", "content": text}]
    reply = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    return reply.choices[0].message.content


def test_greets():
    assert "Hello Ada" in ask("Say hello to Ada")
"""


def hi_ada(received):
    """A live model's answer, after the time one takes."""
    whole = answer_chat(received, {}, None)
    body = whole.body.decode().replace(f"answer {received.number}: Say hello to Ada", "Hi Ada!")
    return Reply(body=body.encode(), wait=0.1)


@pytest.fixture
def newcomer(project, provider):
    """An empty project with one test, and a provider that costs what OpenAI costs."""
    inner = Inner(project, provider).table("", priced=True)
    provider.script(hi_ada)
    project.file("tests/test_bot.py", BOT)
    (project.path / "tests/llm.py").unlink()
    del project.variables["OPENAI_API_KEY"]
    return inner


def test_a_new_project_records_once_and_replays_without_a_key(newcomer, provider):
    """Transcript (a): refused with its price, recorded, kept for the mended test, replayed."""
    project = newcomer.project
    key = {"OPENAI_API_KEY": "-".join(["sk", "x" * 8])}

    first = newcomer.run(failed=1)
    assert (
        "cas-llm: not recorded   POST openai /v1/chat/completions   gpt-4o-mini"
        '   "Say hello to Ada"\n'
        "  The store is empty, so there is nothing near it.\n"
        "  Record it:  pytest tests/test_bot.py::test_greets --cas-llm=fallback"
        "      1 call, about $0.0001\n"
    ) in first.stdout
    assert re.search(r"^-+ cas-llm: replay \(default\) -+$", first.stdout, re.MULTILINE)
    assert summary_of(first) == (
        "0 served   1 not recorded   0 live connections"
        "        record all: pytest --cas-llm=fallback"
    )
    assert "Traceback" not in first.stdout
    assert provider.count == 0

    second = newcomer.run("--cas-llm=fallback", env=key, failed=1)
    assert "assert 'Hello Ada' in 'Hi Ada!'" in second.stdout
    assert "1 recorded, kept until the test passes" in summary_of(second)
    assert re.search(r"1 call   spent <?\$0.0001", summary_of(second))
    assert not (project.path / "cache_store" / "manifest").exists()

    project.file("tests/test_bot.py", BOT.replace("Hello Ada", "Ada"))
    third = newcomer.run("--cas-llm=fallback", env=key, passed=1)
    assert "0 calls (1 waiting answer used)" in summary_of(third)
    assert "new: 1 recording in 1 test   git add cache_store" in summary_of(third)
    assert provider.count == 1

    project.commit("First test")
    last = newcomer.run(passed=1)
    assert re.fullmatch(
        r"1 served   0 live connections   saved <?\$0\.0001, 0\.\d s", summary_of(last)
    )
    assert project.status == ""
    assert provider.count == 1


def test_an_agent_with_a_time_in_a_tool_result_is_told_where_and_what(project, provider):
    """Transcript (e) up to the miss: the turn, the path, the kind of value, and two remedies."""
    inner = Inner(project, provider).table("", priced=True).tests(AGENT, "tests/test_agent.py")
    project.file("tests/now.txt", "2026-11-21T09:14:02Z")
    recorded = inner.record(passed=1)
    assert re.match(
        r"0 served   12 calls   spent \$0\.\d+   new: 12 recordings in 1 test   git add",
        summary_of(recorded),
    )
    inner.run(passed=1)

    project.file("tests/now.txt", "2026-11-21T09:18:40Z")
    refused = inner.run(failed=1)
    assert re.search(
        r"  turn 7 of 12 not recorded \(5 later turns not tried\)\n"
        r"  nearest: this test's turn 7 \([0-9a-f]{12}\), recorded (?:just now|\d min ago); "
        r"differs at 1 place\n"
        r'    \$\.messages\[12\]\.content\.fetched_at   "2026-11-21T09:14:02Z" -> '
        r'"2026-11-21T09:18:40Z"    a time, in a tool result\n'
        r'  freeze it:    time_machine\.travel\("2026-11-21T09:14:02Z"\)\n'
        r"  or ignore it: \[tool\.cas-llm\] normalise = "
        r'\["time:\$\.messages\[\*\]\.content\.fetched_at"\]',
        refused.stdout,
    ), refused.stdout
    assert provider.count == 12


def test_the_remedy_a_miss_names_works(project, provider):
    """With the normaliser of the explanation one recording serves whatever the time."""
    rule = 'normalise = ["time:$.messages[*].content.fetched_at"]'
    inner = Inner(project, provider, table=rule).tests(AGENT, "tests/test_agent.py")
    project.file("tests/now.txt", "2026-11-21T09:14:02Z")
    inner.record(passed=1)
    project.file("tests/now.txt", "2026-11-21T09:18:40Z")
    inner.run(passed=1)
    assert provider.count == 12
