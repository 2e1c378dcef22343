"""Text made to keep a search busy for ever does not: the time grows with the length, no faster."""

from __future__ import annotations

import json
import time

import pytest

from cas_llm.redact import Redactor
from cas_llm.redact.literals import literals
from cas_llm.redact.scan import find_secret

SIZE = 200_000
# Measured well below half a second; tried anew at each place they take minutes.
LIMIT = 5.0

VALUE = "zx8Qh2" + "Lm9Pv4"
PLACEHOLDER = "[cas-llm:openai-key:1]"


def filled(piece: str) -> str:
    return (piece * (SIZE // len(piece) + 1))[:SIZE]


TEXTS = {
    "heads of tokens": filled("-eyJ"),
    "heads of tokens with some text": filled("-eyJaB3aaaaa"),
    "tokens without an end": filled("-eyJaaaaaaaa."),
    "backslashes before no escape": "%" + "\\" * SIZE,
    "backslashes in pairs": "&" + filled("\\\\ "),
    "placeholders beside secrets": filled(f"{PLACEHOLDER} {VALUE} "),
    "heads of URLs": filled("://"),
    "users without passwords": filled("://a:b"),
    "blocks of keys without an end": filled("-----BEGIN PRIVATE " + "KEY-----"),
    "quotes that nobody closes": '{"a": "' + filled('\\"'),
}


def events(pieces: list[str]) -> str:
    values = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values)


TOKEN = {"token": VALUE, "bytes": [1, 2], "top_logprobs": [{"token": "a", "bytes": [1]}]}
BODIES = {
    "numbers that a rule takes": json.dumps([{"n": n} for n in range(100_000, 104_000)]),
    "a secret in each event": events([f"{VALUE} "] * 4000),
    "a secret in every two events": events([VALUE[:6], VALUE[6:]] * 2000),
    "a secret in each token": json.dumps({"logprobs": {"content": [TOKEN] * 3000}}),
}


@pytest.mark.parametrize("name", BODIES)
def test_an_answer_takes_time_in_proportion_to_what_is_found(name: str) -> None:
    """Thousands of secrets are each looked at once, and each is gone."""
    body = BODIES[name]
    kind = "text/event-stream" if body.startswith("data:") else "application/json"
    redactor = Redactor({"A_TOKEN": VALUE}, [("six", "1[0-9]{5}")])
    began = time.perf_counter()
    done, _, findings = redactor.body(body.encode(), kind)
    assert time.perf_counter() - began < LIMIT
    assert len(findings) >= 2000
    assert VALUE not in done.decode()
    assert "100001" not in done.decode()


@pytest.mark.parametrize("name", TEXTS)
def test_a_search_takes_time_in_proportion_to_the_text(name: str) -> None:
    """Neither redaction nor the last look takes long over any of them."""
    text = TEXTS[name]
    redactor = Redactor({"A_TOKEN": VALUE})
    began = time.perf_counter()
    redactor.text(text)
    redactor.find(text)
    find_secret(text.encode())
    assert sum(1 for _ in literals(text)) >= 0
    assert time.perf_counter() - began < LIMIT


def test_a_token_after_words_that_begin_like_one_is_found() -> None:
    """What is skipped is the rest of one word, never the next."""
    token = "eyJ" + "a" * 12 + ".eyJ" + "b" * 12 + "." + "c" * 20
    for before in ("-eyJ" * 50 + " ", "eyJaaaaaaaaaa.", "eyJaaaaaaaa-eyJaaaaaaaa, "):
        assert token not in Redactor().text(before + token)


def test_a_password_after_addresses_without_one_is_found() -> None:
    """An address that holds none hides none that follows."""
    secret = "hunter" + "2hunter2"
    text = f"http://a:b/ see http://c/ and postgres://me:{secret}@db/x"
    assert secret not in Redactor().text(text)
    assert Redactor().text("postgres://postgres:postgres@db/x") == (
        "postgres://postgres:postgres@db/x"
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
def test_an_escape_is_undone_behind_any_number_of_backslashes(count: int) -> None:
    """JSON in JSON in JSON doubles them each time."""
    key = "sk-" + "proj-" + "aB3" * 12
    text = key.replace("-", "\\" * count + "u002d")
    assert "aB3aB3" not in Redactor().text(f'say "{text}"')


def test_numbers_go_to_secrets_in_order_around_placeholders() -> None:
    """A number that is taken is passed over, and the smallest free one comes next."""
    values = {f"V{n}_TOKEN": f"{VALUE}{n}xyz" for n in range(4)}
    one, two, three, four = values.values()
    text = f"{one} [cas-llm:x:2] {two} [cas-llm:y:4] {three} {four} {one}"
    done = Redactor(values).text(text)
    numbers = [piece.rpartition(":")[2] for piece in done.split("]")[:-1]]
    assert numbers == ["1", "2", "3", "4", "5", "6", "1"]
