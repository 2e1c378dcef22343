"""Bodies of requests in the forms that urllib3 takes, read as the bytes it sends."""

from __future__ import annotations

import array
import io

import pytest

from cas_llm.transports.urllib3_family import _whole

TEXT = b"some bytes to send"


@pytest.mark.parametrize(
    "body",
    [
        TEXT,
        TEXT.decode(),
        bytearray(TEXT),
        memoryview(TEXT),
        array.array("B", TEXT),
        io.BytesIO(TEXT),
        io.StringIO(TEXT.decode()),
        [TEXT[:4], TEXT[4:]],
        iter([TEXT[:4].decode(), bytearray(TEXT[4:])]),
    ],
    ids=lambda body: type(body).__name__,
)
def test_a_body_is_read_as_it_is_sent(body) -> None:
    """Whatever holds the bytes, the key is made of them."""
    assert _whole(body) == TEXT


def test_an_array_is_its_bytes_not_its_numbers() -> None:
    """Iterated it says numbers, of which each would be so many zeros."""
    numbers = array.array("I", [1, 2, 3])
    assert _whole(numbers) == numbers.tobytes()


def test_no_body_is_empty() -> None:
    """None is sent as nothing."""
    assert _whole(None) == b""
