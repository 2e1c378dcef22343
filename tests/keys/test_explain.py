"""What differs between two requests."""

import json

import pytest

from cas_llm.keys import Rules, cause, compare, key_record, load_record, short, shorten_pair
from cas_llm.keys.explain import ABSENT
from cas_llm.wire import Request

URL = "https://api.openai.com/v1/chat/completions"


def differences(old, new, *, gone=False, **more):
    records, parts = [], {}
    for body in (old, new):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        record = key_record(Request("POST", URL, tuple(more.get("headers", ())), data), "openai")
        parts |= {digest: part.data for digest, part in record.parts.items()}
        records.append(load_record(record.data))
    return compare(*records, (lambda _: None) if gone else parts.get)


def paths(old, new, **more):
    return [(d.path, d.kind) for d in differences(old, new, **more)]


def test_equal_requests_do_not_differ():
    """Nothing is reported for two texts of one request."""
    assert differences({"a": 1, "b": 2.5}, {"b": 2.5, "a": 1.0}) == ()


def test_a_changed_string_has_a_path():
    """The path leads to the value; both sides are given."""
    (found,) = differences({"m": [{"c": "a"}, {"c": "b"}]}, {"m": [{"c": "a"}, {"c": "x"}]})
    assert (found.path, found.old, found.new, found.kind) == ("$.m[1].c", "b", "x", "changed")


def test_members_come_and_go():
    """The absent side is `ABSENT`."""
    gone, came = differences({"a": None}, {"b y": 1})
    assert (gone.path, gone.kind, gone.new) == ("$.a", "removed", ABSENT)
    assert (came.path, came.kind, came.old) == ('$["b y"]', "added", ABSENT)


def test_an_item_put_in_between_is_one_difference():
    """What follows it isn't reported as changed."""
    assert paths({"m": ["a", "b", "c"]}, {"m": ["a", "x", "b", "c"]}) == [("$.m[1]", "added")]
    assert paths({"m": ["a", "b", "c"]}, {"m": ["b", "c"]}) == [("$.m[0]", "removed")]


def test_another_order_is_one_difference():
    """A list with the same items is said to be out of order."""
    (found,) = differences({"tools": ["a", "b", "c"]}, {"tools": ["c", "a", "b"]})
    assert (found.path, found.volatile) == ("$.tools", "order")


def test_json_in_strings_is_compared_inside():
    """The path goes on into a tool's result."""
    old, new = ({"m": [{"c": json.dumps({"at": t, "n": 1})}]} for t in ("10:00", "10:01"))
    (found,) = differences(old, new)
    assert (found.path, found.volatile) == ("$.m[0].c.at", "time")


def test_another_spacing_of_json_in_a_string_is_the_string_itself():
    """The request differs although the JSON doesn't."""
    assert paths({"a": '{"b":1}'}, {"a": '{"b": 1}'}) == [("$.a", "changed")]


def test_parts_are_resolved():
    """Long prompts and tools differ where they differ, not by their digests."""
    tools = [{"name": f"tool {n}" * 9} for n in range(40)]
    old = {"p": "line\n" * 9 + "old", "tools": tools}
    new = {"p": "line\n" * 9 + "new", "tools": [*tools[:-1], {"name": "x"}]}
    first, second = differences(old, new)
    assert first.old.endswith("old")
    assert second.path == "$.tools[39].name"
    gone = [d.path for d in differences(old, new, gone=True)]
    assert gone == ['$.p["$cas:part"]', '$.tools["$cas:part"]']


def test_what_is_around_the_body_is_compared_too():
    """Other members go by their names."""
    old = {"k": "x", "api": "openai", "query": [["a", "1"]]}
    new = {"k": "x", "api": "openai@azure", "headers": {"api-version": "1"}, "query": [["a", "2"]]}
    found = compare(old, new, lambda _: None)
    assert [(d.path, d.kind) for d in found] == [
        ("api", "changed"),
        ("headers", "added"),
        ("query[0][1]", "changed"),
    ]


def test_a_field_of_a_multipart_body_is_compared_as_text():
    """An uploaded text is shown, not its digest."""

    def upload(text):
        return f'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n{text}\r\n--b--'.encode()

    headers = [("content-type", "multipart/form-data; boundary=b")]
    (found,) = differences(upload("x"), upload("y"), headers=headers)
    assert (found.path, found.old, found.new) == ("multipart[0].value", "x", "y")


@pytest.mark.parametrize(
    ("old", "new", "guess"),
    [
        ("at 2026-01-02T03:04:05Z", "at 2026-02-03T04:05:06Z", "time"),
        (
            f"id {'0' * 8}-1111-4111-8111-{'1' * 12}",
            f"id {'a' * 8}-1111-4111-8111-{'2' * 12}",
            "uuid",
        ),
        ("in /tmp/pytest-1/test_a0/x", "in /tmp/pytest-22/test_b/x", "path"),
        ("http://localhost:8000/a", "http://localhost:51234/a", "port"),
        ("item-17 of it", "item-18 of it", "counter"),
        (1700000000, 1700000100, "time"),
        (1700000000.5, 1700000100.5, "time"),
        (10**9, 10**11 - 1, "time"),
        (10**9 - 1, 10**9, ""),
        (10**9, 10**11, ""),
        (10**12, 10**14 - 1, "time"),
        (10**12 - 1, 10**14, ""),
        (10**9, None, ""),
        (0, 1, ""),
        ("hello", "world", ""),
        (True, 1, ""),
    ],
)
def test_volatile_values_are_guessed(old, new, guess):
    """Times, ids, paths, ports and counters change by themselves."""
    (found,) = differences({"a": old}, {"a": new})
    assert found.volatile == guess


def test_one_cause_has_one_name():
    """Differences made by one edit group, wherever they stand; others don't."""

    def made(place, old, new):
        bodies = ({"m": [{"c": "x"}] * place + [{"c": text}]} for text in (old, new))
        return cause(differences(*bodies)[0])

    base = made(0, "You are kind.", "You are kind. Be brief.")
    assert made(3, "You are a pilot.", "You are a pilot. Be brief.") == base
    assert made(0, "You are kind.", "You are kind. Be long.") != base
    assert made(0, "at 10:00", "at 10:01") == made(1, "it is 11:00", "it is 12:30")


def test_a_cause_is_the_change_alone():
    """What stands around it, before and behind, doesn't count; the member and each side do."""

    def made(old, new, name="c"):
        return cause(compare({"body": {name: old}}, {"body": {name: new}}, lambda _: None)[0])

    base = made("You are kind today.", "You are cruel today.")
    assert made("We were kind tomorrow!", "We were cruel tomorrow!") == base
    others = [
        made("You are kind today.", "You are cruel today.", "d"),
        made("You are calm today.", "You are cruel today."),
        made("You are kind today.", "You are calm today."),
        made("You are kind today.", "You are today."),
        made(1, 2),
        made(None, 2),
        made(1, None),
    ]
    assert len({base, *others}) == len(others) + 1


def test_a_cause_is_made_of_whole_words():
    """ "kind" for "king" is not what "bad" for "bag" is, though the same letters changed."""
    causes = [
        cause(compare({"body": {"c": old}}, {"body": {"c": new}}, lambda _: None)[0])
        for old, new in (
            ("He is kind.", "He is king."),
            ("He is bad.", "He is bag."),
            ("He likes it.", "He bikes it."),
            ("He makes it.", "He bakes it."),
        )
    ]
    assert len(set(causes)) == 4


def test_the_cause_of_a_volatile_value_is_its_place_and_kind():
    """Whatever the two values are, in whichever item of the list."""
    found = differences({"m": ["x", {"c": "at 10:00"}]}, {"m": ["x", {"c": "at 10:01"}]})
    assert [cause(one) for one in found] == ["$.m[*].c changed time"]


def test_what_came_and_what_went_are_two_causes():
    """A member that only one side has is known by that side's value."""
    came, went, other = (
        cause(compare({"body": old}, {"body": new}, lambda _: None)[0])
        for old, new in (({}, {"a": 1}), ({"a": 1}, {}), ({}, {"a": 2}))
    )
    assert came.startswith("$.a added ")
    assert went.startswith("$.a removed ")
    assert len({came, went, other}) == 3


@pytest.mark.parametrize(("old", "new"), [(["a"], "a"), ("a", ["a"]), ({"a": 1}, "a"), ([1], {})])
def test_a_value_of_another_kind_is_one_difference(old, new):
    """A list in place of a text is not compared item by item."""
    assert paths({"a": old}, {"a": new}) == [("$.a", "changed")]


NUMBERS = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(
    ("old", "new", "limit", "shown"),
    [
        (f"{NUMBERS} eleven", f"{NUMBERS} twelve", 20, ("…ten eleven", "…ten twelve")),
        (NUMBERS, NUMBERS.replace("five", "V"), 20, ("…four five six s…", "…four V six s…")),
        (NUMBERS, NUMBERS.replace("one", "ONE"), 20, ("one two t…", "ONE two t…")),
        (NUMBERS, NUMBERS.replace("ten", "TEN"), 20, ("…nine ten", "…nine TEN")),
        (
            "x" * 50 + "a" + "x" * 50,
            "x" * 50 + "b" + "x" * 50,
            20,
            ("…xxxxxxaxxxxxx…", "…xxxxxxbxxxxxx…"),
        ),
        (
            "z" * 30 + " ab " + "q" * 16,
            "z" * 30 + " ab " + "r" * 17,
            20,
            ("…ab " + "q" * 16, "…ab " + "r" * 15 + "…"),
        ),
        (NUMBERS, "", 20, ("one two three four …", "")),
        (
            NUMBERS,
            NUMBERS.replace("five", "a rather long text in between"),
            20,
            ("…four five six s…", "…four a rather long…"),
        ),
    ],
)
def test_the_window_stands_over_what_differs(old, new, limit, shown):
    """A word before, a word behind, and dots only where something was cut off."""
    assert shorten_pair(old, new, limit) == shown


def test_a_pair_is_shown_whole_up_to_the_limit():
    """At the limit nothing is cut; one character more is."""
    assert shorten_pair("a" * 20, "b" * 20, 20) == ("a" * 20, "b" * 20)
    assert shorten_pair("a" * 21, "b", 20) == ("a" * 19 + "…", "b")


def test_a_value_is_shown_on_one_line():
    """Line breaks as they are written in JSON, members in order, letters as they are."""
    assert short("a\r\nb") == "a\\r\\nb"
    assert short({"b": 1, "a": "é"}) == '{"a": "é", "b": 1}'
    assert short("a" * 60) == "a" * 60
    assert short("a" * 61) == "a" * 59 + "…"
    assert short("ab cd ef", 6) == "ab cd…"
    assert short(ABSENT) == ""


def test_a_pair_is_cut_around_where_it_parts():
    """Both show the same few words before."""
    old = "You are a helpful, polite and well-read crew member."
    assert shorten_pair(old, f"{old} Be brief.", 40) == ("…crew member.", "…crew member. Be brief.")
    assert shorten_pair("a", "b") == ("a", "b")
    assert shorten_pair(ABSENT, 1) == ("", "1")


@pytest.mark.parametrize("limit", [5, 20, 60])
@pytest.mark.parametrize(
    "old", ["", "x" * 500, "one two " * 99, "one two " * 50 + "three " + "one two " * 49]
)
@pytest.mark.parametrize(
    "new", ["y", "x" * 250 + "y" + "x" * 250, "one two " * 99 + "!", "a\nb" * 90]
)
def test_nothing_shown_is_longer_than_its_limit(limit, old, new):
    """However the texts look, and both stay on one line."""
    for text in (*shorten_pair(old, new, limit), short(new, limit)):
        assert len(text) <= limit
        assert "\n" not in text
    if limit >= 20:
        assert len(set(shorten_pair(old, new, limit))) == 2


def test_rules_are_compared():
    """Another normaliser or namespace is a difference with a name."""
    request = Request("POST", URL, (), b"{}")
    old, new = (
        load_record(key_record(request, "x", rules).data)
        for rules in (Rules(), Rules(("trim",), "n"))
    )
    assert [d.path for d in compare(old, new, lambda _: None)] == ["namespace", "normalise"]
