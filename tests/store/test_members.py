"""Members of documents are of the type they must have."""

import pytest

from cas_llm.store import members


@pytest.mark.parametrize("value", ["", "é", "\ud800"])
def test_a_text_is_given_back(value):
    """Whatever its characters."""
    assert members.text(value) is value
    assert members.lines([value, value]) == (value, value)


@pytest.mark.parametrize("value", [0, 1, 2**53 - 1])
def test_a_count_is_given_back(value):
    """Up to the largest whole number that every reader of JSON has."""
    assert members.count(value) == value


@pytest.mark.parametrize("value", [None, True, False, 1.0, -1, 2**53, "1", [], {}])
def test_what_is_no_count_is_refused(value):
    """A truth value is none, nor is a number with a point; the value is told."""
    with pytest.raises(ValueError, match="stands where a count must") as raised:
        members.count(value)
    assert str(raised.value).startswith(repr(value))


@pytest.mark.parametrize("value", [None, True, 1, ["a"], {"a": 1}, b"a"])
def test_what_is_no_text_is_refused(value):
    """Neither alone nor in a list; the value is told."""
    with pytest.raises(ValueError, match="stands where a text must") as raised:
        members.text(value)
    assert str(raised.value).startswith(repr(value))
    with pytest.raises(ValueError, match="stands where a text must"):
        members.lines(["a", value])


@pytest.mark.parametrize("value", [None, "ab", ("a",), {"a": 1}])
def test_what_is_no_list_is_refused(value):
    """A text isn't the list of its characters."""
    with pytest.raises(ValueError, match="stands where a list of texts must"):
        members.lines(value)


def test_a_digest_is_64_hex_digits():
    """In lower case, and a text."""
    assert members.digest("0f" * 32) == "0f" * 32
    for value in ("0F" * 32, "0f" * 31, "0f" * 33, "", 7, None):
        with pytest.raises(ValueError, match="64 hex digits|where a text must"):
            members.digest(value)


def test_an_extension_is_a_short_word():
    """It goes into a file name: no dot, no slash, no capitals."""
    assert members.extension("json") == "json"
    assert members.extension("a" * 10) == "a" * 10
    for value in ("", "a" * 11, "../x", "a.b", "PNG", "é", "a\n", 1, None):
        with pytest.raises(ValueError, match="end of a part's file name|where a text must"):
            members.extension(value)
