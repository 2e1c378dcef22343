"""A secret in a prompt is on no disk, and its request replays all the same."""

import gzip
import json
import secrets
import subprocess

import pytest
from support.desk import JSON, a_test, chat, completion, said

from cas_llm.session import Scope
from cas_llm.wire import Response


@pytest.fixture
def secret():
    """A key of a provider's shape, made for this test."""
    return "-".join(("sk", "proj", secrets.token_urlsafe(36).replace("-", "x").replace("_", "y")))


def places(folder, secret):
    """Files below *folder*, hidden ones too, that hold the secret, in content or name."""
    held = []
    for path in folder.rglob("*"):
        if path.is_file() and secret.encode() in path.read_bytes():
            held.append(path)
        if secret in path.name:
            held.append(path)
    return held


@pytest.mark.parametrize("passes", [True, False], ids=["passed", "pending"])
@pytest.mark.parametrize("git", [True, False], ids=["git", "no git"])
def test_a_secret_in_the_prompt_is_nowhere_on_disk(desk, tmp_path, upstream, secret, git, passes):
    """Not in the store, .local, the pending folder or the git directory; upstream saw it raw."""
    if git:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    made, scope = desk("fallback"), a_test()
    made.ask(chat(f"My key is {secret}."), scope)
    made.ask(chat("and", f"{secret}", "again"), scope)
    if passes:
        made.passed(scope)
    made.runtime.store.flush()
    assert secret.encode() in upstream.received[0].body
    assert len(list(tmp_path.rglob("*.json"))) > 3
    assert places(tmp_path, secret) == []


def test_a_secret_that_the_answer_repeats_is_not_stored(desk, tmp_path, upstream, secret):
    """In a body, in a stream cut in the middle of it, and in a kept header."""
    made, scope = desk("fallback"), Scope()
    made.ask(chat(f"Say {secret}"), scope)
    events = [
        {"choices": [{"index": 0, "delta": {"content": piece}}]}
        for piece in (secret[:9], secret[9:20], secret[20:] + " is it")
    ]
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    headers = (("content-type", "text/event-stream"), ("x-request-id", secret))
    upstream.answer = lambda _request: Response(200, headers, stream + b"data: [DONE]\n\n")
    made.ask(chat("stream it", stream=True), scope)
    assert places(tmp_path, secret) == []
    for half in (secret[9:20], secret[20:]):
        assert places(tmp_path, half) == []


def test_a_request_with_a_secret_still_hits(desk, upstream, secret):
    """Redacted before it was hashed, the request reproduces its own key; so does another secret."""
    asked = chat(f"My key is {secret}.")
    first = desk("fallback").says(asked, Scope())
    assert first.startswith("1: My key is sk-")
    replayed = desk("replay").ask(asked, Scope())
    assert replayed.status == 200
    assert secret not in said(replayed)
    assert upstream.count == 1


def test_the_answer_says_that_it_was_redacted(desk, root, secret):
    """A mark, so that people know why the bytes differ."""
    desk("fallback").ask(chat(f"My key is {secret}."), Scope())
    (path,) = root.glob("objects/*/*.json")
    assert "redacted" in path.read_text()


def test_the_value_of_a_secret_variable_is_redacted(desk, tmp_path, monkeypatch):
    """Whatever its shape, and as soon as it is set."""
    value = "".join(("correct", "horse", secrets.token_hex(8)))
    monkeypatch.setenv("ACME_API_KEY", value)
    made = desk("fallback")
    made.ask(chat(f"Log in with {value}"), Scope())
    assert places(tmp_path, value) == []


def test_a_rule_of_the_project_redacts(desk, tmp_path, upstream):
    """`redact` names a class and a pattern."""
    made = desk("fallback", redact=["customer=CUST-[0-9]{6}"])
    made.ask(chat("Ship to CUST-123456"), Scope())
    assert places(tmp_path, "CUST-123456") == []
    assert b"CUST-123456" in upstream.received[0].body


def test_a_secret_the_rules_miss_refuses_the_write(desk, tmp_path, upstream):
    """The scan of what would be written names the place, never the value, and nothing is kept."""
    token = "-".join((secrets.token_hex(16), "us12"))
    upstream.answer = lambda _request: completion(f"Your token: {token}")
    made, scope = desk("fallback"), Scope()
    response = made.ask(chat("hi"), scope)
    assert said(response).endswith(token)
    assert places(tmp_path, token) == []
    (problem,) = made.log.problems
    assert problem.kind == "secret"
    assert token not in problem.detail
    assert "$." in problem.detail


def test_a_miss_does_not_print_the_secret(desk, secret):
    """Explanations go to logs and to CI."""
    made = desk("replay")
    response = made.ask(chat(f"My key is {secret}."), Scope())
    assert secret.encode() not in response.body
    assert secret not in str(made.log.problems)


def test_the_run_folder_holds_no_secret(desk, secret):
    """Claims, flights and answers are named by digests."""
    made = desk("fallback")
    made.ask(chat(f"My key is {secret}."), a_test(f"t.py::t[{secret[:8]}]"))
    assert places(made.runtime.run.folder, secret) == []


def test_an_authorization_header_is_not_in_the_store(desk, root, tmp_path, secret):
    """Auth is neither in the key nor in the record."""
    headers = (("authorization", f"Bearer {secret}"), ("x-api-key", secret), *JSON)
    desk("fallback").ask(chat("hi", headers=headers), Scope())
    assert places(tmp_path, secret) == []
    assert desk("replay").ask(chat("hi"), Scope()).status == 200


def test_a_secret_in_a_body_that_stays_encoded_refuses_the_write(desk, tmp_path, upstream, secret):
    """What the reader wants encoded can't be rewritten, so it is not written at all."""
    made, scope = desk("fallback"), Scope()
    headers = (*JSON, ("content-encoding", "x-gzip"))
    body = gzip.compress(json.dumps(completion(f"your key is {secret}")).encode())
    action = made.begin(chat("encoded"), scope)
    action.recorder.head(200, headers, readable=())
    action.recorder.chunk(body)
    action.recorder.end()
    (problem,) = scope.problems
    assert problem.kind == "secret"
    assert secret not in problem.detail
    assert not list(tmp_path.rglob("objects/*/*.json"))
