"""Secrets behind escapes and in base64, and what is left around them."""

from __future__ import annotations

import base64
import json
import random
import string
from urllib.parse import quote, quote_plus

import pytest

from cas_llm.redact import Redactor
from cas_llm.redact.encoded import decoded, said_at_length, unescaped
from cas_llm.redact.marks import any_of, may_begin

ALNUM = string.ascii_letters + string.digits
SECRET = "sk-" + "proj-" + "".join(random.Random(3).choices(ALNUM, k=40)) + "7"
TOLD = "[cas-llm:openai-key:1]"


@pytest.mark.parametrize(
    "before", ["\\u000c", "%0c", "\\n", "\\\\n", "\x1b[31m", "\\u001b[0m", "%2F"]
)
def test_a_token_begins_after_any_escape(before: str) -> None:
    """The letter before it belongs to a line break, a byte or a colour, not to a word."""
    assert Redactor().text(f"a{before}{SECRET} b") == f"a{before}{TOLD} b"


@pytest.mark.parametrize("around", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("alphabet", [b"+/", b"-_"])
def test_base64_keeps_what_is_no_secret(around: int, alphabet: bytes) -> None:
    """Wherever a group begins, the letters before and after still say what they said."""
    before = "ÿ?>~"[:around] * 3
    coded = base64.b64encode(f"{before} {SECRET} {before}.".encode(), alphabet).decode()
    done = Redactor().text(f"see {coded}")
    head, _, tail = done.removeprefix("see ").partition(TOLD)
    assert tail
    assert coded.startswith(head)
    assert coded.endswith(tail)
    whole = len(f"{before} ".encode()) * 8 // 6
    assert len(head) in {whole, whole + 1}
    assert Redactor().text(done) is done


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\\n", "\\\\n", "\\r\\n"])
def test_wrapped_base64_is_one_text(break_: str) -> None:
    """A secret that lies across two lines goes whole, and the lines around it stay."""
    coded = base64.b64encode(("x " * 20 + SECRET + " y" * 40).encode()).decode()
    lines = [coded[at : at + 76] for at in range(0, len(coded), 76)]
    done = Redactor().text("file:" + break_ + break_.join(lines) + break_)
    assert done.count(TOLD) == 1
    assert lines[-1] in done
    assert decoded(done) is None or "proj-" not in decoded(done).text


def test_identifiers_and_media_say_nothing() -> None:
    """What isn't base64 of ASCII is not decoded."""
    ids = [f"call_{''.join(random.Random(n).choices(ALNUM, k=24))}" for n in range(50)]
    assert decoded(json.dumps(ids)) is None
    assert decoded(base64.b64encode(random.Random(1).randbytes(3000)).decode()) is None


def test_long_base64_is_told_only_where_it_is_text() -> None:
    """UTF-8, or UTF-16 with its mark; a picture is neither."""
    for text, coding in (("é text " * 900, "utf-8"), ("text " * 900, "utf-16")):
        coded = base64.b64encode(text.encode(coding)).decode()
        _, said = next(said_at_length(f'{{"a": "{coded}"}}'))
        assert said.endswith("text ")
    picture = base64.b64encode(random.Random(1).randbytes(9000)).decode()
    assert list(said_at_length(picture)) == []


def test_a_reading_leads_back_to_the_text() -> None:
    """Every kind of escape, and blanks that a form wrote as plus signs."""
    told = f"Authorization: Basic {'QUJDREVGR0hJ' * 2}"
    for text in (
        quote(told),
        quote_plus(told),
        told.replace("o", "&#111;"),
        told.replace(":", "&#x3A;"),
    ):
        done = Redactor().text(f"a {text} z")
        assert "[cas-llm:basic-auth:1]" in done
        assert done.startswith("a ")
        assert done.endswith(" z")
    assert list(unescaped("100 % & more")) == []


def test_one_expression_finds_the_shortest_mark_and_tells_which_were_meant() -> None:
    """A mark may be the head of another, or hide one that begins inside it."""
    assert any_of(["sk-", "sk-ant-", "gsk_"]) == r"(?:gsk_|sk\-)"
    assert may_begin("sk-ant-", "sk-")
    assert may_begin("sk-", "csk-")
    assert may_begin("k-x", "sk-")
    assert not may_begin("hf_", "sk-")
