"""The canonical form of JSON values."""

import json
import math
import struct
import sys

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.keys.canonical import MAX_SAFE, NotCanonical, canonical, number_text, parse

APPENDIX_B = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}

safe_floats = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: abs(x) <= MAX_SAFE or abs(x) >= 1e21 or not x.is_integer()
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_SAFE, MAX_SAFE) | safe_floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("bits", "text"), APPENDIX_B.items())
def test_a_double_is_written_as_rfc_8785_says(bits, text):
    """Each vector of RFC 8785 Appendix B gives the text printed there."""
    assert number_text(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_has_no_text(number):
    """NaN and infinities are refused."""
    with pytest.raises(NotCanonical):
        number_text(number)
    with pytest.raises(NotCanonical):
        canonical([number])


@settings(max_examples=300, deadline=None)
@given(values)
def test_it_is_rfc_8785_in_another_layout(value):
    """Without its white space the canonical form is what the rfc8785 package writes."""
    data = canonical(value)
    compact = orjson.dumps(orjson.loads(data)) if not data.isascii() else None
    written = rfc8785.dumps(value)
    assert json.loads(data) == json.loads(written)
    assert _without_layout(data.decode()) == written.decode()
    assert compact is None or json.loads(compact) == json.loads(data)


def _without_layout(text):
    """Take the line breaks and indents out: inside strings line breaks are escaped."""
    out = []
    for line in text.split("\n"):
        line = line.lstrip(" ")  # noqa: PLW2901
        if line.startswith('"'):
            end = 1
            while line[end] != '"':
                end += 2 if line[end] == "\\" else 1
            if line[end + 1 : end + 3] == ": ":
                line = line[: end + 2] + line[end + 3 :]  # noqa: PLW2901
        out.append(line)
    return "".join(out)


@settings(max_examples=300, deadline=None)
@given(values)
def test_it_is_a_fixed_point(value):
    """Reading and writing the canonical form again changes nothing."""
    data = canonical(value)
    assert canonical(parse(data)) == data


@settings(max_examples=200, deadline=None)
@given(values)
def test_how_a_value_was_written_does_not_matter(value):
    """Compact, spaced and escaped texts of one value are parsed to one canonical form."""
    texts_of = [
        json.dumps(value, ensure_ascii=ascii_, separators=separators).encode()
        for ascii_ in (True, False)
        for separators in ((",", ":"), (", ", ": "))
    ]
    assert {canonical(parse(text)) for text in texts_of} == {canonical(value)}


@settings(max_examples=300, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_equal_numbers_have_one_form(number):
    """An integer and a float of the same value below 1e21 are written the same."""
    if float(number).is_integer() and abs(number) < 1e21 and int(float(number)) == number:
        assert canonical(float(number)) == canonical(int(number))


def test_integers_beyond_doubles_are_tagged():
    """From 2^53 on, an integer stands as its digits in a string."""
    assert canonical(2**53 - 1) == b"9007199254740991\n"
    assert parse(canonical(2**53)) == {"$cas:int": "9007199254740992"}
    assert parse(canonical(-(2**70))) == {"$cas:int": str(-(2**70))}
    assert canonical(2**70, tag=False) == b"1180591620717411303424\n"


def test_names_are_in_utf_16_order():
    """A name outside the BMP sorts before U+E000, as in JavaScript."""
    data = canonical({"\ue000": 1, "\U0001f600": 2, "z": 3})
    assert [*parse(data)] == ["z", "\U0001f600", "\ue000"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":1,"a":2}', "twice"),
        ('{"a":{"b":1,"\\u0062":2}}', "twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "Infinity"),
        ("[1e400]", "too large"),
        ('["\\ud800"]', "surrogate"),
        ('{"\\udc00":1}', "surrogate"),
        ("[1,]", "not JSON"),
        ("", "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("[" * 201 + "]" * 201, "deeper"),
        ("[" * 100_000, "deeper"),
        ("[" + "1" * 5000 + "]", "not JSON"),
    ],
)
def test_what_has_no_canonical_form_is_refused_with_a_reason(text, reason):
    """Each kind of text that two parsers read differently is refused."""
    with pytest.raises(NotCanonical, match=reason):
        parse(text.encode())


def test_bytes_that_are_not_utf_8_are_refused():
    """The message says where."""
    with pytest.raises(NotCanonical, match="byte 2"):
        parse(b'["\xff"]')


@pytest.mark.parametrize("deep", ["[" * 199 + "]" * 199, '{"a":' * 199 + "1" + "}" * 199])
def test_a_body_may_be_nested_two_hundred_deep(deep):
    """However many brackets stand beside each other; one level more is too deep."""
    beside = ",".join(["[]", "{}"] * 150)
    parse(f"[{beside},{deep},{beside}]".encode())
    with pytest.raises(NotCanonical, match="nested deeper than 200"):
        parse(f"[{beside},[{deep}],{beside}]".encode())


def test_brackets_in_strings_are_not_nesting():
    """Depth counts structure, not text."""
    assert parse(orjson.dumps(["[" * 500])) == ["[" * 500]


@pytest.mark.parametrize("value", [{1: 2}, [object()], ["\ud800"], {"\ud800": 1}, b"x"])
def test_what_is_not_json_is_refused(value):
    """Python values without a JSON form raise the same error."""
    with pytest.raises(NotCanonical):
        canonical(value)


def test_both_ways_of_writing_agree(monkeypatch):
    """Where orjson is used, the exact writer gives the same bytes."""
    module = sys.modules["cas_llm.keys.canonical"]

    value = {
        "a": [0.7, 1, None, True, "é\n\x01\x7f\u2028", {}, []],
        "b": {"c": -0.001, "d": 999999.5},
    }
    fast = canonical(value)
    monkeypatch.setattr(module, "is_plain", lambda _: False)
    assert canonical(value) == fast
