"""How grave a change is: one case for each class, and what must not be mistaken for one."""

from __future__ import annotations

import json

import pytest

from cas_llm.drift.calls import calls_in
from cas_llm.drift.classes import CLASSES, GRAVE, kinds
from cas_llm.drift.said import Said, said
from cas_llm.drift.wording import parting, rows, similarity
from cas_llm.providers import provider_for
from cas_llm.store import Answer
from cas_llm.wire import Response

LONG = "The hotel has forty rooms, a garden by the river and a small library on the first floor."


def heard(message: object, family: str = "openai", status: int = 200, **provenance: object) -> Said:
    """What an answer with this body says."""
    head = (("content-type", "application/json"),)
    provider = provider_for(family)
    body = json.dumps(message).encode()
    lines = provider.answer(provider.message(body, head[0][1]))
    answer = Answer("ab" * 32, Response(status, head, body), "0a1b2c3d", answer=lines)
    object.__setattr__(answer, "provenance", provenance)
    return said("cd" * 32, answer, provider)


def chat(text: str | None, finish: str = "stop", **more: object) -> dict[str, object]:
    message = {"role": "assistant", "content": text, **more}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def calls(*made: tuple[str, object]) -> dict[str, object]:
    listed = [
        {"id": f"call_{n}", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for n, (name, arguments) in enumerate(made)
    ]
    return chat(None, "tool_calls", tool_calls=listed)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (chat("A b  c."), chat("A b\nc."), "same"),
        (chat(LONG), chat(LONG.replace("forty", "fifty")), "wording"),
        (chat(LONG), chat("The hotel has forty rooms."), "shorter"),
        (chat("The hotel has forty rooms."), chat(LONG), "longer"),
        (chat("Yes."), chat("No."), "rewritten"),
        (chat(""), chat("Hello."), "wording"),
        (chat('{"n": 1}'), chat('{"n": 2}'), "value"),
        (chat('{"n": 1}'), chat('```json\n{"n": 1.5}\n```'), "value"),
        (chat('{"n": [1]}'), chat('{"n": []}'), "value"),
        (chat('{"n": 1}'), chat('{"m": 1}'), "schema"),
        (chat('{"n": 1}'), chat('{"n": "1"}'), "schema"),
        (chat('{"n": [{"a": 1}]}'), chat('{"n": [{"a": 1, "b": 2}]}'), "schema"),
        (chat('{"n": 1}'), chat("One."), "schema"),
        (chat(LONG), chat(LONG, "length"), "cut-off"),
        (chat(LONG), chat("I'm sorry, but I can't help with that."), "refusal"),
        (chat("I cannot assist with this request."), chat(LONG), "refusal"),
        (chat(LONG), chat(None, refusal="No."), "refusal"),
        (chat(LONG), chat(LONG, "content_filter"), "refusal"),
        (calls(("book", {"nights": 2})), calls(("book", {"nights": 1})), "tool-call"),
        (calls(("book", {"nights": 2})), chat("Which nights?"), "tool-call"),
        (calls(("a", {}), ("b", {})), calls(("b", {}), ("a", {})), "tool-call"),
        (calls(("book", {"a": 1, "b": 2})), calls(("book", {"b": 2.0, "a": 1})), "same"),
        ({"data": [{"embedding": [1]}]}, {"data": [{"embedding": [2]}]}, "value"),
        ({"data": [{"embedding": [1]}], "id": "a"}, {"data": [{"embedding": [1]}]}, "same"),
    ],
)
def test_a_change_is_of_the_gravest_class_that_applies(old, new, word):
    """The table's rows, one by one."""
    assert kinds(heard(old), heard(new))[0] == word


def test_another_model_that_nobody_asked_for_is_told():
    """Asked otherwise, it is the request's change and no drift."""
    old = heard(chat(LONG), model="m-1", requested_model="m")
    assert kinds(old, heard(chat(LONG), model="m-2", requested_model="m")) == ("model",)
    assert kinds(old, heard(chat(LONG), model="n-1", requested_model="n")) == ("same",)


def test_an_error_is_graver_than_all_else():
    """It comes first, and the table holds every class once."""
    found = kinds(heard(calls(("book", {}))), heard({"error": {"message": "no"}}, status=429))
    assert found[0] == "error"
    assert list(CLASSES)[: len(GRAVE)] == [*GRAVE]


def test_an_answer_in_other_words_for_sorry_is_no_refusal():
    """An apology inside an answer declines nothing."""
    for text in ("I'm sorry to hear that. Take a rest.", "You can't help it. I cannot wait!"):
        assert not heard(chat(text)).declines


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"output": [{"type": "function_call", "name": "f", "arguments": '{"a": 1}'}]}, "f(a=1)"),
        ({"content": [{"type": "tool_use", "name": "f", "input": {"a": 1}}]}, "f(a=1)"),
        (
            {
                "candidates": [
                    {"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}}
                ]
            },
            "f(a=1)",
        ),
        (
            {"output": {"message": {"content": [{"toolUse": {"name": "f", "input": {"a": 1}}}]}}},
            "f(a=1)",
        ),
        (
            {"message": {"tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}]}},
            "f(a=1)",
        ),
        ({"choices": [{"message": {"function_call": {"name": "f", "arguments": "{"}}}]}, "f({)"),
        ([{"content": 3}], None),
        (None, None),
        ({"choices": [None, {"message": 3}], "output": "x", "content": [1]}, None),
    ],
)
def test_tool_calls_are_found_in_every_familys_shape(message, name):
    """And in what is nobody's shape none, without an error."""
    assert [str(call) for call in calls_in(message)] == ([] if name is None else [name])


def test_a_long_call_shows_what_differs():
    """Two bookings that differ in their last argument alone."""
    long = {"guest": "Ada Lovelace", "arrives": "2026-11-21", "nights": 2}
    one, other = (calls_in(calls(("book", {**long, "nights": n})))[0] for n in (2, 3))
    assert (one.beside(other), other.beside(None)) == ("book(nights=2)", "book(...)")


def test_a_diff_shows_the_sentences_that_differ_and_marks_their_words():
    """What stayed is an ellipsis; sentences of one paragraph are told apart."""
    old = "One. Two is here. Three."
    found = rows(old, "One. Two was here. Three.")
    assert [(row.sign, row.text) for row in found] == [
        (" ", "…"),
        ("-", "Two is here."),
        ("+", "Two was here."),
        (" ", "…"),
    ]
    assert [text for text, marked in found[2].spans if marked] == ["was"]
    assert rows(old, old) == ()
    assert parting("Be kind.\nBe long.", "Be kind.\nBe brief.") == ("Be long.", "Be brief.")


def test_words_in_common_are_a_share_of_the_shorter_text():
    """A summary in the same words is wholly alike, whatever the case."""
    assert similarity("The cat sat on the mat", "THE CAT") == 1.0
    assert similarity("yes", "no") == 0.0
    assert similarity("", "") == 1.0
    assert similarity("", "word") == 0.0


def test_texts_of_any_size_are_compared_in_time():
    """Thousands of sentences that all differ are not compared word by word."""
    old = " ".join(f"Sentence {n} says a thing." for n in range(3000))
    assert len(rows(old, old.replace("says", "said"))) == 6000
