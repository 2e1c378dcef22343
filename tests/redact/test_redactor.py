"""What `Redactor.text` and `Redactor.headers` take out, and what they leave alone."""

from __future__ import annotations

import base64
import json
import os
import random
import string
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.errors import ConfigError
from cas_llm.redact import Redactor, secret_variables
from cas_llm.redact.scan import find_secret

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits


def drawn(random_: random.Random, letters: str, count: int) -> str:
    """As many random letters, a digit among them."""
    return "".join(random_.choices(letters, k=count - 1)) + "7"


def b64url(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


GRAMMAR = {
    "openai-key": lambda r: "sk-" + "proj-" + drawn(r, ALNUM + "_-", 74) + drawn(r, ALNUM, 20),
    "openai-key ": lambda r: "sk-" + drawn(r, ALNUM, 20) + "T3Blbk" + "FJ" + drawn(r, ALNUM, 20),
    "openai-key  ": lambda r: "sk-" + "svcacct-" + drawn(r, ALNUM, 40),
    "openai-key   ": lambda r: "sk-" + "admin-" + drawn(r, ALNUM, 40),
    "anthropic-key": lambda r: "sk-" + "ant-api03-" + drawn(r, ALNUM + "_-", 92) + "A",
    "openrouter-key": lambda r: "sk-" + "or-v1-" + drawn(r, HEX, 64),
    "google-key": lambda r: "AI" + "za" + drawn(r, ALNUM, 35),
    "groq-key": lambda r: "gsk" + "_" + drawn(r, ALNUM, 52),
    "xai-key": lambda r: "xai" + "-" + drawn(r, ALNUM, 80),
    "huggingface-token": lambda r: "hf" + "_" + drawn(r, ALNUM, 34),
    "perplexity-key": lambda r: "pplx" + "-" + drawn(r, ALNUM, 48),
    "replicate-token": lambda r: "r8" + "_" + drawn(r, ALNUM, 37),
    "aws-key-id": lambda r: "AK" + "IA" + drawn(r, UPPER, 16),
    "github-token": lambda r: "gh" + "p_" + drawn(r, ALNUM, 36),
    "github-token ": lambda r: "github" + "_pat_" + drawn(r, ALNUM, 22) + "_" + drawn(r, ALNUM, 59),
    "gitlab-token": lambda r: "gl" + "pat-" + drawn(r, ALNUM, 20),
    "slack-token": lambda r: "xo" + "xb-" + drawn(r, string.digits, 12) + "-" + drawn(r, ALNUM, 24),
    "stripe-key": lambda r: "sk" + "_live_" + drawn(r, ALNUM, 24),
    "sendgrid-key": lambda r: "S" + "G." + drawn(r, ALNUM, 22) + "." + drawn(r, ALNUM, 43),
    "twilio-key": lambda r: "S" + "K" + drawn(r, HEX, 32),
    "npm-token": lambda r: "npm" + "_" + drawn(r, ALNUM, 36),
    "pypi-token": lambda r: "pypi-" + "AgEIcHlwaS5vcmc" + drawn(r, ALNUM, 90),
    "jwt": lambda r: ".".join(
        [b64url({"alg": "HS256"}), b64url({"sub": drawn(r, ALNUM, 12)}), drawn(r, ALNUM, 43)]
    ),
    "pem": lambda r: "\n".join(
        [
            "-----BEGIN RSA " + "PRIVATE KEY-----",
            *(drawn(r, ALNUM + "+/", 64) for _ in range(9)),
            "-----END RSA " + "PRIVATE KEY-----",
        ]
    ),
}
"""How to make a secret of each kind; blanks only tell variants apart."""

FRAMED = {
    "bearer": lambda r: ("Authorization: Bearer ", drawn(r, ALNUM + "._~-", 40)),
    "basic-auth": lambda r: ("Authorization: Basic ", drawn(r, ALNUM, 24) + "=="),
    "cookie": lambda r: ("Cookie: session=", drawn(r, ALNUM, 30)),
    "cookie ": lambda r: ("Set-Cookie: __cf_bm=", drawn(r, ALNUM, 30)),
    "aws-secret": lambda r: ("aws_secret_access_key = ", drawn(r, ALNUM + "/+", 40)),
    "api-key-header": lambda r: ("x-api-key: ", drawn(r, ALNUM, 32)),
    "url-password": lambda r: ("postgres://app:", drawn(r, ALNUM, 16) + "@db/x"),
}


@pytest.mark.parametrize("kind", GRAMMAR)
@pytest.mark.parametrize("seed", range(3))
def test_a_secret_of_each_format_is_replaced_wherever_it_stands(kind: str, seed: int) -> None:
    """In prose, JSON, JSON in JSON, multipart text and URLs no secret is left."""
    secret = GRAMMAR[kind](random.Random(seed))
    told = f"[cas-llm:{kind.strip()}:1]"
    redactor = Redactor()
    inner = json.dumps({"tool": f"line\n{secret}\nend"})
    texts = [
        f"Use {secret}, please.",
        f"KEY={secret}",
        json.dumps({"messages": [{"role": "user", "content": f"first\n{secret}\tnext"}]}),
        json.dumps({"arguments": inner}),
        f'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n{secret}\r\n--x--\r\n',
    ]
    for text in texts:
        done = redactor.text(text)
        assert told in done
        assert secret not in done
        assert secret[-12:] not in done
        assert redactor.text(done) is done
        assert find_secret(done.encode()) is None
        if text.startswith("{"):
            json.loads(done)


@pytest.mark.parametrize("kind", FRAMED)
def test_a_secret_in_a_frame_is_replaced_and_the_frame_stays(kind: str) -> None:
    """Of a header line, a cookie or a URL only the value goes."""
    frame, secret = FRAMED[kind](random.Random(1))
    for text in (f"{frame}{secret}", json.dumps({"result": f"a\n{frame}{secret}\nb"})):
        done = Redactor().text(text)
        assert secret.partition("@")[0] not in done
        assert f"[cas-llm:{kind.strip()}:1]" in done
        assert frame.split()[0].partition(":")[0] in done
        assert Redactor().text(done) is done


@pytest.mark.parametrize(
    "text",
    [
        "pip install sk-learn-contrib and scikit-learn",
        "sk-proj-put-your-own-project-key-here-please",
        "the task-oriented-dialogue-with-many-hyphens-1234567890123456789012",
        "BEGIN PRIVATE KEY blocks look like -----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "The bearer authentication-scheme-of-tomorrow is new.",
        "Cookie: chocolate chip. A cookie recipe: sugar",
        "postgres://user:password@localhost/db and https://example.com:8080/a@b",
        '{"http://json-schema.org/a":"me@example.com"}',
        "thoughtSignature EqADCp0DAQw51sctaTt62vj/AeY+J46HScGMG01KQ/CGKYK7GOxHGnyfjXjoAZeN4TQtwFlg",
        "gpt-4o-mini-2024-07-18 claude-sonnet-4-5-20250929 msg_01XFDUDYJgAACzvnptvVoYEL",
        "[cas-llm:openai-key:1] stays",
    ],
)
def test_ordinary_text_is_the_same_object(text: str) -> None:
    """What only resembles a secret is left alone."""
    assert Redactor().text(text) is text


def test_placeholders_number_distinct_secrets_by_first_appearance() -> None:
    """Two secrets are 1 and 2, and one secret twice is one placeholder."""
    r = random.Random(5)
    one, two = GRAMMAR["openai-key"](r), GRAMMAR["groq-key"](r)
    done = Redactor().text(f"{one} {two} {one}")
    assert done == "[cas-llm:openai-key:1] [cas-llm:groq-key:2] [cas-llm:openai-key:1]"


def test_a_redacted_turn_and_the_raw_turn_give_one_text() -> None:
    """A replayed answer holds placeholders: the request that quotes it keeps its numbers."""
    r = random.Random(6)
    one, two = GRAMMAR["openai-key"](r), GRAMMAR["openai-key"](r)
    redactor = Redactor()
    answer = redactor.text(f"the key is {one}")
    assert redactor.text(f"{answer}; and {two}") == redactor.text(f"the key is {one}; and {two}")
    echoed = redactor.text(f"you said {two}")
    assert redactor.text(f"{two} - {echoed}") == redactor.text(f"{two} - you said {two}")


def test_a_secret_behind_json_escapes_is_found() -> None:
    """Characters written as \\u002d or \\/ hide nothing, and the JSON stays valid."""
    secret = GRAMMAR["openai-key"](random.Random(7))
    text = json.dumps({"a": f"={secret}"}).replace("-", "\\u002d").replace("=", "\\u003d")
    done = Redactor().text(text)
    assert json.loads(done) == {"a": "=[cas-llm:openai-key:1]"}
    assert done.startswith('{"a": "\\u003d[')


def test_values_of_variables_are_found_in_every_spelling() -> None:
    """Plain, escaped for JSON once and twice, URL-encoded, and inside any base64."""
    value = 'p"q\\s w+/ä-Zebra9'
    redactor = Redactor({"DB_PASSWORD": value})
    texts = [value, json.dumps(value), json.dumps(value, ensure_ascii=False), quote(value, safe="")]
    texts += [json.dumps(json.dumps({"a": value})[0:])]
    for text in texts:
        done = redactor.text(text)
        assert "[cas-llm:env:DB_PASSWORD:1]" in done
        assert "Zebra9" not in done
    for before in ("", "u", "us", "user:"):
        encoded = base64.b64encode(f"{before}{value}!".encode()).decode()
        assert "[cas-llm:env:DB_PASSWORD:1]" in redactor.text(f"Basic {encoded}")


def test_a_value_of_a_known_format_is_named_by_its_format() -> None:
    """So that a machine with the variable and one without it have the same key."""
    secret = GRAMMAR["openai-key"](random.Random(8))
    text = f"use {secret}"
    assert Redactor({"OPENAI_API_KEY": secret}).text(text) == Redactor().text(text)


def test_no_value_breaks_json() -> None:
    """A value or rule that reaches over the end of a string, or hits a number, leaves JSON valid."""
    text = json.dumps({"id": 123456789, "say": 'a "quoted" word', "next\n": "nrt9Zebra!"})
    for redactor in (
        Redactor({"A_TOKEN": 'd\\" word", "nex'}),
        Redactor({"A_TOKEN": "nrt9Zebra!"}),
        Redactor(rules=[("ssn", r"\d{9}")]),
        Redactor(rules=[("member", r'"id": \d+')]),
        Redactor(rules=[("half", r'say": "a \\')]),
        Redactor(rules=[("all", r".*")]),
    ):
        done = redactor.text(text)
        assert done != text
        json.loads(done)
        assert redactor.text(done) is done


def test_a_rule_takes_its_first_group() -> None:
    """The user's rules name their class, and group 1 is the secret where there is one."""
    redactor = Redactor(rules=[("badge", r"badge (\d+)"), ("room", r"R\d\d")])
    assert redactor.text("badge 77 in R12") == "badge [cas-llm:badge:1] in [cas-llm:room:2]"


@pytest.mark.parametrize("rule", [("a b", "x"), ("", "x"), ("x", "(")])
def test_a_bad_rule_is_one_clear_error(rule: tuple[str, str]) -> None:
    """It names the setting."""
    with pytest.raises(ConfigError, match=r"\[tool.cas-llm\] redact: "):
        Redactor(rules=[rule])


def test_headers_that_carry_secrets_lose_them() -> None:
    """The scheme stays, other headers are looked through, and clean headers are the same object."""
    r = random.Random(9)
    key, sid = GRAMMAR["openai-key"](r), drawn(r, ALNUM, 20)
    headers = (
        ("authorization", f"Bearer {key}"),
        ("cookie", f"sid={sid}"),
        ("set-cookie", f"sid={sid}"),
        ("x-api-key", "short"),
        ("x-note", f"see {key}"),
        ("content-type", "application/json"),
    )
    redactor = Redactor()
    done = redactor.headers(headers)
    assert done == (
        ("authorization", "Bearer [cas-llm:openai-key:1]"),
        ("cookie", "[cas-llm:cookie:2]"),
        ("set-cookie", "[cas-llm:cookie:2]"),
        ("x-api-key", "[cas-llm:api-key:3]"),
        ("x-note", "see [cas-llm:openai-key:1]"),
        ("content-type", "application/json"),
    )
    assert redactor.headers(done) is done


def test_secret_variables_are_told_by_name_and_value() -> None:
    """Stand-ins, words, numbers and short values are none."""
    made = drawn(random.Random(3), ALNUM, 32)
    yes = ["OPENAI_API_KEY", "HF_TOKEN", "DJANGO_SECRET_KEY", "PGPASSWORD", "DB_PASSWORD"]
    yes += ["AWS_SECRET_ACCESS_KEY", "AZURE_OPENAI_KEY", "my_api_key", "STRIPE_SECRET"]
    no = {
        "PATH": made,
        "MAX_TOKENS": "40961234",
        "POSTGRES_PASSWORD": "postgres",
        "A_API_KEY": "your-api-key-here",
        "B_API_KEY": "short",
        "C_API_KEY": "cas-llm-placeholder",
        "D_TOKEN": "1234567890123",
        "E_TOKEN": "/run/secrets/token",
        "SORT_KEY": "customer_id",
    }
    assert secret_variables({**dict.fromkeys(yes, made), **no}) == dict.fromkeys(yes, made)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*GRAMMAR, "a", "-", "_", " ", "\n", '"', "\\", "é", "7"]), max_size=9)
)
def test_text_is_idempotent_and_leaves_no_whole_secret(names: list[str]) -> None:
    """Whatever stands beside a secret, a second pass changes nothing, and JSON stays valid."""
    r = random.Random(len(names))
    text = "".join(GRAMMAR[name](r) if name in GRAMMAR else name for name in names)
    redactor = Redactor()
    for given_text in (text, json.dumps({"a": text, "b": [text]})):
        done = redactor.text(given_text)
        assert redactor.text(done) is done
    json.loads(done)


def test_one_redactor_serves_many_threads() -> None:
    """It keeps nothing between calls."""
    r = random.Random(2)
    texts = [f"{GRAMMAR['openai-key'](r)} {GRAMMAR['jwt'](r)}" for _ in range(40)]
    redactor = Redactor({"X_TOKEN": drawn(r, ALNUM, 20)})
    with ThreadPoolExecutor(8) as pool:
        done = set(pool.map(redactor.text, texts))
    assert done == {"[cas-llm:openai-key:1] [cas-llm:jwt:2]"}


def test_long_text_costs_linear_time() -> None:
    """A megabyte of base64, or of the heads of tokens, takes well under a second."""
    for text in (
        base64.b64encode(random.Random(1).randbytes(750_000)).decode(),
        "eyJhbGciOi" * 50_000,
        "sk-" * 100_000,
        "://a:" * 60_000,
        ("-----BEGIN " + "PRIVATE KEY-----" + "A" * 40) * 40,
    ):
        began = time.perf_counter()
        Redactor().text(text)
        assert time.perf_counter() - began < 4


def test_the_corpus_is_untouched() -> None:
    """No request and no answer of 448 real exchanges is altered."""
    corpus = Path(os.environ.get("CAS_LLM_CORPUS", "/nonexistent"))
    if not corpus.is_file():
        print("0: corpus absent")
        return
    redactor = Redactor()
    altered: list[str] = []
    for line in corpus.read_text().splitlines():
        exchange = json.loads(line)
        for side in ("request", "response"):
            held = exchange[side]
            text = held["text"] if "text" in held else json.dumps(held.get("json"))
            if redactor.text(text) is not text:
                altered.append(exchange["source"])
            body = text.encode()
            kind = dict(exchange["headers"]).get("content-type", "application/json")
            if side == "response" and redactor.body(body, kind, ())[0] is not body:
                altered.append(exchange["source"])
    print(f"{len(altered)}: exchanges altered")
    assert altered == []
