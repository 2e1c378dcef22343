"""What every HTTP library below httpx's level is held to: requests, urllib3 and aiohttp."""

import asyncio
import gzip
import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor

import brotli
import pytest
from support.callers import CALLERS, STREAMING, Call, by_httpx, everyone, with_aiohttp
from support.provider import Reply

import cas_llm

JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream"),)
RAW = (("content-type", "application/octet-stream"),)
GREETED = '{"id": "1", "choices": [{"message": {"content": "héllo 🎈"}}]}'.encode()

each = pytest.mark.parametrize("caller", CALLERS.values(), ids=list(CALLERS))
each_streaming = pytest.mark.parametrize("caller", STREAMING.values(), ids=list(STREAMING))

BODIES = {
    "JSON": (JSON, GREETED),
    "NaN": (JSON, b'{"a": NaN, "a": 1e400}'),
    "invalid UTF-8": ((("content-type", "text/plain"),), b"caf\xe9 \xff\xfe \r\n\xc3"),
    "empty": (JSON, b""),
    "a megabyte": (RAW, bytes(range(256)) * 4096),
}
CODINGS = {
    "gzip": gzip.compress,
    "gzip of two members": lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:]),
    "deflate": zlib.compress,
    "br": brotli.compress,
    "rot13": bytes,
}
EVENTS = Reply.sse([{"n": number, "text": "wörd 🎈"} for number in range(4)], done=True)


def chat(provider, **more):
    """A chat completion request to *provider*."""
    return Call(f"{provider.url}/chat/completions", **more)


def both(caller, call, store):
    """What a program sees while recording, and in replay."""
    with cas_llm.use("fallback", store=store):
        recorded = caller(call)
    with cas_llm.use("replay", store=store):
        return recorded, caller(call)


def text_of(store):
    """All that lies in the store."""
    return b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())


@each
@pytest.mark.parametrize("what", BODIES)
def test_a_body_replays_byte_for_byte(provider, store, caller, what):
    """Sent whole or in chunks: the program sees the same, and the provider is asked once."""
    headers, body = BODIES[what]
    step = max(1, len(body) // 3)
    chunks = tuple(body[at : at + step] for at in range(0, len(body), step))
    for number, reply in enumerate(
        (Reply(headers=headers, body=body), Reply(200, headers, b"", chunks))
    ):
        provider.script(lambda _, reply=reply: reply)
        asked = chat(provider, body={**json.loads(Call("").data), "seed": number})
        recorded, replayed = both(caller, asked, store)
        assert recorded.body == body
        assert (replayed.status, replayed.body) == (recorded.status, body)
        assert replayed.headers.get("content-type") == recorded.headers["content-type"]
    assert provider.count == 2


@each
@pytest.mark.parametrize("coding", CODINGS)
def test_an_encoded_body_replays_as_what_the_program_read(provider, store, caller, coding):
    """The library's decoding is its own; what it makes of the body is what it makes of the replay."""
    encoded = CODINGS[coding](GREETED)
    headers = (*JSON, ("content-encoding", coding.partition(" ")[0]))
    provider.script(lambda _: Reply(headers=headers, body=encoded))
    recorded, replayed = both(caller, chat(provider), store)
    assert recorded.body == replayed.body
    if "two" not in coding or "aiohttp" not in caller.__name__:
        assert recorded.body == GREETED
    assert provider.count == 1
    if coding != "rot13":
        assert "héllo 🎈".encode() in text_of(store) or recorded.body != GREETED
        assert b"content-encoding" not in text_of(store)


@each_streaming
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_stream_replays_in_the_same_pieces(provider, store, caller, coding):
    """What the provider sent as one chunk, the program gets as one, live and replayed."""
    provider.script(lambda _: EVENTS.encoded(coding) if coding else EVENTS)
    recorded, replayed = both(caller, chat(provider), store)
    assert replayed.told == recorded.told
    assert recorded.pieces == EVENTS.chunks
    assert provider.count == 1


@each_streaming
def test_a_stream_left_early_is_kept_as_far_as_it_was_read(provider, store, caller):
    """The same reader is served; one that reads on gets a loud miss, not a short answer."""
    provider.script(lambda _: EVENTS)
    recorded, replayed = both(caller, chat(provider, take=2), store)
    assert recorded.pieces == replayed.pieces == EVENTS.chunks[:2]
    assert b'"incomplete"' in text_of(store)
    with (
        pytest.raises(cas_llm.CacheMiss, match="left early when it was recorded"),
        cas_llm.use("replay", store=store),
    ):
        caller(chat(provider))
    assert provider.count == 1


@each_streaming
def test_a_stream_left_after_its_last_event_is_complete(provider, store, caller):
    """SDKs close at `[DONE]` without reading on."""
    provider.script(lambda _: EVENTS)
    count = len(EVENTS.chunks)
    recorded, replayed = both(caller, chat(provider, take=count), store)
    assert recorded.pieces == replayed.pieces == EVENTS.chunks
    assert b'"incomplete"' not in text_of(store)


@each
def test_a_miss_is_one_answer_that_explains_itself(provider, store, caller):
    """Nobody is called, nothing is retried, and the program can read why."""
    with pytest.raises(cas_llm.CacheMiss) as ended, cas_llm.use("replay", store=store):
        seen = caller(chat(provider))
    assert [miss.kind for miss in ended.value.misses] == ["not recorded"]
    assert (seen.status, provider.count) == (424, 0)
    assert "cas-llm: not recorded" in seen.json["error"]["message"]
    assert seen.headers["x-should-retry"] == "false"


@each
def test_an_error_answer_is_not_stored(provider, store, caller):
    """The next run asks again."""
    provider.script(
        lambda received: Reply.of({"error": "busy"}, 500) if received.number == 1 else None
    )
    with cas_llm.use("fallback", store=store):
        assert [caller(chat(provider)).status for _ in range(3)] == [500, 200, 200]
    assert provider.count == 2


@each
def test_an_answer_that_breaks_off_is_not_stored(provider, store, caller):
    """The library says so in its own way; nothing half is replayed."""
    whole = Reply.of({"id": "x" * 1000})
    provider.script(lambda _: Reply(headers=whole.headers, body=whole.body, close_after=100))
    with cas_llm.use("fallback", store=store):
        for _ in range(2):
            with pytest.raises(Exception, match="(?i)incomplete|payload|premature|broken"):
                caller(chat(provider))
    assert provider.count == 2
    assert not list(store.glob("objects/*/*.json"))


@each
def test_no_secret_is_written_and_none_is_in_the_key(provider, store, caller):
    """A key in a header or in the text stays out of the store; another key finds the same answer."""
    first, second = ("sk-proj-" + letter * 40 + "T3BlbkFJ" + letter * 40 for letter in "ab")
    for mode, key in (("fallback", first), ("replay", second)):
        body = {"model": "m", "messages": [{"role": "user", "content": f"my key is {key}"}]}
        asked = chat(provider, body=body, headers={"authorization": f"Bearer {key}"})
        with cas_llm.use(mode, store=store):
            assert caller(asked).status == 200
    assert provider.count == 1
    assert provider.calls[0].headers["authorization"] == f"Bearer {first}"
    assert first.encode() not in text_of(store)


@each
def test_a_redirect_replays_hop_by_hop(provider, store, caller):
    """Both hops are asked once, and the program ends up where it did."""

    def script(received):
        if received.path.endswith("/elsewhere"):
            return Reply.of({"number": received.number})
        where = (("location", f"{provider.root}/elsewhere"),)
        return Reply(status=307, headers=where, body=b"moved")

    provider.script(script)
    recorded, replayed = both(caller, chat(provider), store)
    assert recorded.json == replayed.json == {"number": 2}
    assert replayed.url == recorded.url
    assert recorded.url.endswith("/elsewhere")
    assert provider.count == 2
    assert b'"incomplete"' not in text_of(store)


@each
def test_per_call_controls_are_heeded_and_taken_off(provider, store, caller):
    """They decide, and the provider never sees them, nor does the key."""
    controls = {"x-cas-llm-mode": "disabled", "X-CAS-LLM-Namespace": "n"}
    with cas_llm.use("fallback", store=store):
        numbers = [caller(chat(provider, headers=controls)).json["id"] for _ in range(2)]
    assert len(set(numbers)) == 2
    assert not [name for call in provider.calls for name in call.headers if "cas-llm" in name]
    assert not list(store.glob("objects/*/*.json"))


@each
def test_disabled_stores_nothing(provider, store, caller):
    """Every call is made."""
    with cas_llm.use("disabled", store=store):
        assert caller(chat(provider)).json["id"] != caller(chat(provider)).json["id"]
    assert provider.count == 2
    assert not store.exists()


@each
def test_capture_asks_anew_and_replay_keeps_the_order(provider, store, caller):
    """Two asks in a block are two answers, and come back as these two."""
    with cas_llm.use("capture", store=store, name="twice"):
        recorded = [caller(chat(provider)).told for _ in range(2)]
    with cas_llm.use("replay", store=store, name="twice"):
        assert [caller(chat(provider)).told for _ in range(2)] == recorded
    assert (provider.count, len(set(recorded))) == (2, 2)


@each
def test_on_ci_nothing_leaves_the_machine(provider, store, caller, monkeypatch):
    """The refusal is an answer, too, and no name is looked up."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(cas_llm.CacheMiss, match="CI is set"), cas_llm.use("fallback", store=store):
        seen = caller(Call("https://api.openai.com/v1/chat/completions"))
    assert seen.status == 424


@each
def test_a_request_that_does_not_count_passes(provider, store, caller):
    """The program's own server is nobody's business, even in replay."""
    provider.script(lambda received: Reply.of({"number": received.number}))
    with cas_llm.use("replay", store=store):
        assert caller(Call(f"{provider.root}/forms/1/responses", body={"a": 1})).json == {
            "number": 1
        }
    assert not store.exists()


@each
def test_a_hit_is_marked_with_its_key(provider, store, caller):
    """The key is the name of the key record in the store."""
    recorded, replayed = both(caller, chat(provider), store)
    key = replayed.headers["x-cas-llm-key"]
    assert (store / "requests" / key[:2] / f"{key[2:]}.json").exists()
    assert "x-cas-llm-key" not in recorded.headers


def test_one_recording_serves_every_library(provider, store):
    """The key knows nothing of the library, and pieces made by one are pieces to all."""
    provider.script(lambda _: EVENTS)
    with cas_llm.use("fallback", store=store):
        recorded = by_httpx(chat(provider))
    with cas_llm.use("replay", store=store):
        seen = [caller(chat(provider)) for caller in everyone()]
    assert {one.body for one in seen} == {recorded.body}
    assert provider.count == 1


@pytest.mark.parametrize("name", ["requests", "urllib3"])
def test_threads_share_one_call(provider, store, name):
    """Eight identical misses at once are one call."""
    provider.script(lambda _: Reply.of({"id": "one"}) if not os.sched_yield() else None)
    with cas_llm.use("fallback", store=store), ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: CALLERS[name](chat(provider)).body, range(8)))
    assert (provider.count, len(set(seen))) == (1, 1)


async def test_tasks_share_one_call(provider, store):
    """Eight identical misses on one loop are one call, and the loop goes on meanwhile."""
    provider.script(lambda _: Reply(headers=JSON, body=GREETED, wait=0.05))
    ticks = []

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.005)

    ticking = asyncio.create_task(tick())
    with cas_llm.use("fallback", store=store):
        seen = await asyncio.gather(*(with_aiohttp(chat(provider)) for _ in range(8)))
    ticking.cancel()
    assert (provider.count, {one.body for one in seen}) == (1, {GREETED})
    assert len(ticks) > 5
