"""An answer as bytes and back: the same response, in a file that no fixer changes."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.digest import digest_of
from cas_llm.errors import ManifestInvalid, ObjectCorrupt
from cas_llm.store import answer as module
from cas_llm.store.answer import Answer, decode, encode, parse, pretty
from cas_llm.wire import Chunk, Response

WHERE = Path("cache_store/objects/ab/cd.json")
KEY = "ab" * 32
texts = st.text(max_size=30)
lines = st.text(st.characters(exclude_characters="\n"), max_size=30)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
json_bodies = st.builds(
    lambda value, options, end: (json.dumps(value, **options) + end).encode(),
    values,
    st.sampled_from(
        [
            {},
            {"separators": (",", ":")},
            {"indent": 2},
            {"indent": 4, "ensure_ascii": True},
            {"indent": "\t"},
            {"ensure_ascii": False},
            {"separators": (",", ":"), "ensure_ascii": False},
        ]
    ),
    st.sampled_from(["", "\n", " \r\n"]),
)
bodies = st.binary(max_size=3000) | texts.map(str.encode) | json_bodies


@st.composite
def responses(draw):
    body = draw(bodies)
    chunks = []
    if draw(st.booleans()):
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
        ends = [*cuts, len(body)]
        lengths = [end - start for start, end in zip([0, *cuts], ends, strict=True)]
        times = sorted(draw(st.lists(st.integers(0, 10**6), min_size=5, max_size=5)))
        # The file keeps tenths of a millisecond.
        chunks = [Chunk(n, t / 10 / 1000) for n, t in zip(lengths, times, strict=False)]
    return Response(
        status=draw(st.integers(100, 599)),
        headers=tuple(draw(st.lists(st.tuples(names, lines), max_size=4))),
        body=body,
        chunks=tuple(chunks),
        incomplete=draw(st.booleans()),
    )


answers = st.builds(
    lambda response, test, ask, said, marks: Answer(
        key=KEY,
        response=response,
        run="0123abcd",
        ordinal=3,
        test=test,
        ask=tuple(ask),
        answer=tuple(said),
        provenance={"model": "m", "usage": {"input": 1}},
        marks=tuple(sorted({*marks, *(["incomplete"] if response.incomplete else [])})),
    ),
    responses(),
    texts,
    st.lists(lines, max_size=3),
    st.lists(lines, max_size=3),
    st.sets(st.sampled_from(["scripted", "edited", "redacted"])),
)


def back(answer):
    data, parts = encode(answer)
    for digest, (_ext, content) in parts.items():
        assert digest_of(content) == digest
    held = {(digest, ext): content for digest, (ext, content) in parts.items()}
    return decode(data, lambda digest, ext: held[digest, ext], path=WHERE)


def answer_of(body, *, kind="application/json", **more):
    return Answer(KEY, Response(200, (("content-type", kind),), body), "0123abcd", **more)


def document_of(body, **more):
    return json.loads(encode(answer_of(body, **more))[0])


@settings(max_examples=500, deadline=None)
@given(answers)
def test_an_answer_comes_back_as_it_was(answer):
    """Status, headers, every byte of the body, chunks and all that is said about it."""
    assert back(answer) == answer


@settings(max_examples=300, deadline=None)
@given(answers)
def test_the_file_is_a_fixed_point_of_the_common_fixers(answer):
    """Line feeds only, no blanks at a line's end, one final newline, no byte order mark."""
    data, _parts = encode(answer)
    assert data.endswith(b"}\n")
    assert not data.endswith(b"\n\n")
    assert b"\r" not in data
    assert not data.startswith(b"\xef\xbb\xbf")
    assert all(line == line.rstrip() for line in data.split(b"\n"))
    # pretty-format-json with --no-ensure-ascii --no-sort-keys
    again = json.dumps(json.loads(data), indent=2, ensure_ascii=False) + "\n"
    assert again.encode("utf-8", "backslashreplace") == data


@settings(max_examples=200, deadline=None)
@given(answers)
def test_encoding_is_a_function_of_the_answer(answer):
    """The same answer has the same bytes, so the same digest, also after it was read."""
    assert encode(answer) == encode(back(answer))


@pytest.mark.parametrize("style", sorted(module._STYLES))
def test_json_in_a_known_style_is_kept_as_json(style):
    """A reviewer reads the value, not a string of escapes."""
    value = {"a": ["é", 1.5, None, 2**53 + 1, {"b": ""}], "c": []}
    body = module._STYLES[style](value)
    document = document_of(body)
    assert document["body"]["json"] == value
    assert back(answer_of(body)).response.body == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1e400}',
        b'{"a":-1e400}',
        b'{"a":18446744073709551615}',
        b'{"a":18446744073709551616}',
        b'{"a":-9223372036854775809}',
        b'{"a":123456789012345678901234567890}',
        b'{"a":1E5}',
        b'{"a":1e16}',
        b'{"a":1e+16}',
        b'{"a":1e-7}',
        b'{"a":0.00001}',
        b'{"a":-0}',
        b'{"a":-0.0}',
        b'{"a":1.0}',
        b'{"a":1.10}',
        b'{"a":0.1000000000000000055511151231257827}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1,"a":2}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\uD83D\\uDE00"}',
        b'{"a":"\xf0\x9f\x98\x80"}',
        b'{"a":"\\/"}',
        b'{"a":"\x7f\xc2\x85\xe2\x80\xa8"}',
        b'{"a": 1,"b":2}',
        b'{"a":1}\n\n',
        b'\xef\xbb\xbf{"a":1}',
        b"{}",
        b"[]",
        b"{",
        b"[1]\r\n",
        b"",
        b"\n",
        b"\r\n\r\n",
        b" \t \n \n",
        b"\x00",
        b"a" * 100 + b"\x00",
        b"\xff\xfe",
        b"caf\xe9",
        b"data: {}\r\n\r\ndata: [DONE]\n\n",
        b"[" * 90 + b"]" * 90,
        b"[" * 99 + b"]" * 99,
        b"[" * 101 + b"]" * 101,
        b"[" * 300 + b"]" * 300,
        b"[" * 980 + b"]" * 980,
        b"[" * 1022 + b"]" * 1022,
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 500 + b"1" + b"}" * 500,
    ],
    ids=lambda body: repr(body[:24])[2:-1] + f" ({len(body)})",
)
def test_hostile_bodies_come_back_byte_for_byte(body):
    """Numbers no parser agrees on, duplicate names, depth, odd line ends: the bytes stay."""
    assert back(answer_of(body)).response.body == body


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("start", [b"", b"{", b'{"a":"'])
def test_long_text_is_a_part_of_its_own(start, extra):
    """From 256 KB on a text has its own file, whose bytes are the body."""
    body = start + b"x" * (module.INLINE_TEXT + extra - len(start))
    data, parts = encode(answer_of(body))
    assert [content for _ext, content in parts.values()] == ([body] if extra > 0 else [])
    assert len(data) < 1000 or extra <= 0
    assert back(answer_of(body)).response.body == body


@pytest.mark.parametrize(
    ("kind", "ext"),
    [
        ("image/png", "png"),
        ("audio/mpeg; rate=8", "mp3"),
        ("IMAGE/JPEG", "jpg"),
        ("x/../../y", "bin"),
        ("", "bin"),
    ],
)
def test_binary_over_a_kilobyte_is_a_part_with_its_type(kind, ext):
    """Media opens in a viewer; an unknown type, whatever it says, is `bin`."""
    body = b"\xff\xd8" * 513
    _data, parts = encode(answer_of(body, kind=kind))
    assert parts == {digest_of(body): (ext, body)}
    assert encode(answer_of(body[:1024], kind=kind))[1] == {}
    assert back(answer_of(body, kind=kind)).response.body == body


def test_chunk_times_keep_tenths_of_a_millisecond():
    """The lengths are exact; a second round changes nothing more."""
    response = Response(200, (), b"abc", (Chunk(1, 0.0123456), Chunk(2, 1.00004)))
    once = back(Answer(KEY, response, "0123abcd"))
    assert [chunk.length for chunk in once.response.chunks] == [1, 2]
    assert [chunk.at for chunk in once.response.chunks] == pytest.approx([0.0123, 1.0], abs=5e-5)
    assert back(once) == once


def test_a_lone_surrogate_in_a_name_is_no_loss():
    """A test in a folder whose name is no UTF-8 can be recorded too."""
    answer = answer_of(b"{}", test="tests/\udcff.py::t", ask=("\ud800",))
    assert back(answer) == answer


@settings(max_examples=100, deadline=None)
@given(st.recursive(st.text(st.characters()), lambda inner: st.dictionaries(texts, inner)))
def test_what_pretty_wrote_is_parsed_again(value):
    """Any text of the store, lone surrogates included, survives as it is."""
    assert parse(pretty(value)) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters()), inner, max_size=4)
            | st.dictionaries(st.integers(), inner, max_size=2)
        ),
        max_leaves=20,
    )
)
def test_the_fast_way_writes_what_the_standard_library_does(value):
    """Which library wrote a file can't be told from it: numbers, escapes, empty values, names."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    assert pretty(value) == text.encode("utf-8", "backslashreplace")


@pytest.mark.parametrize(
    "number",
    [1e16, 1e22, 1e-7, 5e-324, 0.0001, 0.001, 999999.5, 1e6, 100000.0, -0.0, 2**64, -(2**70)],
)
def test_a_number_is_written_as_the_standard_library_does(number):
    """Alone and inside, whatever orjson would make of it."""
    for value in ({"a": number}, {"a": [{"b": number}]}, [number]):
        assert pretty(value) == (json.dumps(value, indent=2) + "\n").encode()


def test_a_changed_body_is_refused_with_the_file_and_the_command():
    """The body's own digest is checked, so a parser's change cannot alter an answer."""
    for body in (b'{"a":1}', b'{"a": 1}', b"text"):
        data = encode(answer_of(body))[0]
        damaged = data.replace(b'"a": 1', b'"a": 2').replace(b'"text"\n', b'"next"\n')
        assert damaged != data
        with pytest.raises(ObjectCorrupt, match="verify --repair") as raised:
            decode(damaged, lambda *_: b"", path=WHERE)
        assert str(WHERE) in str(raised.value)


GOOD = encode(answer_of(b'{"a": 1}'))[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"not json",
        b"{}",
        GOOD[:-20],
        GOOD.replace(b"cas-llm/answer/1", b"cas-llm/answer/9"),
        GOOD.replace(b'"spaced"', b'"unheard of"'),
        GOOD.replace(b'"body"', b'"bodies"'),
        GOOD.replace(b'"headers": [', b'"headers": [7, '),
        json.dumps(json.loads(GOOD) | {"body": {"base64": "%%"}}).encode(),
        json.dumps(json.loads(GOOD) | {"body": []}).encode(),
        json.dumps(json.loads(GOOD) | {"chunks": {"lengths": "1 2", "at_ms": "1"}}).encode(),
    ],
    ids=lambda data: repr(data[-30:]),
)
def test_what_is_no_answer_is_one_clear_error(data):
    """The file, the reason and the command; never a parser's own exception."""
    with pytest.raises(ManifestInvalid, match="verify --repair") as raised:
        decode(data, lambda *_: b"", path=WHERE)
    assert str(WHERE) in str(raised.value)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=4))
def test_a_damaged_file_is_never_another_answer(position, damage):
    """Whatever is overwritten, the body is the recorded one or there is an error."""
    data = GOOD[:position] + damage + GOOD[position + len(damage) :]
    try:
        answer = decode(data, lambda *_: b"", path=WHERE)
    except (ManifestInvalid, ObjectCorrupt):
        return
    assert answer.response.body == b'{"a": 1}' or b"sha256" not in data


def test_every_answer_of_the_corpus_comes_back(corpus):
    """448 real answers, JSON and event streams."""
    for line in corpus:
        response = line["response"]
        body = (response["text"] if "text" in response else json.dumps(response["json"])).encode()
        headers = tuple((k.lower(), str(v)) for k, v in (line["headers"] or {}).items())
        answer = Answer(KEY, Response(line["status"], headers, body), "0123abcd")
        assert back(answer) == answer
