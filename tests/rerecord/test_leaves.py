"""Which answers may be asked for alone: those that nothing quotes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.stores import HOST, JSON, recorded, tape_of

from cas_llm.rerecord.leaves import Leaves
from cas_llm.session.catalogue import catalogue
from cas_llm.store import Recording, Shared, Store
from cas_llm.wire import Request, Response

TEST = "tests/test_a.py::test_it"


def call(*messages: dict[str, Any], path: str = "/chat/completions", **more: Any) -> Request:
    """A request with these messages."""
    body = json.dumps({"model": "m", "messages": list(messages), **more}).encode()
    return Request("POST", HOST + path, (("content-type", JSON),), body)


def user(text: str) -> dict[str, Any]:
    """What the user says."""
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    """What the assistant said."""
    return {"role": "assistant", "content": text}


def reply(text: str | None, **more: Any) -> Response:
    """What the model answers."""
    message = {"role": "assistant", "content": text, **more}
    document = {"id": f"chatcmpl-{text}-1234567", "model": "m", "choices": [{"message": message}]}
    return Response(200, (("content-type", JSON),), json.dumps(document).encode())


def why_not(root: Path, *recordings: Recording, shared: bool = False) -> list[str]:
    """For each recording why it is no leaf: of one tape, or of one program."""
    store = Store(root)
    for one in recordings:
        digest = store.save(one)
        if shared:
            store.add_shared(Shared(one.answer.key, 0, one.answer.run, 1, digest))
    if not shared:
        store.add_tape(tape_of(*recordings, scope=TEST))
    held = catalogue(store)
    leaves = Leaves(store, held)
    by_key = {entry.key: entry for entry in held.entries}
    found = [leaves.why_not(by_key[one.answer.key], TEST) for one in recordings]
    store.close()
    return found


def test_only_the_last_turn_of_a_conversation_stands_alone(tmp_path: Path) -> None:
    """A turn that a later one quotes is named with the later one's test."""
    first, last = why_not(
        tmp_path / "cache_store",
        recorded(call(user("hi")), reply("Ok")),
        recorded(call(user("hi"), assistant("Ok"), user("and?")), reply("No")),
    )
    assert first == f"its answer is quoted in turn 2 of {TEST}"
    assert last == ""


def test_a_text_that_the_user_repeats_counts_on_a_tape(tmp_path: Path) -> None:
    """What a program puts into its next prompt is quoted, however short, but not within a word."""
    first, _ = why_not(
        tmp_path / "cache_store",
        recorded(call(user("which city?")), reply("Rome")),
        recorded(call(user("weather in Rome?")), reply("sun")),
    )
    assert first.startswith("its answer is quoted")
    alone, _ = why_not(
        tmp_path / "b" / "cache_store",
        recorded(call(user("which one?")), reply("Ro")),
        recorded(call(user("weather in Rome?")), reply("sun")),
    )
    assert alone == ""


def test_a_value_within_a_structured_answer_counts(tmp_path: Path) -> None:
    """An answer that is JSON is quoted by the strings in it."""
    first, _ = why_not(
        tmp_path / "cache_store",
        recorded(call(user("which?")), reply('{"city": "Lima", "n": 2}')),
        recorded(call(user("Describe Lima.")), reply("far")),
    )
    assert first.startswith("its answer is quoted")


@pytest.mark.parametrize("shared", [False, True])
def test_the_id_of_a_tool_call_counts(tmp_path: Path, shared: bool) -> None:
    """A tool's result names the call: the answer that made it is no leaf, wherever it is used."""
    made = {"id": "call_0001", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    first, last = why_not(
        tmp_path / "cache_store",
        recorded(call(user("go")), reply(None, tool_calls=[made])),
        recorded(
            call(
                user("go"),
                {"role": "assistant", "content": None, "tool_calls": [made]},
                {"role": "tool", "tool_call_id": "call_0001", "content": "done"},
            ),
            reply("fine"),
        ),
        shared=shared,
    )
    assert first.startswith("its answer is quoted in")
    assert last == ""


def test_what_programs_recorded_is_quoted_by_what_they_asked_later(tmp_path: Path) -> None:
    """Outside tests the model's turn counts, and so does a text that nobody says by chance."""
    long = "A sentence that nobody would say by chance."
    spoken, quoted, alone, *_ = why_not(
        tmp_path / "cache_store",
        recorded(call(user("a")), reply("Yes")),
        recorded(call(user("b")), reply(long)),
        recorded(call(user("c")), reply("Yeah")),
        recorded(call(user("a"), assistant("Yes"), user("d")), reply("x1")),
        recorded(call(user(f"Translate: {long}")), reply("x2")),
        shared=True,
    )
    assert spoken.startswith("its answer is quoted in the shared request")
    assert quoted.startswith("its answer is quoted in the shared request")
    assert alone == ""


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id resp_1"),
        ({"conversation": {"id": "conv_1"}}, "conversation conv_1"),
        ({"vector_store_ids": ["vs_1"]}, "vector_store_ids vs_1"),
    ],
)
def test_what_only_the_server_knows_keeps_a_request_from_being_sent(
    tmp_path: Path, more: dict[str, Any], named: str
) -> None:
    """A request that names a response, a conversation or a file of the server's is no leaf."""
    (why,) = why_not(tmp_path / "cache_store", recorded(call(user("x"), **more), reply("y")))
    assert why == f"it names what only the provider's server knows: {named}"


def test_a_request_that_asks_no_model_is_not_sent(tmp_path: Path) -> None:
    """A batch would make something on the server each time."""
    (why,) = why_not(tmp_path / "cache_store", recorded(call(path="/batches"), reply("y")))
    assert why == "POST /v1/batches asks no model"
