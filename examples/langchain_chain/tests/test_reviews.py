import pytest
from reviews import chain, feeling, sort

GOOD = "I loved every page of this book."
BAD = "This book is terrible and I hate it."


def test_a_batch_is_sorted():
    assert sort([GOOD, BAD]) == {GOOD: "positive", BAD: "negative"}


def test_a_stream_says_what_a_call_says():
    pieces = list(chain().stream({"review": GOOD}))
    assert len(pieces) > 1
    assert feeling("".join(pieces)) == feeling(chain().invoke({"review": GOOD}))


async def test_an_asynchronous_call_is_answered():
    assert feeling(await chain().ainvoke({"review": BAD})) == "negative"


@pytest.mark.parametrize(("text", "found"), [("Positive!", "positive"), ("Hm.", "unknown")])
def test_feelings_are_read(text, found):
    assert feeling(text) == found
