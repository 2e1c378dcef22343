"""`cas-llm show`: requests, answers and tapes for people."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.projects import Project
from support.provider import ScriptedProvider
from support.recordings import SYSTEM, fill, key_of

from cas_llm.cli import naming, prompts
from cas_llm.cli.edit import edit_answer, text_change
from cas_llm.cli.show import exchange, raw
from cas_llm.errors import CasLLMError
from cas_llm.store import Store


@pytest.fixture
def store(tmp_path: Path, provider: ScriptedProvider) -> Store:
    """See `support.recordings.fill`."""
    return fill(tmp_path / "cache_store", provider)


def test_long_texts_are_put_back_into_the_prompt(store: Store) -> None:
    """A system prompt that lies in a part of its own is read as if it were inline."""
    shown = exchange(store, key_of(store, "flow"))
    said = prompts.conversation(shown.body)
    assert [turn.role for turn in said] == ["system", "user"]
    assert said[0].text == SYSTEM
    assert dict(prompts.options(shown.body)) == {"stream": "true", "temperature": "0"}


def test_several_answers_are_all_shown_current_ones_first(store: Store) -> None:
    """Each with its ordinal and take; a superseded one comes last."""
    key = key_of(store, "same")
    done = edit_answer(store, key, text_change("Edited."), test="one", ordinal=1)
    replies = exchange(store, key).replies
    assert [reply.entry.current for reply in replies] == [True, True, False]
    assert replies[-1].entry.digest == done.old
    assert {reply.text for reply in replies} >= {"Edited."}


def test_raw_gives_the_body_byte_for_byte(store: Store) -> None:
    """Of one answer only: several are listed as commands to choose from."""
    key = key_of(store, "flow")
    reply = exchange(store, key).replies[0]
    assert raw(store, naming.Named(key=key)) == reply.answer.response.body
    assert raw(store, naming.Named(digest=reply.entry.digest)) == reply.answer.response.body
    with pytest.raises(CasLLMError, match="2 answers") as told:
        raw(store, naming.Named(key=key_of(store, "same")))
    assert str(told.value).count("--raw") == 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"instructions": "Be kind", "input": "hi"},
            [("system", "Be kind"), ("user", "hi")],
        ),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                    {"type": "function_call", "name": "f", "arguments": '{"a":1}'},
                    {"type": "function_call_output", "output": "2"},
                ]
            },
            [("user", "hi"), ("assistant", "f(a=1)"), ("tool", "2")],
        ),
        (
            {
                "system": [{"type": "text", "text": "Be kind"}],
                "messages": [
                    {"role": "user", "content": "hi"},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "name": "f", "input": {"a": 1}}],
                    },
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "content": "2"},
                            {"type": "image", "source": {}},
                        ],
                    },
                ],
            },
            [
                ("system", "Be kind"),
                ("user", "hi"),
                ("assistant", "f(a=1)"),
                ("user", "tool: 2\n[image]"),
            ],
        ),
        (
            {
                "systemInstruction": {"parts": [{"text": "Be kind"}]},
                "contents": [
                    {"role": "user", "parts": [{"text": "hi"}]},
                    {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
                ],
            },
            [("system", "Be kind"), ("user", "hi"), ("model", "f(a=1)")],
        ),
        ({"input": ["a", "b"]}, [("user", "a"), ("user", "b")]),
        ({"odd": 1}, [("body", '{"odd": 1}')]),
        (None, []),
    ],
)
def test_a_prompt_reads_as_a_conversation(body: object, said: list[tuple[str, str]]) -> None:
    """Every family's shape, tool calls and results on lines of their own."""
    assert [(turn.role, turn.text) for turn in prompts.conversation(body)] == said


@pytest.mark.slow
def test_the_command_shows_requests_tapes_and_bytes(
    project: Project, provider: ScriptedProvider
) -> None:
    """A key, a digest, a test and a tape's file are each taken for what they are."""
    store = fill(project.path / "cache_store", provider)
    key = key_of(store, "flow")
    for word in (key[:8], exchange(store, key).replies[0].entry.digest[:8]):
        said = project.cas_llm("show", word)
        for text in ("Be brief.", "flow", "answer 4: flow", "use::one: take 0, ask 1"):
            assert text in said.stdout, said
    tape = store.manifest.tapes_of("use::one")[0].path(store.root)
    for word in ("one", str(tape)):
        said = project.cas_llm("show", word)
        assert "use::one   take 0, 3 turns" in said.stdout, said
        assert said.stdout.index("> same") < said.stdout.index("> flow")
    assert project.cas_llm("show", key, "--request").stdout.encode() == store.objects.get_request(
        key
    )
    assert project.cas_llm("show", key, "--raw").stdout.startswith("data: ")
    assert len(json.loads(project.cas_llm("show", key, "--json").stdout)["answers"]) == 1
    assert len(json.loads(project.cas_llm("show", "one", "--json").stdout)["turns"]) == 3
    unknown = project.cas_llm("show", "nowhere")
    assert (unknown.code, "cas-llm ls" in unknown.stderr) == (1, True)


def test_takes_that_are_not_shown_are_named(project: Project, provider: ScriptedProvider) -> None:
    """By their numbers, the highest first, and with whether they tie with the one that is."""
    store = fill(project.path / "cache_store", provider)
    assert "not shown here" not in project.cas_llm("show", "one").stdout
    tape = store.manifest.tapes_of("use::one")[0]
    for take, turns in ((1, tape.turns), (2, tape.turns), (2, tape.turns[:1])):
        store.manifest.add_tape(replace(tape, take=take, turns=turns))
    said = project.cas_llm("show", "one")
    assert said.stdout.endswith("\nnot shown here: take 2 (ties), take 1, take 0\n"), said
