"""Bodies and queries that aren't JSON."""

import pytest

from cas_llm.keys import key_record, load_record
from cas_llm.keys.forms import Field, fields, keep_names, looks_raw, pairs, raw_pairs
from cas_llm.wire import Request

URL = "https://api.openai.com/v1/files"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"


def loaded(body=b"", query="", content_type=FORM, **more):
    headers = (("content-type", content_type),)
    record = key_record(Request("POST", f"{URL}?{query}", headers, body), "openai", **more)
    return load_record(record.data)


def part(head, data="1", boundary="b"):
    return f"--{boundary}\r\n{head}\r\n\r\n{data}\r\n--{boundary}--\r\n".encode()


def test_what_is_no_utf_8_is_kept_as_sent_and_never_taken_for_its_own_text():
    """`%ff` is a byte, `%25ff` the text "%ff": two requests, two records."""
    assert loaded(query="a=%ff")["query"] == [["a", "%ff"]]
    assert loaded(query="a=%25ff")["query"] == [["a", "%ff", "decoded"]]
    assert loaded(query="a=%2541")["query"] == [["a", "%41"]]
    assert loaded(query="a=100%25")["query"] == [["a", "100%"]]


def test_a_credential_does_not_decide_how_the_rest_is_read():
    """A signature that is no UTF-8 leaves the other parameters decoded."""
    assert loaded(query="q=a%20b&sig=%ff") == loaded(query="q=a%20b&sig=1") == loaded(query="q=a+b")
    assert loaded(query="q=%ff&api%5Fkey=1&api+key=2") == loaded(query="q=%ff")


def test_a_form_is_read_only_where_its_encoding_is_no_guess():
    """Raw bytes beyond ASCII are keyed as they are, not as one of the texts they might be."""
    coded = loaded(b"a=%C3%A9&b=+")
    assert coded["form"] == [["a", "é"], ["b", " "]]
    for raw in ("a=é&b=+".encode(), b"a=\xe9&b=+"):
        assert "form" not in loaded(raw)
        assert loaded(raw)["bytes"]["type"] == FORM


@pytest.mark.parametrize(
    ("text", "decoded", "raw"),
    [
        ("", [], []),
        ("a", [["a", ""]], [["a", ""]]),
        ("a=b=c&&=d", [["a", "b=c"], ["", "d"]], [["a", "b=c"], ["", "d"]]),
        ("a=%20+%2B", [["a", "  +"]], [["a", "%20+%2B"]]),
        ("a=%ff", None, [["a", "%ff"]]),
    ],
)
def test_pairs_keep_their_order_and_their_blanks(text, decoded, raw):
    """A parameter without a value is one, an empty piece is none."""
    assert pairs(text) == decoded
    assert raw_pairs(text) == raw


def test_names_are_judged_decoded():
    """What stays is as it was sent."""
    assert keep_names("a%5Fb=1&c+d=%ff&e", lambda name: name != "a_b") == "c+d=%ff&e"
    assert keep_names("a%5Fb=1&c+d=%ff&e", lambda name: name != "c d") == "a%5Fb=1&e"


@pytest.mark.parametrize(
    ("text", "raw"), [("%ff", True), ("a%C3", True), ("%C3%A9", False), ("%", False), ("é", False)]
)
def test_a_text_looks_raw_when_what_it_encodes_is_no_utf_8(text, raw):
    """Only such a text could stand in a query that was kept as sent."""
    assert looks_raw(text) is raw


def test_a_multipart_body_is_its_fields():
    """Names, file names, types, other headers and data, in order; the boundary is nothing."""
    head = 'Content-Disposition: form-data; name="f"; filename="a.txt"\r\nContent-Type: text/plain'
    more = f"{head}\r\nX-B: 2\r\nX-A:1\r\nContent-Length: 1"
    wanted = Field("f", "a.txt", "text/plain", (("x-a", "1"), ("x-b", "2")), b"1")
    assert fields(part(more), MULTIPART) == [wanted]
    assert fields(part(more, boundary="other"), 'multipart/form-data; Boundary="other"') == [wanted]
    plain = 'content-disposition: form-data; name=f; filename="a \\" b"'
    assert fields(part(plain), MULTIPART) == [Field("f", 'a \\" b', "", (), b"1")]
    bare = "X-A: 1"
    assert fields(part(bare), MULTIPART) == [Field("", None, "", (("x-a", "1"),), b"1")]


def test_what_a_disposition_says_beyond_its_names_is_kept():
    """Two requests that differ only there stay two."""
    odd = 'Content-Disposition: attachment; name="f"; size=3'
    assert fields(part(odd), MULTIPART) == [
        Field("f", None, "", (("content-disposition", "attachment; size=3"),), b"1")
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"x--b\r\nA: 1\r\n\r\n1\r\n--b--",
        b"--b\r\nA: 1\r\n\r\n1\r\n--b",
        b"--b\r\nA: 1\r\n\r\n1\r\n--b--\r\nmore",
        b"--b\r\nA: 1\r\n1\r\n--b--",
        b"--bA: 1\r\n\r\n1\r\n--b--",
        b"--b\r\nno colon\r\n\r\n1\r\n--b--",
        b"--b\r\nA: \xff\r\n\r\n1\r\n--b--",
    ],
)
def test_what_is_no_multipart_in_every_byte_is_none(body):
    """Then its exact bytes are the key, nothing of it is lost."""
    assert fields(body, MULTIPART) is None
    assert not body or "bytes" in loaded(body, content_type=MULTIPART)


def test_a_multipart_body_needs_its_boundary():
    """And ends with or without a line break."""
    whole = part("A: 1")
    assert fields(whole, "multipart/form-data") is None
    assert fields(whole.removesuffix(b"\r\n"), MULTIPART) == fields(whole, MULTIPART)
    assert fields(b"--b--", MULTIPART) == []


def test_a_secret_in_a_name_or_a_type_is_replaced_too():
    """Wherever text of a request goes into its record, redaction saw it."""

    def hush(text):
        return text.replace("hush", "[cas-llm:test:1]")

    odd = loaded(
        part("X-hush: hush\r\nContent-Type: text/hush"), content_type=MULTIPART, redact=hush
    )
    typed = loaded(b"odd", content_type="text/hush", redact=hush)
    mixed = loaded(part("A: 1"), content_type="multipart/hush; boundary=b", redact=hush)
    for record in (odd, typed, mixed):
        assert record["redacted"]
        assert "hush" not in str(record)
