"""Every real exchange of the corpus is captured and replayed byte for byte.

A loopback provider serves the recorded answers; the clients keep the real URLs, because only the
pool's network backend, below everything that cas-llm sees, leads each name to loopback.
"""

import contextlib
import hashlib
import importlib
import json
import time
from collections import Counter

import httpx
import httpx2
import pytest
from support.provider import Reply

import cas_llm
from cas_llm.keys import rederive

LIBRARIES = (httpx, httpx2)
_STYLES = (
    {"separators": (",", ":"), "ensure_ascii": False},
    {"ensure_ascii": False},
    {"indent": 2, "ensure_ascii": False},
    {"ensure_ascii": True},
)

ANTHROPIC = "anthropic.types"
OPENAI = "openai.types"
OBJECTS = (
    ("api.anthropic.com", "/v1/messages", ANTHROPIC, "Message"),
    ("api.anthropic.com", "/v1/messages/count_tokens", ANTHROPIC, "MessageTokensCount"),
    ("", "/chat/completions", f"{OPENAI}.chat", "ChatCompletion"),
    ("api.openai.com", "/v1/responses", f"{OPENAI}.responses", "Response"),
    ("api.openai.com", "/v1/embeddings", OPENAI, "CreateEmbeddingResponse"),
    ("", ":generateContent", "google.genai.types", "GenerateContentResponse"),
)
"""Host, end of the path, and the SDK's class for what is said there."""


class Undressed:
    """A connection to loopback on which nobody speaks TLS."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def start_tls(self, *args, **options):
        return self


class Detour:
    """A network backend that leads every name to one port of loopback, and counts."""

    def __init__(self, backend, port):
        self._backend = backend
        self._port = port
        self.connections = 0

    def connect_tcp(self, host, port, **options):
        self.connections += 1
        return Undressed(self._backend.connect_tcp("127.0.0.1", self._port, **options))

    def sleep(self, seconds):
        time.sleep(seconds)


@contextlib.contextmanager
def clients(port):
    """A client of each library whose connections take the detour, which counts them."""
    found = []
    for library in LIBRARIES:
        transport = library.HTTPTransport()
        transport._pool._network_backend = Detour(transport._pool._network_backend, port)
        found.append((library.Client(transport=transport), transport._pool._network_backend))
    yield found
    for client, _ in found:
        client.close()


def request_body(exchange):
    part = exchange["request"] or {}
    return json.dumps(part["json"]).encode() if "json" in part else part.get("text", "").encode()


def response_body(exchange, number):
    """The recorded answer; JSON in one of the styles that providers write it in."""
    part = exchange["response"]
    if "json" in part:
        return json.dumps(part["json"], **_STYLES[number % len(_STYLES)]).encode()
    return part["text"].encode()


def reply(exchange, number):
    """The answer as a provider sends it: event streams piece by piece."""
    body = response_body(exchange, number)
    headers = tuple(exchange["headers"].items())
    if not exchange["headers"].get("content-type", "").startswith("text/event-stream"):
        return Reply(status=exchange["status"], headers=headers, body=body)
    chunks = tuple(piece + b"\n\n" for piece in body.split(b"\n\n"))
    chunks = (*chunks[:-1], chunks[-1].removesuffix(b"\n\n"))
    return Reply(
        status=exchange["status"], headers=headers, chunks=tuple(piece for piece in chunks if piece)
    )


def ask(client, exchange):
    return client.request(
        exchange["method"].upper(),
        exchange["url"],
        headers=exchange["request_headers"],
        content=request_body(exchange),
    )


def typed(exchange, body):
    """The body as the SDK's own object, or None where no class fits."""
    if exchange["status"] != 200 or "json" not in exchange["response"]:
        return None
    url = httpx.URL(exchange["url"])
    for host, ending, module, name in OBJECTS:
        if (not host or url.host == host) and url.path.endswith(ending):
            try:
                kind = getattr(importlib.import_module(module), name)
            except ModuleNotFoundError:
                return None
            if module.startswith("google"):
                # Google's classes refuse members that are newer than they are.
                with contextlib.suppress(ValueError):
                    return kind.model_validate_json(body)
                return None
            return kind.construct(**json.loads(body))
    return None


def is_sound(store):
    """Every request's and object's name is the SHA-256 of its bytes."""
    for path in [*(store / "requests").glob("*/*"), *(store / "objects").glob("*/*")]:
        if path.name.startswith("."):
            continue
        name = path.parent.name + path.name.partition(".")[0]
        if hashlib.sha256(path.read_bytes()).hexdigest() != name:
            return False
    return True


@pytest.fixture
def exchanges(corpus, monkeypatch):
    """The corpus, with settings that let all of it be recorded."""
    monkeypatch.setenv("CAS_LLM_RECORD_ERRORS", "all")
    monkeypatch.setenv("CAS_LLM_MAX_COST", "1000")
    if not corpus:
        print("0: corpus absent")
    return corpus


def test_every_real_exchange_replays_byte_for_byte(exchanges, provider, store):
    """Recorded through one library and replayed through the other: bytes, objects, order, keys."""
    if not exchanges:
        return
    provider.script(lambda received: reply(exchanges[received.number - 1], received.number - 1))
    total = len(exchanges)
    with (
        clients(provider.port) as pair,
        cas_llm.use("capture", store=store, name="corpus") as session,
    ):
        live = [ask(pair[number % 2][0], exchanges[number]) for number in range(total)]
        assert session.runtime.log.sums.stored == total
    assert provider.count == total

    facts: Counter[str] = Counter()
    with (
        clients(provider.port) as pair,
        cas_llm.use("replay", store=store, name="corpus") as session,
    ):
        for number, exchange in enumerate(exchanges):
            again = ask(pair[(number + 1) % 2][0], exchange)
            mark = again.extensions["cas_llm"]
            body = response_body(exchange, number)
            assert mark.outcome == "hit", exchange["source"]
            facts["identical"] += again.content == live[number].content == body
            facts["alike"] += (again.status_code, again.headers["content-type"]) == (
                live[number].status_code,
                live[number].headers["content-type"],
            )
            facts["repeated"] += mark.ordinal > 1
            stored = (store / "requests" / mark.key[:2] / f"{mark.key[2:]}.json").read_bytes()
            facts["rederived"] += rederive(stored) == mark.key
            answer = session.runtime.store.load(mark.digest)
            facts["altered"] += answer.response.body != body
            facts["redacted requests"] += "redacted" in answer.marks
            thing = typed(exchange, again.content)
            if thing is not None:
                facts[f"{type(thing).__module__.partition('.')[0]} objects"] += 1
                assert thing == typed(exchange, live[number].content), exchange["source"]
        assert sum(detour.connections for _, detour in pair) == 0
    print(dict(facts))
    print(f"{facts['identical']} of {total}")
    assert provider.count == total
    assert facts["identical"] == facts["alike"] == facts["rederived"] == total
    assert facts["altered"] == 0
    assert is_sound(store)


@pytest.mark.slow
def test_the_corpus_replays_without_its_scope(exchanges, provider, store):
    """Recorded outside any block: the first answer of each request serves every repetition."""
    if not exchanges:
        return
    bodies = {}

    def script(received):
        number = numbers.pop(0)
        bodies[number] = response_body(exchanges[number], number)
        return reply(exchanges[number], number)

    numbers: list[int] = []
    provider.script(script)
    seen = {}
    with clients(provider.port) as pair, cas_llm.use("fallback", store=store):
        client, _ = pair[0]
        for number, exchange in enumerate(exchanges):
            numbers[:] = [number]
            seen[number] = ask(client, exchange).content
    calls = provider.count
    with clients(provider.port) as pair, cas_llm.use("replay", store=store):
        client, detour = pair[1]
        same = [ask(client, exchange).content == seen[n] for n, exchange in enumerate(exchanges)]
        assert detour.connections == 0
    print(f"{sum(same)} of {len(same)}, {calls} distinct requests")
    assert provider.count == calls
    failed = sum(exchange["status"] >= 400 for exchange in exchanges)
    assert sum(same) >= len(same) - failed
    assert is_sound(store)
