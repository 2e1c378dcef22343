"""Named normalisers."""

import pytest

from cas_llm.errors import ConfigError
from cas_llm.keys import Rules, key_record, normaliser
from cas_llm.keys.paths import edit, steps_of
from cas_llm.wire import Request

UUIDS = [f"{n:08x}-0000-4000-8000-00000000abcd" for n in range(3)]


@pytest.mark.parametrize(
    ("rule", "body", "expected"),
    [
        ("trim", {"a": [" b\n"]}, {"a": ["b"]}),
        ("whitespace", {"a": " b \n\t c "}, {"a": "b c"}),
        ("casefold", {"A": "Straße"}, {"A": "strasse"}),
        ("newlines", "a\r\nb\rc\n", "a\nb\nc\n"),
        (
            "uuid",
            [UUIDS[1], UUIDS[0], f"x {UUIDS[1].upper()}!"],
            ["<uuid:1>", "<uuid:2>", "x <uuid:1>!"],
        ),
        ("regex:req_[0-9]+=>req", {"a": "of req_17, req_18"}, {"a": "of <req>, <req>"}),
        (
            "time:$.a",
            {"a": "at 2026-01-02T03:04:05.123+00:00", "b": "2026-01-02"},
            {"a": "at <time>", "b": "2026-01-02"},
        ),
        ("time:$.a", {"a": 1700000000}, {"a": "<time>"}),
        ("time:$.a", {"a": True}, {"a": True}),
        ("time:$.a", {"a": '{"x":["2026-01-02 10:11"]}'}, {"a": '{"x":["<time>"]}'}),
        ("ignore:$.a[*].b", {"a": [{"b": 1, "c": 2}, {"b": 3}]}, {"a": [{"c": 2}, {}]}),
        ("ignore:$.a.b", {"a": '{"b": 1, "c": 1.50}'}, {"a": '{"c":1.5}'}),
        ("ignore:$.a[0]", {"a": [1, 2]}, {"a": [2]}),
        ('ignore:$["x y"]', {"x y": 1}, {}),
        ("ignore:$['x y']", {"x y": 1, "x": 2}, {"x": 2}),
        ("ignore:$.a[*]", {"a": {"b": 1, "c": 2}}, {"a": {}}),
        ("ignore:$.*.b", {"a": {"b": 1, "c": 2}, "d": {"b": 3}}, {"a": {"c": 2}, "d": {}}),
        ("ignore:$.a.b", {"a": [{"b": 1}], "b": 2}, {"a": [{"b": 1}], "b": 2}),
        ("ignore:$.a[0]", {"a": {"0": 1}}, {"a": {"0": 1}}),
        ("ignore:$[1].a", [{"a": 1}, {"a": 2}], [{"a": 1}, {}]),
        ("elide:store", {"store": False, "a": 1}, {"a": 1}),
        ("elide:store", {"store": True}, {"store": True}),
        ("elide:t", {"t": 0}, {"t": 0}),
        ("elide:n=1", {"n": 1.0}, {}),
        ("elide:n=1", {"n": True}, {"n": True}),
        ("tool-order", {"tools": [{"b": 1}, {"a": 1}]}, {"tools": [{"a": 1}, {"b": 1}]}),
        (
            "tool-call-id",
            {"id": "kept", "m": [{"tool_calls": [{"id": "x"}]}, {"tool_call_id": "x"}]},
            {
                "id": "kept",
                "m": [{"tool_calls": [{"id": "<call:1>"}]}, {"tool_call_id": "<call:1>"}],
            },
        ),
        (
            "tool-call-id",
            [{"type": "tool_use", "id": "t"}, {"tool_use_id": "t"}],
            [{"type": "tool_use", "id": "<call:1>"}, {"tool_use_id": "<call:1>"}],
        ),
        ("copy:deepcopy@1", {"a": 1}, {"a": 1}),
    ],
)
def test_what_each_normaliser_does(rule, body, expected):
    """One line for each of them."""
    assert normaliser(rule)(body) == expected


@pytest.mark.parametrize(
    "rule",
    [
        "trim",
        "whitespace",
        "casefold",
        "newlines",
        "uuid",
        "tool-call-id",
        "tool-order",
        "time:$",
        "ignore:$.a",
        "elide:a",
    ],
)
def test_a_normaliser_is_idempotent(rule):
    """Applying one twice is applying it once."""
    body = {
        "a": f" B\r\n {UUIDS[0]} 2026-01-01",
        "tools": [{"id": "z", "type": "function"}, {"call_id": "y"}],
    }
    once = normaliser(rule)(body)
    assert normaliser(rule)(once) == once


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("trimm", "did you mean 'trim'"),
        ("whitespaces", "did you mean 'whitespace'"),
        ("trim:$.a", "takes no argument"),
        ("time", "lacks its argument"),
        ("ignore:", "lacks its argument"),
        ("ignore:a.b", "not a JSON path"),
        ("ignore:$.a[x]", "not a JSON path"),
        ("ignore:$", "whole body"),
        ("regex:abc", "malformed"),
        ("regex:abc=>", "malformed"),
        ("regex:=>abc", "malformed"),
        ("regex:(=>x", "bad pattern"),
        ("elide:a={", "the value is not JSON"),
        ("os.path:join", "lacks its version"),
        ("no_such_module:f@1", "can't be imported"),
        ("copy:no_such@1", "has no function"),
        ("", "unknown normaliser"),
    ],
)
def test_a_bad_rule_is_one_clear_error(rule, message):
    """It says what is wrong, and what would be right."""
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        normaliser(rule)


@pytest.mark.parametrize(
    ("path", "rest"), [("a.b", "'a.b'"), ("$.a[x]", "'a[x]'"), ("$.a b", "'a b'"), ("$.a.", "'a.'")]
)
def test_a_bad_path_says_where_it_goes_wrong(path, rest):
    """From the last character that could be read."""
    with pytest.raises(ConfigError) as raised:
        steps_of(path)
    assert str(raised.value) == (
        f"{path!r} is not a JSON path: it can't be read from {rest} on; "
        "write one like $.messages[*].content"
    )


def test_a_function_of_the_projects_own_must_return_json():
    """Anything else is an error that names the rule."""
    with pytest.raises(ConfigError, match="builtins:set@1"):
        normaliser("builtins:set@1")([1])


def test_a_function_of_the_projects_own_that_raises_is_one_clear_error():
    """It names the rule and what was raised; so is a module that cannot be imported, whatever why."""
    with pytest.raises(ConfigError, match=r"'builtins:ord@1' failed \(TypeError: "):
        normaliser("builtins:ord@1")([1])


def test_requests_that_differ_only_so_are_equal():
    """The rule is in both records, so both have one key."""
    rules = Rules(("uuid", "ignore:$.a.at"))

    def key(text):
        return key_record(Request("POST", "https://a.b/c", (), text.encode()), "x", rules).key

    assert key(f'{{"id":"{UUIDS[0]}","z":1}}') == key(f'{{"z":1.0,"id":"{UUIDS[1]}"}}')
    assert (
        key('{"a":"{\\"at\\":1}"}') == key('{"a":"{ \\"at\\": 2 }"}') != key('{"a":"{\\"b\\":1}"}')
    )


def test_what_a_path_does_not_reach_is_the_same_object():
    """Nothing is copied, and JSON in strings isn't rewritten."""
    body = {"a": '{ "b": 1 }'}
    assert edit(body, steps_of("$.a.c"), str) is body
    assert edit(body, steps_of("$.a.b.c"), str) is body
