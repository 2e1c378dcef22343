"""A key record gives back the request that it was made of, or says why it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.stores import every_kind

from cas_llm import keys
from cas_llm.keys import Rules, key_record, load_record, parts_of
from cas_llm.providers import identify
from cas_llm.rerecord.requests import request_of, unsendable
from cas_llm.wire import Request

URL = "https://api.openai.com"
JSON = (("content-type", "application/json"),)


def test_every_kind_of_request_has_its_own_key_again(tmp_path: Path) -> None:
    """JSON with parts and media, forms, multipart, bytes: put together anew, the key is the same."""
    store = every_kind(tmp_path / "cache_store")
    seen = 0
    for path in (store.root / "requests").rglob("*.json"):
        key = path.parent.name + path.stem
        record = load_record(path.read_bytes())
        types = parts_of(record)
        request = request_of(record, lambda d, _: store.objects.get(d, types[d]), URL, ())  # noqa: B023
        assert key_record(request, identify(request).name).key == key, record
        seen += 1
    assert seen == 8


def test_odd_values_survive(tmp_path: Path) -> None:
    """Integers beyond 2^53, a user's own tags, a query and allowed headers are as they were."""
    body = {"model": "m", "messages": [], "seed": 2**60, "$cas:x": {"$cas:part": 1}}
    sent = Request(
        "POST",
        f"{URL}/v1/chat/completions?api-version=2&x=a%20b",
        (*JSON, ("openai-beta", "b")),
        json.dumps(body).encode(),
    )
    found = key_record(sent, "openai")
    parts = found.parts
    again = request_of(load_record(found.data), lambda d, _: parts[d].data, URL, ())
    assert json.loads(again.body) == body
    assert key_record(again, "openai").key == found.key


@pytest.mark.parametrize(
    ("rule", "text", "why"),
    [
        ("trim", "x", "may have taken something"),
        ("ignore:$.user", "x", "may have taken something"),
        ("uuid", "x", ""),
        ("uuid", "see 12345678-1234-1234-1234-123456789abc", "took something out"),
        ("time:$.messages[*].content", "at 2026-01-01", "took something out"),
        ("regex:job-\\d+=>job", "job-17", "took something out"),
        ("regex:job-\\d+=>job", "no job", ""),
        ("tool-order", "x", ""),
    ],
)
def test_what_a_normaliser_took_out_is_not_made_up(rule: str, text: str, why: str) -> None:
    """A rule that leaves a mark refuses where the mark is; one that leaves none refuses always."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    request = Request("POST", f"{URL}/v1/chat/completions", JSON, json.dumps(body).encode())
    record = load_record(key_record(request, "openai", Rules(normalise=(rule,))).data)
    said = unsendable(record, record["body"]["messages"][0]["content"])
    assert why in said
    assert bool(said) == bool(why)


def test_a_request_that_held_a_secret_is_not_sent() -> None:
    """What was redacted is needed, and is nowhere."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hush"}]}).encode()
    request = Request("POST", f"{URL}/v1/chat/completions", JSON, body)
    found = key_record(request, "openai", redact=lambda text: text.replace("hush", "[cas-llm:x:1]"))
    record = load_record(found.data)
    assert unsendable(record, "").startswith("a secret was taken out")
    assert keys.load_record(found.data)["redacted"]
