"""`requests` and plain `urllib3`: what is theirs alone, their retries, pools, uploads and mocks."""

import gc
import io
import json
import urllib.request

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from support.callers import BODY, Call, by_requests
from support.provider import Reply
from urllib3.util import Retry

import cas_llm
from cas_llm.transports.install import ADAPTERS

SSE = (("content-type", "text/event-stream"),)
EVENTS = Reply.sse([{"n": number} for number in range(3)], done=True)
FAKE = {"id": "fake", "choices": []}
URL = "https://api.openai.com/v1/chat/completions"


def post(p, session=requests, **more):
    """A chat completion through *session*."""
    return session.post(f"{p.url}/chat/completions", json=BODY, timeout=20, **more)


def retrying(*statuses):
    """A session that tries again, on connection errors and on *statuses*."""
    session = requests.Session()
    retry = Retry(total=3, backoff_factor=0, status_forcelist=statuses, allowed_methods=None)
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return session


def test_a_session_made_before_the_block_is_recorded(provider, store):
    """Module-level sessions with open connections are the commonest code."""
    with requests.Session() as session:
        session.get(f"{provider.root}/health", timeout=5)
        with cas_llm.use("fallback", store=store):
            recorded = post(provider, session).json()
        with cas_llm.use("replay", store=store):
            assert post(provider, session).json() == recorded
    assert (provider.count, provider.connections) == (2, 1)


def test_a_connection_goes_back_to_its_pool(provider, store):
    """Recording takes no connection out of circulation, at once or streamed."""
    with requests.Session() as session, cas_llm.use("capture", store=store, name="four"):
        for streamed in (False, True, False, True):
            with post(provider, session, stream=streamed) as answer:
                assert answer.json()
    assert (provider.count, provider.connections) == (4, 1)


def test_a_response_is_the_librarys_own(provider, store):
    """Status, reason, encoding, JSON, links and time are there in replay as in a live call."""
    link = (("content-type", "application/json"), ("link", '<http://x/2>; rel="next"'))
    provider.script(lambda _: Reply(headers=link, body=b'{"a": 1}'))

    def told():
        answer = post(provider)
        answer.raise_for_status()
        return answer.json(), answer.reason, answer.encoding, answer.links, answer.ok, answer.url

    with cas_llm.use("fallback", store=store):
        recorded = told()
    with cas_llm.use("replay", store=store):
        assert told() == recorded
    assert recorded[3]["next"]["url"] == "http://x/2"


@pytest.mark.parametrize("size", [1, 7, 512, None])
def test_any_way_of_reading_a_stream_replays(provider, store, size):
    """Small pieces, lines, the raw file: what the program saw, it sees again."""
    provider.script(lambda _: EVENTS)
    ways = (
        lambda answer: list(answer.iter_content(size)),
        lambda answer: list(answer.iter_lines(size or 512)),
        lambda answer: answer.raw.read(5) + answer.raw.read(),
        lambda answer: [answer.raw.read1() for _ in range(3)],
    )
    for number, way in enumerate(ways[: 4 if hasattr(urllib3.HTTPResponse, "read1") else 3]):
        said = []
        for mode in ("fallback", "replay"):
            with (
                cas_llm.use(mode, store=store, namespace=str(number)),
                post(provider, stream=True) as answer,
            ):
                said.append(way(answer))
        assert said[0] == said[1]
    assert provider.count == number + 1


def test_a_miss_is_not_retried_whatever_the_program_retries(provider, store):
    """One request, one miss, and the exception of `raise_for_status` names cas-llm."""
    with pytest.raises(cas_llm.CacheMiss) as ended, cas_llm.use("replay", store=store):
        answer = post(provider, retrying(424, 500))
        with pytest.raises(requests.HTTPError, match="424 Client Error: refused by cas-llm"):
            answer.raise_for_status()
    assert len(ended.value.misses) == 1
    assert provider.count == 0


def test_the_librarys_own_retries_end_in_one_recording(provider, store):
    """A 500 and a cut connection are tried again; only the answer is kept, under ordinal one."""

    def script(received):
        if received.number == 2:
            provider._server.cut()
        return Reply.of({}, 500) if received.number == 1 else None

    provider.script(script)
    with cas_llm.use("fallback", store=store, name="tries"):
        recorded = post(provider, retrying(500)).json()
    assert provider.count == 3
    with cas_llm.use("replay", store=store, name="tries") as session:
        assert post(provider, retrying(500)).json() == recorded
        assert session.runtime.log.sums.missed == 0
    assert provider.count == 3
    (tape,) = store.glob("manifest/tapes/**/*.json")
    assert len(json.loads(tape.read_text())["turns"]) == 1


def test_a_pools_own_redirects_replay(provider, store):
    """A pool that follows redirects itself does so in replay."""
    where = (("location", "/v1/elsewhere"),)
    provider.script(
        lambda received: (
            Reply.of({"n": received.number})
            if "elsewhere" in received.path
            else Reply(status=307, headers=where)
        )
    )

    def ask():
        with urllib3.HTTPConnectionPool("127.0.0.1", provider.port) as pool:
            head = {"content-type": "application/json"}
            return pool.urlopen("POST", "/v1/chat/completions", json.dumps(BODY), head).data

    with cas_llm.use("fallback", store=store):
        recorded = ask()
    with cas_llm.use("replay", store=store):
        assert ask() == recorded == b'{"n": 2}'
    assert provider.count == 2


UPLOADS = {
    "bytes": lambda whole: whole,
    "text": lambda whole: whole.decode(),
    "a file": io.BytesIO,
    "a generator": lambda whole: (whole[at : at + 5] for at in range(0, len(whole), 5)),
}


@pytest.mark.parametrize("form", UPLOADS)
def test_an_upload_is_keyed_and_sent_whole(provider, store, form):
    """However the body is given, it is one request."""
    whole = json.dumps(BODY).encode()
    head = {"content-type": "application/json"}

    def ask():
        body = UPLOADS[form](whole)
        return requests.post(f"{provider.url}/chat/completions", data=body, headers=head, timeout=9)

    with cas_llm.use("fallback", store=store):
        recorded = ask().json()
    assert provider.calls[0].json == BODY
    with cas_llm.use("replay", store=store):
        assert ask().json() == recorded
        assert requests.post(f"{provider.url}/chat/completions", json=BODY, timeout=9).ok
    assert provider.count == 1


def test_an_upload_that_cannot_count_stays_a_stream(provider, store):
    """Reading somebody else's file is none of our business."""
    read = []

    def upload():
        for piece in (b"a", b"b"):
            read.append(len(provider.calls))
            yield piece

    with cas_llm.use("replay", store=store):
        requests.post(f"{provider.root}/files", data=upload(), timeout=9)
    assert provider.calls[0].body == b"ab"


def test_multipart_uploads_share_a_recording_across_boundaries(provider, store):
    """The boundary is drawn anew each time, and is no part of the key."""

    def ask():
        files = {"file": ("a.wav", b"RIFF", "audio/wav")}
        url = f"{provider.url}/audio/transcriptions"
        head = {"user-agent": "OpenAI/Python 3.52"}
        return requests.post(url, files=files, data={"model": "m"}, headers=head, timeout=9).content

    with cas_llm.use("fallback", store=store):
        recorded = ask()
    with cas_llm.use("replay", store=store):
        assert ask() == recorded
    assert provider.count == 1


def test_a_response_nobody_closes_is_kept_as_far_as_it_was_read(provider, store):
    """The program reads two chunks and forgets the response; the same program replays."""
    provider.script(lambda _: EVENTS)

    def ask():
        answer = post(provider, stream=True)
        pieces = answer.iter_content(None)
        return next(pieces), next(pieces)

    with cas_llm.use("fallback", store=store):
        recorded = ask()
        gc.collect()
    with cas_llm.use("replay", store=store):
        assert ask() == recorded == EVENTS.chunks[:2]
        gc.collect()
    assert provider.count == 1


@pytest.mark.parametrize("leave", ["close", "forget", "keep"])
def test_half_a_chunk_is_kept_as_far_as_it_was_read(provider, store, leave):
    """Closed, forgotten, or still held when its block ends: the same bytes come back."""
    provider.script(lambda _: EVENTS)
    kept = []

    def ask():
        answer = post(provider, stream=True)
        pieces = answer.iter_content(3)
        read = b"".join(next(pieces) for _ in range(8))
        if leave == "close":
            answer.close()
        elif leave == "keep":
            kept.append((answer, pieces))
        return read

    with cas_llm.use("fallback", store=store, name="half"):
        recorded = ask()
    with cas_llm.use("replay", store=store, name="half"):
        assert ask() == recorded
    assert b"".join(EVENTS.chunks).startswith(recorded)
    assert provider.count == 1
    for answer, _ in kept:
        answer.close()


def test_head_and_bodiless_answers_replay(provider, store):
    """A response without a body ends with its head."""
    provider.script(lambda _: Reply(status=204, headers=()))
    with cas_llm.use("fallback", store=store, hosts=[f"127.0.0.1:{provider.port}"]):
        recorded = [
            requests.request(m, provider.url, timeout=9).status_code for m in ("HEAD", "DELETE")
        ]
    with cas_llm.use("replay", store=store, hosts=[f"127.0.0.1:{provider.port}"]):
        replayed = [
            requests.request(m, provider.url, timeout=9).status_code for m in ("HEAD", "DELETE")
        ]
    assert recorded == replayed == [204, 204]
    assert provider.count == 2


def test_pacing_holds_for_pieces(provider, store, monkeypatch):
    """With the recorded pace a stream takes its time again."""
    import time

    provider.script(lambda _: Reply(headers=SSE, chunks=EVENTS.chunks, delay=0.05))
    asked = Call(f"{provider.url}/chat/completions")
    with cas_llm.use("fallback", store=store):
        by_requests(asked)
    monkeypatch.setenv("CAS_LLM_PACE", "recorded")
    with cas_llm.use("replay", store=store):
        began = time.monotonic()
        by_requests(asked)
    assert time.monotonic() - began > 0.1


def test_everything_is_as_it_was_afterwards():
    """Leaving the last block takes the wrapper off the pools, and nothing stays behind."""
    pool = urllib3.connectionpool.HTTPConnectionPool
    before = dict(vars(pool))
    with cas_llm.use("replay"):
        assert dict(vars(pool)) != before
    assert dict(vars(pool)) == before
    assert not ADAPTERS.installed


def test_other_roads_are_still_refused(store):
    """The standard library's own client has no recorder; the refusal names those that have."""
    with pytest.raises(cas_llm.CacheMiss), cas_llm.use("replay", store=store):
        with pytest.raises(cas_llm.LiveCallBlocked, match="aiohttp, requests, urllib3") as caught:
            urllib.request.urlopen(URL, timeout=5)
        assert caught.value.host == "api.openai.com"


def unrecorded(store, call):
    """Run *call* in replay on an empty store: nothing may be refused, served or written."""
    with cas_llm.use("replay", store=store) as session:
        assert call() == FAKE
        sums = session.runtime.log.sums
        assert (sums.missed, sums.served, sums.live) == (0, 0, 0)
    with cas_llm.use("capture", store=store):
        assert call() == FAKE
    assert not store.exists()


def test_responses_is_left_alone(store):
    """It stands in for requests' adapter."""
    mock = pytest.importorskip("responses")

    def call():
        with mock.RequestsMock() as mocked:
            mocked.post(URL, json=FAKE)
            return requests.post(URL, json=BODY, timeout=9).json()

    unrecorded(store, call)


def test_requests_mock_is_left_alone(store):
    """It mounts an adapter of its own."""
    mock = pytest.importorskip("requests_mock")

    def call():
        with mock.Mocker() as mocked:
            mocked.post(URL, json=FAKE)
            return requests.post(URL, json=BODY, timeout=9).json()

    unrecorded(store, call)


def test_vcr_is_left_alone(provider, store, tmp_path):
    """It stands in for urllib3's connections, while it records and while it plays."""
    vcr = pytest.importorskip("vcr")
    provider.script(lambda _: Reply.of(FAKE))

    def call():
        with vcr.use_cassette(str(tmp_path / "cassette.yaml")):
            return post(provider).json()

    unrecorded(store, call)
    assert provider.count == 1


def test_a_patched_pool_is_left_alone(store, monkeypatch):
    """Somebody's own stand-in, put on before the block or within it."""
    answer = urllib3.HTTPResponse(json.dumps(FAKE).encode(), status=200)
    pool = urllib3.connectionpool.HTTPConnectionPool

    def call():
        with monkeypatch.context() as patch:
            patch.setattr(pool, "urlopen", lambda *_args, **_named: answer)
            return json.loads(urllib3.PoolManager().request("POST", URL, body=b"{}").data)

    unrecorded(store, call)


def test_a_patched_connection_is_left_alone(store):
    """A connection class without sockets answers for itself."""
    if urllib3.__version__.startswith("1."):
        pytest.skip("there a connection answers with http.client's response")

    class Answering:
        def __init__(self, *_args, **_named):
            self.timeout = self.sock = self.proxy = None
            self.is_closed = False

        def request(self, *_args, **_named):
            """Nothing is sent."""

        def getresponse(self):
            return urllib3.HTTPResponse(json.dumps(FAKE).encode(), status=200)

        def close(self):
            """Nothing is open."""

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Answering

        def _validate_conn(self, conn):
            """There is nothing to validate."""

    def call():
        return json.loads(Pool("api.openai.com").urlopen("POST", "/v1/chat/completions", "{}").data)

    unrecorded(store, call)
