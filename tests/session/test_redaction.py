"""A secret in a prompt is on no disk, and its request replays all the same."""

import base64
import gzip
import json
import secrets
import subprocess

import pytest
from support.desk import JSON, URL, a_test, chat, completion, said

from cas_llm.redact import credentials_of
from cas_llm.session import Scope
from cas_llm.session.report import log_document
from cas_llm.wire import Request, Response


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


def refused(made):
    """What the one refused write says."""
    (problem,) = made.log.problems
    assert problem.kind == "secret"
    return problem.detail


def upload(content, *, name="notes.md", kind="text/markdown"):
    """A file upload whose field stays as sent: its type decides the part's extension."""
    head = f'content-disposition: form-data; name="file"; filename="{name}"\r\ncontent-type: {kind}'
    body = b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n--b--\r\n"
    headers = (("content-type", "multipart/form-data; boundary=b"),)
    return Request("POST", "https://api.openai.com/v1/files", headers, body)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.md", "text/markdown"),
        ("a.csv", "text/csv"),
        ("a.jsonl", "application/jsonl"),
        ("a.env", "text/plain"),
        ("a.bin", "application/octet-stream"),
    ],
)
def test_a_text_of_any_extension_is_looked_at_before_it_is_written(
    desk, tmp_path, upstream, name, kind
):
    """A secret only the last scan knows refuses the upload it stands in, whatever it is called."""
    token = "-".join((secrets.token_hex(16), "us12"))
    upstream.answer = lambda _request: {"id": "file-1", "object": "file"}
    made = desk("fallback")
    made.ask(upload(f"token {token}".encode(), name=name, kind=kind), Scope())
    detail = refused(made)
    assert "a part of the request" in detail
    assert token not in detail
    assert places(tmp_path, token) == []


def data_url(text):
    return f"data:text/markdown;base64,{base64.b64encode(text.encode()).decode()}"


def test_a_secret_in_base64_is_taken_out(desk, tmp_path, upstream, secret):
    """The letters that say it are replaced, those around it stay, and the request replays."""
    url = data_url(f"Notes of a meeting that nobody remembers. The key is {secret}.")
    request = chat("see the file", file={"file_data": url})
    made = desk("fallback")
    made.ask(request, Scope())
    assert not made.log.problems
    assert upstream.received == [request]
    (record,) = tmp_path.glob("cache_store/requests/*/*.json")
    assert url[:60] in record.read_text()
    assert "[cas-llm:openai-key:1]" in record.read_text()
    assert desk("replay").ask(request, Scope()).status == 200


@pytest.mark.parametrize("place", ["file", "prompt"])
def test_a_secret_in_long_base64_refuses_the_write(desk, tmp_path, secret, place):
    """A document is too long to decode for every request; before it is written it is looked at."""
    url = data_url("Notes that go on and on. " * 300 + f"The key is {secret}.")
    more = {"file": {"file_data": url}} if place == "file" else {}
    made = desk("fallback")
    made.ask(chat("see the file" if more else f"see {url[26:]}", **more), Scope())
    detail = refused(made)
    assert "a part of the request" in detail
    assert secret not in detail
    assert not list(tmp_path.rglob("objects/*/*.json"))


def test_a_secret_in_the_tests_name_refuses_the_write(desk, tmp_path, secret):
    """Its tape would be named after it; the message says how to give the parameter a name."""
    made, scope = desk("fallback"), a_test(f"tests/test_a.py::test_one[{secret}]")
    made.ask(chat("hi"), scope)
    detail = refused(made)
    assert "pytest.param" in detail
    assert secret not in detail
    assert places(tmp_path, secret) == []
    assert not list(tmp_path.rglob("objects/*/*.json"))
    assert secret not in json.dumps(log_document(made.log))


def test_namespace_and_user_agent_are_redacted(desk, tmp_path, secret):
    """Both are stored: one in the key's record, one in the answer."""
    headers = (("x-cas-llm-namespace", f"n {secret}"), ("user-agent", f"app/1 ({secret})"))
    made = desk("fallback")
    made.ask(chat("hi", headers=headers), Scope())
    assert not made.log.problems
    assert places(tmp_path, secret) == []
    assert desk("replay").ask(chat("hi", headers=headers), Scope()).status == 200


def test_a_rule_of_the_project_may_match_what_cas_llm_writes_itself(desk, root):
    """Digests and dates hold any digits; a rule for six of them refuses no write."""
    made = desk("fallback", redact=["number=[0-9]{4}"])
    made.ask(chat("Order 4711"), Scope())
    assert not made.log.problems
    assert list(root.glob("objects/*/*.json"))


@pytest.mark.parametrize("where", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "?"])
def test_a_key_the_client_was_handed_is_taken_out(desk, tmp_path, upstream, where):
    """No variable names it and no format knows it, but the request carries it."""
    key = "".join(("corp", secrets.token_hex(12)))
    value = f"Bearer {key}" if where == "authorization" else key
    headers = () if where == "?" else ((where, value),)
    url = f"{URL}?key={key}" if where == "?" else URL
    asked = chat(f"My key is {key}.", headers=headers, url=url)
    made, scope = desk("fallback"), a_test()
    answer = made.says(asked, scope)
    made.passed(scope)
    assert key in answer
    assert upstream.received == [asked]
    assert places(tmp_path, key) == []
    assert not made.log.problems
    assert "[cas-llm:request-key:1]" in said(desk("replay").ask(asked, a_test()))


def test_a_key_of_the_environment_keeps_its_variables_name(desk, monkeypatch):
    """A value that has a name, or a format, is called by it whether the request carries it."""
    key = "".join(("corp", secrets.token_hex(12)))
    monkeypatch.setenv("ACME_API_KEY", key)
    made = desk("fallback")
    made.ask(chat(f"My key is {key}.", headers=(("api-key", key),)), Scope())
    without = desk("replay").ask(chat(f"My key is {key}."), Scope())
    assert "[cas-llm:env:ACME_API_KEY:1]" in said(without)


def test_a_known_format_keeps_its_name(desk, secret):
    """A prompt with a provider's key has one key, whoever asks."""
    made = desk("fallback")
    made.ask(chat(f"My key is {secret}.", headers=(("api-key", secret),)), Scope())
    assert desk("replay").ask(chat(f"My key is {secret}."), Scope()).status == 200


def test_a_stand_in_for_a_key_is_no_secret(desk, root):
    """The word `unused` as a key doesn't take every `unused` out of the prompts."""
    for word in ("unused", "test-key", "not-needed"):
        asked = chat(f"what is {word}?", headers=(("authorization", f"Bearer {word}"),))
        desk("fallback").ask(asked, Scope())
        assert desk("replay").ask(chat(f"what is {word}?"), Scope()).status == 200


def test_one_redactor_serves_all_requests_with_the_same_key(desk, monkeypatch):
    """A hit doesn't compile it anew; another environment does."""
    made = desk("fallback")
    settings = made.session.settings
    one = chat("a", headers=(("api-key", "corp" + "0a1b2c3d4e"),))
    other = chat("b", headers=(("api-key", "corp" + "0a1b2c3d4e"),))
    first = made.runtime.redactor(settings, one)
    assert made.runtime.redactor(settings, other) is first
    assert made.runtime.redactor(settings) is not first
    monkeypatch.setenv("ACME_API_KEY", "corp" + "9z8y7x6w5v")
    assert made.runtime.redactor(settings, one) is not first


def test_a_key_inside_a_gateways_configuration_is_taken_out(desk, tmp_path):
    """The configuration is part of the key, the provider's key in it is not."""
    key = "".join(("corp", secrets.token_hex(12)))
    config = json.dumps({"provider": "openai", "api_key": key})
    asked = chat("hi", headers=(("x-portkey-config", config),))
    made = desk("fallback")
    made.ask(asked, Scope())
    assert not made.log.problems
    assert places(tmp_path, key) == []
    assert desk("replay").ask(asked, Scope()).status == 200


def test_a_signature_made_for_one_request_is_no_credential():
    """It opens nothing else, and a redactor for every request would cost every hit."""
    signed = "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=" + "0a1b2c3d" * 8
    assert credentials_of(chat("hi", headers=(("authorization", signed),))) == ()
