"""Server-sent events are the same under any chunking, and no bytes make the parser raise."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cas_llm.streams.sse import Event, SSEParser, parse_events

PIECES = st.sampled_from(
    [
        b"data:",
        b"data: ",
        b"event: ",
        b"id: ",
        b":",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"x",
        b"\xef\xbb\xbf",
        b"\xff",
        "é".encode(),
        b"[DONE]",
        b"retry: 5",
        b"\x00",
        b" ",
    ],
)
BODIES = st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=60)


@given(BODIES, st.lists(st.integers(0, 60), max_size=10))
def test_any_chunking_gives_the_same_events(body, cuts):
    """A stream's events don't depend on where its chunks begin."""
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    parser = SSEParser()
    events = []
    for start, end in pairwise(edges):
        events += parser.feed(body[start:end])
    assert events + parser.close() == parse_events(body)


@given(BODIES)
def test_bytes_one_by_one_give_the_same_events(body):
    """Even single bytes, with empty chunks between them, give the same events."""
    parser = SSEParser()
    events = []
    for place in range(len(body)):
        events += parser.feed(body[place : place + 1])
        events += parser.feed(b"")
    assert events + parser.close() == parse_events(body)


def test_all_three_line_ends_are_equal():
    """LF, CRLF and CR end a line alike."""
    text = "event: a\ndata: 1\ndata: 2\n\ndata: 3\n\n"
    expected = [Event("a", "1\n2"), Event("", "3")]
    for end in ("\n", "\r\n", "\r"):
        assert parse_events(text.replace("\n", end).encode()) == expected


def test_mark_comment_and_unknown_fields_are_skipped():
    """A byte order mark, comments and fields without a meaning give no events."""
    body = b"\xef\xbb\xbf: OPENROUTER PROCESSING\n\nretry: 10\ndata: x\n\n: bye\n\n"
    assert parse_events(body) == [Event("", "x")]


def test_broken_utf8_becomes_a_replacement_character():
    """Bytes that aren't UTF-8 don't stop a stream."""
    assert parse_events(b"data: a\xffb\n\n") == [Event("", "a\ufffdb")]


def test_a_character_split_over_two_chunks_is_whole():
    """A chunk boundary inside a character does no harm."""
    parser = SSEParser()
    assert parser.feed(b"data: \xc3") == []
    assert parser.feed(b"\xa9\n\n") == [Event("", "é")]


def test_an_id_lasts_until_the_next_one():
    """The last id goes with each later event, as the standard says."""
    assert parse_events(b"id: 7\ndata: a\n\ndata: b\n\n") == [
        Event("", "a", "7"),
        Event("", "b", "7"),
    ]


def test_an_event_that_the_end_cut_off_is_delivered_on_close():
    """A last event without its blank line isn't lost."""
    parser = SSEParser()
    assert parser.feed(b"event: e\ndata: [DO") == []
    assert parser.close() == [Event("e", "[DO")]
    assert parser.close() == []
