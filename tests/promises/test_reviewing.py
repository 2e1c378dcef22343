"""What the reviewer of a pull request sees: one prompt edited, eighty tests recorded anew."""

from __future__ import annotations

import json
import re

import pytest
from support.inner import Inner
from support.provider import Received, Reply

TALKS = """
    from prompts import SYSTEM

    @pytest.mark.parametrize("number", range(78))
    def test_talk(number):
        messages = [{"role": "system", "content": SYSTEM},
                    {"role": "user", "content": f"Question {number}"}]
        first = said(post(messages))
        if number < 3:
            messages += [{"role": "assistant", "content": first},
                         {"role": "user", "content": "And then?"}]
            said(post(messages))
"""
TOOL = """
    from prompts import SYSTEM

    def test_{test}():
        messages = [{{"role": "system", "content": SYSTEM}},
                    {{"role": "user", "content": "Please {tool}"}}]
        tools = [{{"type": "function", "function": {{"name": "{tool}"}}}}]
        assert post(messages, tools=tools).status_code == 200
"""
PROMPT = "You are the concierge of a small hotel.\nBe kind to every guest.\n{}\nNever guess.\n"
DETAIL, BRIEF = "Answer in detail.", "Answer in at most two sentences."
USAGE = {"prompt_tokens": 20_000, "completion_tokens": 3_000, "total_tokens": 23_000}


def hotel(received: Received) -> Reply:
    """The model: as long as the system prompt lets it be, and of another mind about two tools."""
    messages, brief = received.json["messages"], BRIEF in received.json["messages"][0]["content"]
    asked = messages[-1]["content"]
    text = f"{asked} deserves a good answer, and here it is, word for word, from the front desk."
    message: dict[str, object] = {"role": "assistant", "content": text}
    number = re.search(r"\d+", asked)
    if asked.startswith("Please book"):
        message = called("book", {"nights": 1 if brief else 2})
    elif asked.startswith("Please refund"):
        message["content"] = "Which booking do you mean?"
        message = message if brief else called("refund", {"booking": "A 17", "reason": "late" * 9})
    elif brief and number and 60 <= int(number[0]) < 77:
        message["content"] = f"{asked} deserves an answer."
    elif brief:
        message["content"] = text.replace("a good answer", "an honest reply")
    return Reply.of(
        {
            "id": f"chatcmpl-{received.number}",
            "object": "chat.completion",
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": USAGE,
        }
    )


def called(name: str, arguments: dict[str, object]) -> dict[str, object]:
    """A message that calls one tool."""
    call = {"name": name, "arguments": json.dumps(arguments)}
    calls = [{"id": "call_1", "type": "function", "function": call}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


@pytest.fixture
def request_of(project, provider) -> Inner:
    """A branch on which the prompt of 80 recorded tests was edited and all were recorded anew."""
    provider.script(hotel)
    inner = Inner(project, provider).table("", priced=True).tests(TALKS, "tests/test_talks.py")
    inner.tests(TOOL.format(test="two_nights", tool="book"), "tests/test_booking.py")
    inner.tests(TOOL.format(test="late", tool="refund"), "tests/test_refund.py")
    project.file("tests/prompts.py", f"SYSTEM = {PROMPT.format(DETAIL)!r}\n")
    inner.record(passed=80)
    project.commit("Record").git("update-ref", "refs/remotes/origin/main", "HEAD")
    project.git("checkout", "-q", "-b", "brief")
    project.file("tests/prompts.py", f"SYSTEM = {PROMPT.format(BRIEF)!r}\n")
    inner.record(passed=80)
    project.commit("Be brief")
    for shard in ("talks", "booking", "refund"):
        path = project.home / f"cas-{shard}.json"
        inner.run(f"tests/test_{shard}.py", f"--cas-llm-report={path}")
    return inner


@pytest.mark.slow
def test_a_prompt_edited_for_eighty_tests_is_reviewed_in_a_screen(request_of, provider):
    """Transcript (c): its lines in its order, in a job's summary and at a terminal."""
    project, summary = request_of.project, request_of.project.home / "summary.md"
    reports = [str(path) for path in sorted(project.home.glob("cas-*.json"))]
    arguments = ["diff", "origin/main", "--report", *reports]
    done = project.cas_llm(*arguments, "--format=github", env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert done.code == 0, done
    page = summary.read_text("utf-8")
    top, _, folded = page.partition("Then:")
    assert_in_order(
        page,
        "### cas-llm on this pull request",
        "One request changed in 80 tests: `$.messages[0].content`",
        "- Answer in detail.",
        "+ Answer in at most two sentences.",
        "83 calls re-recorded · gpt-4o-mini-2024-07-18 · spent $0.40"
        " · replays green: 80 of 80 · 0 live",
        "Answers: 64 wording only, 17 shorter than half, 2 tool call changed, 0 refusals, 0 schema",
        "**Look at first**",
        "- `tests/test_booking.py::test_two_nights` tool call `book(nights=2) -> book(nights=1)`",
        "- `tests/test_refund.py::test_late` tool call `refund(...) -> (none; asks back)`",
        "Then:",
        "<details><summary>17 shorter</summary>",
        "<details><summary>64 wording</summary>",
        "83 superseded recordings go with the next `cas-llm prune` on main",
    )
    assert len(top.splitlines()) <= 40
    assert folded.count("</details>") == folded.count("<details>") == 3
    assert folded.count("```diff") == 83
    assert len(page.encode()) < 1_000_000

    for width in ("80", "120"):
        told = project.cas_llm(*arguments, env={"COLUMNS": width}).stdout
        lines = told.splitlines()
        assert len(lines) <= 24
        assert max(map(len, lines)) <= int(width)
        assert_in_order(
            " ".join(told.split()),
            "One request changed in 80 tests: $.messages[0].content",
            "- Answer in detail.",
            "+ Answer in at most two sentences.",
            "83 calls re-recorded gpt-4o-mini-2024-07-18 spent $0.40",
            "Answers: 64 wording only, 17 shorter than half, 2 tool call changed, 0 refusals",
            "Look at first",
            "tests/test_booking.py::test_two_nights",
            "book(nights=2) -> book(nights=1)",
            "Then: 17 shorter 64 wording (expand: cas-llm diff origin/main --full)",
            "83 superseded recordings go with the next `cas-llm prune` on main",
        )
    assert project.status == ""
    assert provider.count == 2 * 83


def assert_in_order(text: str, *wanted: str) -> None:
    """All of *wanted* stands in *text*, one behind the other."""
    start = 0
    for one in wanted:
        found = text.find(one, start)
        assert found >= 0, f"{one!r} is not, or not there, in:\n{text[-2500:]}"
        start = found + len(one)
