"""What changes by itself is named right, what somebody changed never is, and the remedies work."""

import json
import random
import re
import uuid

import pytest
from support.desk import a_test, chat, lay_tape

from cas_llm.keys import compare
from cas_llm.session import volatile
from cas_llm.session.misses import explain

NAME = "tests/test_a.py::test_one"
RESULT = "a tool result"
UUIDS = [f"{n:08x}-0000-4000-8000-00000000abcd" for n in range(2)]


def judged(old, new, place="", name="content"):
    """What is said of a member that was *old* and is *new*."""
    bodies = ({"body": {"messages": [{name: side}]}} for side in (old, new))
    (found,) = compare(*bodies, lambda _: None)
    return volatile.judged(found, place).volatile


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("It is 2026-11-21T09:14:02Z.", "It is 2026-11-22T10:00:00Z.", "time"),
        (f"id {UUIDS[0]}", f"id {UUIDS[1]}", "uuid"),
        (f"{UUIDS[0]} at 10:00", f"{UUIDS[1]} at 10:01", "uuid, time"),
        ("in /tmp/a-1/x.txt", "in /tmp/b-22/y.txt", "path"),
        ("see /srv/one/app.py", "see /opt/two/app.py", "path"),
        ("read /srv/app/one.py", "read /srv/app/two.py", ""),
        ("read /home/ada/notes.txt", "read /home/ada/plans.txt", ""),
        ("list /srv/one/", "list /opt/two/", ""),
        ("see /tmp/run/one.py", "see /tmp/run/two.py", ""),
        ("see /tmp/tmpab1x", "see /tmp/tmpq7_z", "path"),
        ("What was on 1969-07-20?", "What was on 1970-07-20?", ""),
        ("since 2026-11-21", "since 2026-10-21", ""),
        ("Book a table at 18:30", "Book a table at 19:30", ""),
        ("It is 18:30:01", "It is 19:30:02", "time"),
        ("http://localhost:8000/a", "http://localhost:51234/a", "port"),
        ("as run-17", "as run-18", "counter"),
        ("chapter-3", "chapter-4", ""),
        ("GPT-4 is good", "GPT-5 is good", ""),
        ("give 3 examples", "give 5 examples", ""),
        ("plan-1", "trip-2", ""),
        ("hello Ada", "hello Bob", ""),
        ("10:00 is early", "10:00 is late", ""),
        ("10:00 is early", "11:00 is late", ""),
    ],
)
def test_a_prompts_text_is_volatile_only_beyond_doubt(old, new, kind):
    """A number, a file or a name that somebody may have changed is no counter and no path."""
    assert judged(old, new) == kind


@pytest.mark.parametrize(
    ("old", "new", "name", "kind"),
    [
        ("order-3 done", "order-4 done", "content", "counter"),
        ("took 3 s", "took 4 s", "content", ""),
        (17, 18, "request_id", "counter"),
        (17, 18, "temperature", ""),
        ("17", "18", "seq", "counter"),
        (1_700_000_000, 1_700_000_100, "run", "time"),
        (True, False, "id", ""),
    ],
)
def test_a_tool_result_counts_where_its_names_say_so(old, new, name, kind):
    """Programs write these by themselves; measurements are still answers."""
    assert judged(old, new, RESULT, name) == kind


def test_an_option_of_the_request_is_never_a_counter():
    """Another model, another seed: somebody chose it."""
    for name, old, new in (
        ("model", "gpt-4", "gpt-5"),
        ("model", "gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
        ("seed", 1, 2),
        ("user", "run-1", "run-2"),
    ):
        (found,) = compare({"body": {name: old}}, {"body": {name: new}}, lambda _: None)
        assert volatile.judged(found).volatile == ""


WORDS = ["alpha", "Beta", "plan-7", "12", "3.5", "v2", "/srv/a/b.py", "10:30", UUIDS[0], "x_1"]


@pytest.mark.parametrize("seed", range(200))
def test_a_differing_word_is_never_called_volatile(seed):
    """Whatever else stands in the prompt, and whatever volatile value changed with it."""
    draw = random.Random(seed)
    words = draw.choices(WORDS, k=draw.randint(1, 12))
    place = draw.randrange(len(words) + 1)
    old, new = ([*words[:place], word, *words[place:]] for word in ("rises", "falls"))
    if draw.random() < 0.5:
        old, new = [*old, "at 2026-01-01"], [*new, "at 2026-01-02"]
    assert judged(" ".join(old), " ".join(new), draw.choice(["", RESULT])) == ""


def talk(*results, order=1):
    """A request with *results* of calls that were made at once, in order or turned round."""
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for n in range(len(results))
    ]
    told = [
        {"role": "tool", "tool_call_id": f"c{n}", "content": content}
        for n, content in enumerate(results)
    ]
    messages = [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        *told[::order],
    ]
    return chat("Go", messages=messages)


def explained(desk, old, new):
    """What a test is told that asks *new* where *old* is on its tape, and the desk."""
    made = desk("replay")
    lay_tape(made, NAME, [(old, "a")])
    assert made.ask(new, a_test(NAME)).status == 424
    return explain(made.log.problems[-1])


def rules_in(text):
    return json.loads(re.search(r"normalise = (\[.*\])", text)[1])


CASES = {
    "time": ('{"at": "2026-11-21T09:14:02Z"}', '{"at": "2026-11-21T09:18:40Z"}', "a time"),
    "epoch": ('{"at": 1700000000}', '{"at": 1700000500}', "a time"),
    "uuid": (f'{{"id": "{UUIDS[0]}"}}', f'{{"id": "{UUIDS[1]}"}}', "a uuid"),
    "counter": ('{"request_id": 7}', '{"request_id": 8}', "a counter"),
    "counter in text": ("order-7 is on its way", "order-8 is on its way", "a counter"),
    "path": ("wrote /tmp/run-1/out.txt", "wrote /tmp/run-2/out.txt", "a path"),
    "port": ("serving http://127.0.0.1:8000/", "serving http://127.0.0.1:9000/", "a port"),
    "two": (
        f'{{"at": "2026-11-21T09:14:02Z", "id": "{UUIDS[0]}"}}',
        f'{{"at": "2026-11-21T09:18:40Z", "id": "{UUIDS[1]}"}}',
        "a uuid, in a tool result",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_is_named_with_both_ways_out_and_the_rule_works(desk, case):
    """The normaliser of the message makes the recorded request and the new one the same."""
    old, new, word = CASES[case]
    text = explained(desk, talk(old), talk(new))
    assert word in text
    assert "in a tool result" in text
    assert "  freeze it:    " in text
    assert "  or ignore it: [tool.cas-llm] normalise = [" in text
    assert (
        "\n                cas-llm rekey --dry-run        "
        "1 recording keeps its answer, 0 calls, 0 clashes" in text
    )
    ruled = desk("fallback", normalise=rules_in(text))
    scope = a_test("tests/test_b.py::test_ruled")
    assert ruled.says(talk(old), scope) == ruled.says(talk(new), scope)
    assert ruled.upstream.count == 1


def test_parallel_results_in_another_order_are_named_with_their_rule(desk):
    """Only their order differs: the recorded one is told, and the rule that sorts them."""
    text = explained(desk, talk("one", "two", "three"), talk("one", "two", "three", order=-1))
    assert "$.messages" in text
    assert "the order of parallel tool results" in text
    assert "  freeze it:    hand the results over as recorded: c0, c2\n" in text
    assert rules_in(text) == ["tool-result-order"]


def test_tools_in_another_order_are_named_with_their_rule(desk):
    """The list of tools has a rule of its own."""
    tools = [{"type": "function", "function": {"name": name}} for name in "ab"]
    text = explained(desk, chat("hi", tools=tools), chat("hi", tools=tools[::-1]))
    assert "the order of the tools" in text
    assert rules_in(text) == ["tool-order"]


def test_turns_in_another_order_have_no_remedy(desk):
    """Who spoke first is no accident."""
    text = explained(desk, chat("a", "b", "c"), chat("c", "b", "a"))
    assert "freeze" not in text
    assert "normalise" not in text


def test_one_meant_difference_among_volatile_ones_takes_the_remedies_away(desk):
    """No rule is offered that would hide what somebody changed."""
    old, new = (
        chat(text, metadata={"at": f"2026-01-0{n}"}) for n, text in ((1, "red"), (2, "blue"))
    )
    text = explained(desk, old, new)
    assert "a time" in text
    assert "freeze" not in text
    assert "normalise" not in text


def test_rules_that_hold_already_are_kept_in_the_line(desk):
    """What is copied into the settings takes nothing out of them."""
    made = desk("replay", normalise=["trim"])
    old, new = (chat("hi", metadata={"at": f"2026-01-0{n}"}) for n in (1, 2))
    lay_tape(made, NAME, [(old, "a")])
    made.ask(new, a_test(NAME))
    assert rules_in(explain(made.log.problems[-1])) == ["trim", "time:$.metadata.at"]


def test_a_recording_by_other_rules_is_told_to_be_moved(desk):
    """The settings changed: that is no reason to pay again."""
    made = desk("replay")
    lay_tape(made, NAME, [(chat(" hi"), "a")])
    ruled = desk("replay", normalise=["trim"])
    ruled.ask(chat(" hi"), a_test(NAME))
    text = explain(ruled.log.problems[-1])
    assert "other key rules held when it was recorded:  cas-llm rekey --dry-run" in text


def test_the_document_of_a_miss_says_kinds_and_ways_out(desk):
    """Programs read what people read."""
    from cas_llm.session.report import problem_document

    made = desk("replay")
    old, new, _ = CASES["time"]
    lay_tape(made, NAME, [(talk(old), "a")])
    made.ask(talk(new), a_test(NAME))
    near = problem_document(made.log.problems[-1])["nearest"]
    assert near["kinds"] == [["time"]]
    assert near["differences"][0].endswith("a time, in a tool result")
    assert near["freeze"] == ['time_machine.travel("2026-11-21T09:14:02Z")']
    assert near["normalise"] == ["time:$.messages[*].content.at"]


def test_a_name_that_no_path_can_say_is_told_without_a_rule(desk):
    """A quote in a member's name: the difference is shown, no rule could name its place."""
    old, new = (chat("hi", metadata={'a"b': f"2026-01-0{n}"}) for n in (1, 2))
    text = explained(desk, old, new)
    assert "a time" in text
    assert "normalise" not in text


MUTATIONS = {
    "time": (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"), "2031-05-06T07:08:09"),
    "uuid": (
        re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"),
        str(uuid.UUID(int=2**127 + 12345)),
    ),
    "path": (re.compile(r"(?<![\w/])/(?:tmp|home|Users)/[\w.-]+(?=/)"), "/tmp/pytest-of-x"),
    "port": (re.compile(r"(?<=localhost:)\d+|(?<=127\.0\.0\.1:)\d+"), "54321"),
    "counter": (re.compile(r"\brequest-\d+"), "request-99"),
    "word": (re.compile(r"(?<![\w/.-])[a-z]{4,}(?![\w/.-])"), "zyzzyva"),
    "number": (re.compile(r"(?<![\w:./-])[2-9]\d?(?![\w:./-])"), "1"),
}
PLANTED = {
    "time": "It is 2026-11-21T09:14:02Z.",
    "uuid": f"Trace {UUIDS[0]}.",
    "path": "Work in /tmp/pytest-of-ada/pytest-3.",
    "port": "The server is http://localhost:8000/v1.",
    "counter": "This is request-12.",
}


def test_mutations_of_the_corpus_are_named_right(corpus):
    """One value of each kind changed in each real request that has one: its kind, or nothing."""
    _counted("found there", corpus, lambda body, _kind: body)


def test_values_planted_in_the_corpus_are_named_right(corpus):
    """The same with a value of each kind put behind the first text of each real request."""
    _counted("planted", corpus, _planted)


def _counted(what, corpus, prepare):
    counts = {kind: [0, 0] for kind in MUTATIONS}
    for exchange in corpus:
        for kind, (pattern, other) in MUTATIONS.items():
            body = prepare((exchange["request"] or {}).get("json"), kind)
            changed = _mutated(body, pattern, other)
            found = compare({"body": body}, {"body": changed}, lambda _: None) if changed else ()
            if found:
                wanted = "" if kind in {"word", "number"} else kind
                right = all(volatile.judged(one).volatile == wanted for one in found)
                counts[kind][0] += right
                counts[kind][1] += 1
    print(what, {kind: f"{right} of {total}" for kind, (right, total) in counts.items()})
    for right, total in counts.values():
        assert right == total


def _planted(body, kind):
    """*body* with a value of *kind* behind the first text that a person or a tool wrote."""
    text = PLANTED.get(kind)
    pattern = re.compile(r"(?<=[a-z]{3}[.?!])\Z")
    return (_mutated(body, pattern, f" {text}") or body) if text else body


def _mutated(value, pattern, other):
    """*value* with the first match in a text of it changed; None where there is none."""
    if isinstance(value, str):
        new = pattern.sub(other, value, count=1)
        return None if new == value else new
    if not isinstance(value, dict | list):
        return None
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    for name, item in items:
        new = _mutated(item, pattern, other)
        if new is not None:
            copy = dict(value) if isinstance(value, dict) else list(value)
            copy[name] = new
            return copy
    return None
