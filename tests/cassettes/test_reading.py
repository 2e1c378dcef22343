"""What a file is, and which calls stand in it, whichever tool wrote it."""

import gzip
import json
import zlib
from pathlib import Path

import brotli
import pytest
import yaml
from support.cassettes import (
    CHAT,
    Call,
    chat,
    completion_cache,
    gzipped,
    parsed,
    simulator,
    vcrpy,
    vcrpy_document,
    vcrpy_json,
    write,
)

from cas_llm.cassettes import reading
from cas_llm.cassettes.exchange import BadCassette
from cas_llm.errors import CasLLMError

HELLO = chat("Say “hello”", "Hello ☃", system="Be\nbrief.")


def read(tmp_path: Path, data: bytes, name: str = "a.yaml"):
    return reading.read(write(tmp_path / name, data))


@pytest.mark.parametrize("written", [vcrpy, vcrpy_json, gzipped, parsed])
def test_vcrpys_forms_say_the_same(tmp_path, written):
    """YAML, JSON, a compressed file and parsed bodies all give the request and the answer."""
    cassette = read(tmp_path, written([HELLO]))
    (one,) = cassette.exchanges
    assert cassette.dialect == "vcrpy"
    assert (one.method, one.url, one.status) == ("POST", CHAT, 200)
    assert json.loads(one.body) == HELLO.body
    assert json.loads(one.answer) == json.loads(HELLO.answer)
    assert one.recorded_at == "2026-03-02T09:30:00Z"
    if written is not parsed:
        assert one.answer == HELLO.answer


def test_a_dialect_is_told_by_content_not_by_name(tmp_path):
    """A JSON cassette under a YAML name is one, and a mapping of something else is none."""
    assert read(tmp_path, vcrpy_json([HELLO]), "a.yaml").dialect == "vcrpy"
    assert read(tmp_path, vcrpy([HELLO]), "a.json").dialect == "vcrpy"
    assert read(tmp_path, completion_cache([HELLO]), "a.txt").dialect == "completion cache"
    for other in (b"", b"on: push\n", b"[1, 2]", b"interactions: 3\n", b'{"entries": {"a": 1}}'):
        assert read(tmp_path, other) is None


def test_an_encoded_answer_stays_as_it_was_sent(tmp_path):
    """Bytes keep their coding and its header; a text is decoded already, whatever a header says."""
    plain = HELLO.answer
    for coding, encoded in {
        "gzip": gzip.compress(plain),
        "deflate": zlib.compress(plain),
        "br": brotli.compress(plain),
    }.items():
        header = {"content-encoding": coding}
        call = Call(HELLO.body, encoded, answer_headers=header)
        (one,) = read(tmp_path, vcrpy([call])).exchanges
        assert one.answer == encoded
        assert ("content-encoding", coding) in one.answer_headers
        (one,) = read(tmp_path, vcrpy([Call(HELLO.body, plain, answer_headers=header)])).exchanges
        assert one.answer == plain
        assert "content-encoding" not in dict(one.answer_headers)


def test_vcrpys_older_forms_are_read(tmp_path):
    """`status_code` with `content`, base64 under its own name, and a body sent in pieces."""
    document = vcrpy_document([HELLO, HELLO, HELLO])
    first, second, third = document["interactions"]
    first["response"] = {"status_code": 201, "content": "old", "headers": {"a": "b"}}
    second["response"]["body"] = {"base64_string": "b2xk"}
    third["request"]["body"] = [b'{"a":', b"1}"]
    found = read(tmp_path, yaml.dump(document).encode()).exchanges
    assert [(one.status, one.answer) for one in found[:2]] == [(201, b"old"), (200, b"old")]
    assert found[2].body == b'{"a":1}'


def test_tags_of_vcrpy_give_their_contents_and_others_run_nothing(tmp_path):
    """Texts, tuples and buffers are values; a tag that would run code is refused by name."""
    text = """
interactions:
- request:
    method: !!python/unicode 'POST'
    uri: !!python/str 'https://api.openai.com/v1/chat/completions'
    headers: {a: !!python/tuple [b, c]}
    body: !!python/object/new:_io.BytesIO {state: !!python/tuple [!!binary eA==, 0, null]}
  response: {status: {code: 200}, headers: {}, body: {string: !!python/unicode 'y'}}
"""
    (one,) = read(tmp_path, text.encode()).exchanges
    assert (one.method, one.body, one.answer) == ("POST", b"x", b"y")
    assert one.headers == (("a", "b"), ("a", "c"))
    witness = tmp_path / "ran"
    bad = f"interactions:\n- !!python/object/apply:os.mkdir [{witness}]\n"
    with pytest.raises(BadCassette, match=r"os\.mkdir"):
        read(tmp_path, bad.encode())
    assert not witness.exists()


def test_plain_words_of_a_body_stay_texts(tmp_path):
    """A date, `yes` and `1:30` in a YAML body are what a JSON body would say: texts."""
    text = """
interactions:
- request: {method: POST, uri: 'https://api.openai.com/v1/embeddings', headers: {}, body: {type: json,
    content: {day: 2026-11-21, said: yes, at: 1:30, n: 010, f: 1.0e-05, t: true, none: null}}}
  response: {status: 200, headers: {}, body: {type: none}}
  recorded_at: 2026-11-21T22:42:09.118621+00:00
"""
    cassette = read(tmp_path, text.encode())
    (one,) = cassette.exchanges
    assert cassette.dialect == "cassetter"
    assert json.loads(one.body) == {
        "day": "2026-11-21", "said": "yes", "at": "1:30", "n": 10, "f": 1e-05, "t": True, "none": None
    }  # fmt: skip
    assert one.recorded_at == "2026-11-21T22:42:09Z"


def test_a_filtered_body_is_none_and_an_empty_one_is_empty(tmp_path):
    """What was posted and is not there was left out; a length of 0 says that nothing was."""
    calls = [
        Call(None, b"{}"),
        Call(None, b"{}", headers={"Content-Length": "0"}),
        Call(None, b"{}", method="GET"),
    ]
    assert [one.body for one in read(tmp_path, vcrpy(calls)).exchanges] == [None, b"", b""]


def test_the_simulators_recordings_keep_latency_and_lose_long_bodies(tmp_path):
    """A path is Azure's, the duration is the answer's, and a body above its limit is not there."""
    azure = f"https://x.openai.azure.com/openai/deployments/gpt/{CHAT.split('/v1/')[1]}"
    short = Call({"messages": [{"role": "user", "content": "hi"}]}, HELLO.answer, url=azure)
    long = Call({"messages": [{"role": "user", "content": "hi" * 999}]}, HELLO.answer, url=azure)
    cassette = read(tmp_path, simulator([short, long]))
    one, other = cassette.exchanges
    assert cassette.dialect == "simulator"
    assert one.url.endswith(".openai.azure.com/openai/deployments/gpt/chat/completions")
    assert (one.seconds, json.loads(one.body)) == (0.42, short.body)
    assert other.body is None


def test_the_completion_cache_becomes_chat_completions(tmp_path):
    """Prompts become messages, the cost goes, and a slash in the model names OpenRouter."""
    routed = chat("hi", "ho", model="meta/llama")
    one, other = read(tmp_path, completion_cache([HELLO, routed]), "cache.json").exchanges
    assert (one.url, json.loads(one.body)) == (CHAT, HELLO.body)
    assert json.loads(one.answer) == json.loads(HELLO.answer)
    assert other.url.startswith("https://openrouter.ai/")
    flat = {
        "content": "Hi",
        "usage": {"total_tokens": 3},
        "cost": 1,
        "timestamp": "2026-01-02T03:04:05",
    }
    document = json.loads(completion_cache([HELLO]))
    next(iter(document["entries"].values()))["response"] = flat
    (one,) = read(tmp_path, json.dumps(document).encode()).exchanges
    answer = json.loads(one.answer)
    assert (answer["choices"][0]["message"]["content"], answer["usage"]) == (
        "Hi",
        {"total_tokens": 3},
    )
    assert one.recorded_at == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    "data",
    [
        b"\x1f\x8bnot really",
        b"interactions: [unclosed",
        vcrpy_json([HELLO]).replace(b'"code": 200', b'"code": "soon"'),
        vcrpy_json([HELLO]).replace(b'"response"', b'"response": 3, "x"'),
        completion_cache([HELLO]).replace(b'"model"', b'"modell"'),
    ],
)
def test_a_damaged_cassette_is_told(tmp_path, data):
    """What is one and cannot be read says why, and nothing else is raised."""
    with pytest.raises(BadCassette):
        read(tmp_path, data)


def test_folders_give_their_files_of_a_kind(tmp_path):
    """Only what may be a cassette is looked at in a folder; what is named is, whatever it is."""
    for name in ("b.yaml", "a/c.yaml.gz", "a/d.JSON", "a/.git/e.yaml", "a/f.py"):
        write(tmp_path / name, b"")
    found = reading.files_of([tmp_path])
    assert sorted(path.name for path in found) == ["b.yaml", "c.yaml.gz", "d.JSON"]
    assert reading.files_of([tmp_path / "a/f.py"]) == [tmp_path / "a/f.py"]
    with pytest.raises(CasLLMError, match="no such file"):
        reading.files_of([tmp_path / "gone"])
