"""From a request to its key."""

import gzip
import json
import os
import random
import re
import unicodedata
from pathlib import Path

import pytest

from cas_llm.digest import digest_of
from cas_llm.errors import ConfigError
from cas_llm.keys import Rules, canonical, key_record, load_record, parse, parts_of, rederive
from cas_llm.wire import Request

URL = "https://api.openai.com/v1/chat/completions"
JSON = (("content-type", "application/json"),)


def record_of(body, *, url=URL, headers=JSON, method="POST", **more):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return key_record(Request(method, url, headers, data), "openai", **more)


def loaded(*args, **more):
    return load_record(record_of(*args, **more).data)


def hush(text):
    return text.replace("hush", "[cas-llm:test:1]") if "hush" in text else text


def test_the_key_is_the_digest_of_the_record():
    """`sha256sum` of the record's file is its name."""
    record = record_of({"model": "m"})
    assert record.key == digest_of(record.data) == rederive(record.data)
    assert record.data.endswith(b"}\n")


def test_only_a_top_level_stream_false_equals_its_absence():
    """No other default is elided."""
    plain = record_of({"a": 1})
    assert record_of({"a": 1, "stream": False}).key == plain.key
    others = [{"stream": True}, {"stream": None}, {"stream": 0}, {"n": 1}, {"b": {"stream": False}}]
    keys = {record_of({"a": 1, **other}).key for other in others}
    assert len(keys | {plain.key}) == len(others) + 1


def test_what_says_who_asks_is_not_in_the_key():
    """Credentials, user agents, ports and retry counts don't matter."""
    more = (("authorization", "x"), ("user-agent", "y"), ("x-stainless-retry-count", "2"))
    url = URL.replace("https:", "http:").replace(".com", ".com:8443") + "?key=abc&X-Amz-Date=1"
    assert record_of({"a": 1}).key == record_of({"a": 1}, url=url, headers=JSON + more).key


def test_every_other_query_parameter_is_in_the_key():
    """Page 2 of a list never gets the answer of page 1."""
    keys = {record_of(b"", url=f"{URL}?after={n}", method="GET").key for n in range(3)}
    assert len(keys) == 3
    assert loaded(b"", url=f"{URL}?b=2&a=1&b=1")["query"] == [["a", "1"], ["b", "1"], ["b", "2"]]


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "apikey",
        "apiKey",
        "APIKey",
        "subscription-key",
        "auth_token",
        "accessToken",
        "client_secret",
        "x-api-key",
        "code",
        "auth",
        "sig",
        "X-Signature",
        "password",
        "X-Amz-Date",
    ],
)
def test_a_parameter_that_ends_in_a_credential_is_not_in_the_key(name):
    """However its words are joined; nor is it in the record, where it would be read."""
    record = record_of(b"", url=f"{URL}?{name}=abc&limit=1", method="GET")
    assert load_record(record.data)["query"] == [["limit", "1"]]


@pytest.mark.parametrize(
    "name",
    [
        "limit",
        "after",
        "before",
        "order",
        "pageToken",
        "page_token",
        "nextPageToken",
        "continuation-token",
        "sort_key",
        "country_code",
        "language_code",
        "max_tokens",
        "purpose",
        "include[]",
        "api-version",
        "alt",
        "design",
        "monkey",
    ],
)
def test_a_parameter_that_selects_what_is_answered_is_in_the_key(name):
    """Two pages never get one answer because their parameter sounds like a credential."""
    assert len({record_of(b"", url=f"{URL}?{name}={n}", method="GET").key for n in "ab"}) == 2


@pytest.mark.parametrize(
    "name",
    [
        "range",
        "x-amzn-bedrock-guardrailidentifier",
        "x-amzn-bedrock-guardrailversion",
        "x-amzn-bedrock-performanceconfig-latency",
        "x-portkey-provider",
        "x-portkey-config",
    ],
)
def test_a_header_that_changes_the_answer_is_in_the_key(name):
    """Another provider, guardrail or piece of a file is another request."""
    assert len({record_of({}, headers=(*JSON, (name, value))).key for value in "ab"}) == 2


def test_beta_flags_are_a_set():
    """Their order, white space and split over headers don't matter."""
    one = (*JSON, ("anthropic-beta", "b , a,a"))
    two = (*JSON, ("anthropic-beta", "a"), ("anthropic-beta", "b"))
    assert loaded({}, headers=one)["headers"] == {"anthropic-beta": "a,b"}
    assert record_of({}, headers=one).key == record_of({}, headers=two).key != record_of({}).key


def test_a_namespace_separates():
    """The same request in another namespace has another key."""
    assert loaded({}, rules=Rules(namespace="blue"))["namespace"] == "blue"
    assert "namespace" not in loaded({})


@pytest.mark.parametrize(
    "text", [b'{"a":1,"a":2}', b"[NaN]", b'["\\ud800"]', b"\xff\xfe", b"{'a'}"]
)
def test_a_body_without_a_canonical_form_is_keyed_by_its_bytes(text):
    """The exact bytes are a part."""
    record = record_of(text)
    digest = digest_of(text)
    assert load_record(record.data)["bytes"] == {
        "sha256": digest,
        "ext": "bin" if b"\xff" in text else "txt",
        "length": len(text),
        "type": "application/json",
    }
    assert record.parts[digest].data == text
    assert record.body is None


@pytest.mark.parametrize("text", [b' {"a": 1}', b'"a"', b"7", b"null"])
def test_json_that_does_not_say_so_is_json_where_nothing_else_is_said(text):
    """Any value without a content type; under another one only what looks like an object."""
    bare = load_record(record_of(text, headers=()).data)
    assert bare["body"] == json.loads(text)
    plain = load_record(record_of(text, headers=(("content-type", "text/plain"),)).data)
    assert "body" not in plain
    assert plain["bytes"]["type"] == "text/plain"
    sent = record_of(b'{"a": 1}', headers=(("content-type", "text/plain"),))
    assert load_record(sent.data)["body"] == {"a": 1}


def test_a_compressed_body_is_keyed_by_what_is_in_it():
    """gzip writes the time of day into its output."""
    body = b'{"a":1}'
    headers = (*JSON, ("content-encoding", "gzip"))
    packed = [gzip.compress(body, mtime=when) for when in (1, 2)]
    assert {record_of(p, headers=headers).key for p in packed} == {record_of(body).key}
    assert "bytes" in loaded(b"not gzip", headers=headers)


def test_a_secret_is_replaced_before_hashing():
    """Two secrets give one key; the record says that something was replaced, and what."""
    record = record_of({"a": "hush é", "n": 2**70}, redact=hush)
    assert b"hush" not in record.data
    assert record.redacted == ("test",)
    assert record.body == {"a": "[cas-llm:test:1] é", "n": 2**70}
    assert load_record(record.data)["redacted"] == 1
    assert load_record(record.data)["body"]["n"] == {"$cas:int": str(2**70)}


@pytest.mark.parametrize(
    ("body", "more"),
    [
        ({"a": "hush"}, {}),
        ({"hush": 1}, {}),
        ({"a": "hush\n" * 9}, {}),
        (b"hush", {"headers": ()}),
        (b"\xff hush", {"headers": ()}),
        (b"a=hush", {"headers": (("content-type", "application/x-www-form-urlencoded"),)}),
        (b"", {"url": "https://a.b/hush"}),
        (b"", {"url": "https://a.b/?c=hush"}),
        ({}, {"headers": (*JSON, ("openai-beta", "hush"))}),
        ({}, {"rules": Rules(namespace="hush")}),
        (
            b'--b\r\nContent-Disposition: form-data; name="a"; filename="hush"\r\n\r\nhush\r\n--b--',
            {"headers": (("content-type", "multipart/form-data; boundary=b"),)},
        ),
    ],
)
def test_no_secret_is_left_wherever_it_was(body, more):
    """Record and parts are clean, and the redaction is marked."""
    record = record_of(body, redact=hush, **more)
    assert b"hush" not in record.data
    assert not any(b"hush" in part.data for part in record.parts.values())
    assert record.redacted == ("test",)


def test_a_secret_in_a_text_of_windows_is_replaced():
    """UTF-16 with its mark, as an upload; without the mark two-byte text is no text to look at."""
    marked = b"\xff\xfe" + "a hush é".encode("utf-16-le")
    record = record_of(marked, headers=(), redact=hush)
    [part] = record.parts.values()
    assert part.data == b"\xff\xfe" + "a [cas-llm:test:1] é".encode("utf-16-le")
    assert record.redacted == ("test",)
    for other in (marked[2:], marked + b"x"):
        record = record_of(other, headers=(), redact=hush)
        assert [part.data for part in record.parts.values()] == [other]
        assert record.redacted == ()


def test_bytes_around_a_secret_stay_as_they_are():
    """A body that is no UTF-8 is redacted where it is text."""
    record = record_of(b"\xff\x80 hush \xfe", headers=(), redact=hush)
    assert [part.data for part in record.parts.values()] == [b"\xff\x80 [cas-llm:test:1] \xfe"]


def test_the_class_of_a_placeholder_that_was_sent_is_not_what_was_found():
    """Only what this redaction put in is told."""
    body = {"a": "[cas-llm:other:1] hush"}
    assert record_of(body, redact=hush).redacted == ("test",)


def test_a_redacted_request_keys_the_same_when_nothing_is_found():
    """A redaction that finds nothing leaves no trace."""
    assert record_of({"a": "b"}, redact=hush).data == record_of({"a": "b"}).data


def test_the_boundary_of_a_multipart_body_is_not_in_the_key():
    """Two uploads of one file are one request; another file is another."""

    def upload(boundary, content):
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
            f"Content-Type: text/csv\r\n\r\n{content}\r\n--{boundary}--\r\n"
        )
        headers = (("content-type", f"multipart/form-data; boundary={boundary}"),)
        return record_of(body.encode(), headers=headers)

    assert upload("one", "x,y").key == upload("two", "x,y").key != upload("one", "x,z").key
    record = upload("one", "x,y")
    assert load_record(record.data)["multipart"] == [
        {"name": "purpose", "value": "batch"},
        {
            "name": "file",
            "filename": "a.csv",
            "type": "text/csv",
            "digest": digest_of(b"x,y"),
            "ext": "csv",
            "length": 3,
        },
    ]
    assert parts_of(load_record(record.data)) == {digest_of(b"x,y"): "csv"}


def test_normalisers_are_named_in_the_record():
    """A project that turns one on gets other keys, for JSON bodies only."""
    rules = Rules(("trim",))
    assert loaded({"a": " b "}, rules=rules)["normalise"] == ["trim"]
    assert loaded({"a": " b "}, rules=rules)["body"] == {"a": "b"}
    assert "normalise" not in loaded(b"", rules=rules)
    with pytest.raises(ConfigError):
        record_of({}, rules=Rules(("trimm",)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x", "not JSON"),
        (b"[]\n", "no member"),
        (b'{"k": "cas-llm/key/9"}', "cas-llm/key/9"),
        (b'{"k":"cas-llm/key/1"}', "canonical form"),
    ],
)
def test_a_file_that_is_no_record_says_why(data, reason):
    """Each way of being wrong has its own message."""
    with pytest.raises(ValueError, match=reason):
        load_record(data)


def test_the_callers_body_is_not_changed():
    """`body` is the request before splitting."""
    tools = [{"name": "t" * 60, "n": n} for n in range(60)]
    record = record_of({"tools": tools, "stream": False, "text": "x" * 3000})
    assert record.body == {"tools": tools, "text": "x" * 3000}
    assert {part.ext for part in record.parts.values()} == {"txt", "json"}


VARIANTS = (
    lambda s, n: (f'"{s} {n}"', ("s", f"{s} {n}")),
    lambda s, n: (f'"{s}  {n}"', ("s", f"{s}  {n}")),
    lambda s, n: (f'"{s.title()} {n}"', ("s", f"{s.title()} {n}")),
    lambda s, n: (json.dumps(f"{s} {n}"), ("s", f"{s} {n}")),
    lambda s, n: (
        f'"{unicodedata.normalize("NFD", s)} {n}"',
        ("s", unicodedata.normalize("NFD", s) + f" {n}"),
    ),
    lambda s, n: (f"{n}", ("n", n)),
    lambda s, n: (f"{n}.0", ("n", n)),
    lambda s, n: (f"-{n}e0", ("n", -n)),
    lambda s, n: ("-0", ("n", 0)),
    lambda s, n: ("0.0", ("n", 0)),
    lambda s, n: (f"{2**64 + n}", ("n", 2**64 + n)),
    lambda s, n: (f"{2**64 + n + 1}", ("n", 2**64 + n + 1)),
    lambda s, n: (f'"{n}"', ("s", str(n))),
)


def test_near_duplicates_are_equal_only_where_they_mean_the_same():
    """Of 100,000 near-duplicates exactly those with one value have one key."""
    rng = random.Random(1)
    words = ["grüße", "naïve", "plain", "été", "straße"]
    key_of, meaning_of = {}, {}
    for _ in range(100_000):
        text, meaning = rng.choice(VARIANTS)(rng.choice(words), rng.randrange(300))
        data = canonical(parse(f'{{"model":"m","input":{text}}}'.encode()))
        assert key_of.setdefault(meaning, data) == data
        assert meaning_of.setdefault(data, meaning) == meaning


def corpus():
    path = Path(os.environ.get("CAS_LLM_CORPUS", ""))
    if not path.is_file():
        print("0: corpus absent")
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        request = entry["request"] or {}
        text = json.dumps(request["json"]) if "json" in request else request.get("text") or ""
        headers = tuple((k.lower(), v) for k, v in (entry["request_headers"] or {}).items())
        yield Request(entry["method"].upper(), entry["url"], headers, text.encode())


def test_every_real_request_has_a_key_that_its_record_reproduces():
    """All requests of the corpus key; their records load; their parts are all there."""
    for request in corpus():
        record = key_record(request, "openai")
        assert rederive(record.data) == record.key
        assert parts_of(load_record(record.data)) == {
            name: part.ext for name, part in record.parts.items()
        }
        assert all(digest_of(part.data) == name for name, part in record.parts.items())
        assert all(re.fullmatch("[a-z0-9]{1,8}", part.ext) for part in record.parts.values())
