"""What is taken out of a body, and how it is put back."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.digest import digest_of
from cas_llm.keys.canonical import canonical, parse
from cas_llm.keys.parts import extension, parts_of, restore, split

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = texts | st.sampled_from(
    ["$cas:int", "$cas:part", "$cas:", "$cas:$cas:int", "tools", "data"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | texts.map(lambda t: (t + "\n") * 8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def back(body):
    record, parts = split(body)
    return restore(parse(canonical(record)), lambda digest: parts[digest].data)


@settings(max_examples=300, deadline=None)
@given(values)
def test_what_was_split_comes_back(body):
    """Splitting, writing, reading and restoring give the same value."""
    assert canonical(back(body), tag=False) == canonical(body, tag=False)


def test_a_body_without_anything_to_split_is_the_same_object():
    """Nothing is copied for an ordinary request."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    assert split(body)[0] is body


@pytest.mark.parametrize(
    ("text", "is_part"),
    [
        ("a" * 2048, False),
        ("a" * 2049, True),
        ("€" * 682, False),
        ("€" * 683, True),
        ("\n" * 5, False),
        ("\n" * 6, True),
    ],
)
def test_long_strings_are_text_parts(text, is_part):
    """More than 2048 bytes or five newlines are long."""
    record, parts = split({"a": text})
    assert ("a" in record and isinstance(record["a"], dict)) is is_part
    assert [p.data for p in parts.values()] == ([text.encode()] if is_part else [])


def test_a_long_list_of_tools_is_one_part_in_canonical_form():
    """It stands as JSON, with large integers as in a record; shorter lists stay."""
    tools = [{"name": f"tool {n}", "big": 2**60} for n in range(50)]
    record, parts = split({"tools": tools})
    digest = record["tools"]["$cas:part"]
    assert record["tools"] == {"$cas:part": digest, "type": "json"}
    assert parts[digest].data == canonical(tools)
    assert back({"tools": tools}) == {"tools": tools}
    assert split({"tools": tools[:2]})[1] == {}


def test_a_list_of_tools_is_long_from_2049_bytes_on():
    """What counts is its canonical form."""
    room = 2048 - len(canonical([{"name": ""}]))
    for more, is_part in ((0, False), (1, True)):
        tools = [{"name": "t" * (room + more)}]
        assert len(canonical(tools)) == 2048 + more
        assert ("$cas:part" in split({"tools": tools})[0]["tools"]) is is_part


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_media_is_split_and_decoded(encode):
    """The part is the picture itself; its marker says how it was written."""
    picture = b"\xff\xfe\x00" * 50
    record, parts = split(
        {"inlineData": {"mimeType": "image/jpeg", "data": encode(picture).decode()}}
    )
    marker = record["inlineData"]["data"]
    assert parts[marker["$cas:part"]].data == picture
    assert parts[marker["$cas:part"]].ext == marker["type"] == "jpg"


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1],
        lambda t: t + "\n",
        lambda t: t[:80] + "\n" + t[80:],
        lambda t: t[:80] + "*" + t[81:],
    ],
)
def test_media_that_would_not_come_back_exactly_stays_text(change):
    """Another padding, a line break or a stray character keeps the string as it is."""
    coded = base64.b64encode(b"x" * 100).decode()
    assert coded.endswith("=")
    text = change("data:image/png;base64," + coded)
    record, parts = split({"url": text})
    assert record == {"url": text}
    assert parts == {}


def test_equal_bytes_are_one_part_whatever_the_order():
    """The order of members never decides on an extension."""
    coded = base64.b64encode(b"x" * 100).decode()
    one = {"a": {"format": "wav", "data": coded}, "b": {"format": "mp3", "data": coded}}
    two = dict(reversed(one.items()))
    assert split(one)[1] == split(two)[1]
    assert split(one)[1][digest_of(b"x" * 100)].ext == "mp3"


@pytest.mark.parametrize(
    ("name", "ext"),
    [
        ("image/png", "png"),
        ("IMAGE/JPEG; q=1", "jpg"),
        ("wav", "wav"),
        ("image/svg+xml", "svg"),
        ("a/../../etc", "etc"),
        ("x/!", "bin"),
        ("", "bin"),
    ],
)
def test_an_extension_is_a_plain_word(name, ext):
    """Nothing a client sends gets into a file name unless it is a short plain word."""
    assert extension(name) == ext


def test_a_part_that_is_gone_stays_a_marker():
    """Two records still compare by digest."""
    record, _ = split({"a": "x" * 3000})
    assert restore(record, lambda _: None) == json.loads(json.dumps(record))


def test_a_text_with_the_bytes_of_the_tools_does_not_pass_for_them():
    """A string and a value never stand as the same marker."""
    tools = [{"name": "t" * 60, "n": n} for n in range(60)]
    body = {"tools": tools, "text": canonical(tools).decode()}
    record, parts = split(body)
    assert [part.ext for part in parts.values()] == ["txt"]
    assert record["tools"] == tools
    assert back(body) == body
    assert split({"tools": body["text"]})[0] != split({"tools": tools})[0]


def test_markers_name_the_extension_of_their_part():
    """Also where equal bytes came in as two types."""
    text = "# Title\n" * 9
    coded = base64.b64encode(text.encode()).decode()
    record, parts = split({"a": f"data:text/markdown;base64,{coded}", "b": text})
    assert {item["type"] for item in record.values()} == {"txt"}
    assert {part.ext for part in parts.values()} == {"txt"}


D = "0" * 64


@pytest.mark.parametrize(
    "record",
    [
        {"multipart": 7},
        {"multipart": ["digest"]},
        {"multipart": [{"digest": D}]},
        {"bytes": None},
        {"bytes": {"sha256": D}},
        {"bytes": {"sha256": "../../x", "ext": "txt"}},
        {"bytes": {"sha256": D, "ext": "../x"}},
        {"body": {"$cas:part": [], "type": "txt"}},
        {"body": [{"$cas:part": D}]},
        {"form": [[{"$cas:part": D, "type": 7}]]},
    ],
)
def test_a_record_that_names_no_proper_part_is_refused(record):
    """A name that isn't a digest, or an extension that isn't one, never becomes a path."""
    with pytest.raises(ValueError, match="a key record, but"):
        parts_of(record)


def test_the_parts_of_a_record_are_all_that_it_names():
    """In the body, a form, the fields of a multipart body, or its bytes."""
    names = [f"{n}" * 64 for n in range(5)]
    record = {
        "body": {"a": [{"$cas:part": names[0], "type": "txt"}]},
        "form": [["a", {"$cas:part": names[1], "type": "txt"}]],
        "multipart": [{"digest": names[2], "ext": "png"}, {"name": "a", "value": "b"}],
        "bytes": {"sha256": names[3], "ext": "bin"},
    }
    assert parts_of(record) == dict(zip(names, ("txt", "txt", "png", "bin"), strict=False))
    assert parts_of({}) == {}
