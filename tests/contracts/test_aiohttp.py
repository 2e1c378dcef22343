"""`aiohttp`: what is its alone, its readers, sessions, redirects, traces, SDKs on it and mocks."""

import asyncio
import functools
import gc
import gzip
import inspect
import json
import threading
from unittest.mock import AsyncMock

import aiohttp
import httpx_aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from support.callers import BODY, Call, with_aiohttp
from support.provider import Reply

import cas_llm

SSE = (("content-type", "text/event-stream"),)
JSON = (("content-type", "application/json"),)
EVENTS = Reply.sse([{"n": number} for number in range(3)], done=True)
FAKE = {"id": "fake", "choices": []}
URL = "https://api.openai.com/v1/chat/completions"


def chat(session, p, **more):
    """A chat completion through *session*."""
    return session.post(f"{p.url}/chat/completions", json=BODY, **more)


async def everything(reader):
    """All that an async iterator gives."""
    return [piece async for piece in reader]


WAYS = {
    "read": lambda answer: answer.read(),
    "text": lambda answer: answer.text(),
    "lines": lambda answer: everything(answer.content),
    "any": lambda answer: everything(answer.content.iter_any()),
    "chunked": lambda answer: everything(answer.content.iter_chunked(5)),
    "exactly": lambda answer: answer.content.readexactly(9),
    "until": lambda answer: answer.content.readuntil(b"1"),
    "some, then all": lambda answer: some_then_all(answer.content),
    "at the end": lambda answer: to_the_end(answer.content),
    "waiting": lambda answer: waiting(answer.content),
}


async def some_then_all(content):
    """A line, a byte, then the rest."""
    return await content.readline(), await content.read(1), await content.read()


async def to_the_end(content):
    """As long as it is not at its end."""
    pieces = []
    while not content.at_eof():
        pieces.append(await content.readany())
    return [piece for piece in pieces if piece]  # the end may come after the last one


async def waiting(content):
    """Wait for the end first, then read what has come."""
    await content.wait_eof()
    return content.is_eof(), content.read_nowait()


@pytest.mark.parametrize("way", WAYS)
async def test_any_way_of_reading_a_stream_replays(provider, store, way):
    """What the program saw, it sees again."""
    provider.script(lambda _: EVENTS)
    said = []
    for mode in ("fallback", "replay"):
        with cas_llm.use(mode, store=store):
            async with aiohttp.ClientSession() as session, chat(session, provider) as answer:
                said.append(await WAYS[way](answer))
    assert said[0] == said[1]
    assert said[0]
    assert provider.count == 1


async def test_chunks_are_the_providers(provider, store):
    """`iter_chunks` tells the ends of chunks, live and replayed."""
    provider.script(lambda _: EVENTS)
    for mode in ("fallback", "replay"):
        with cas_llm.use(mode, store=store):
            async with aiohttp.ClientSession() as session, chat(session, provider) as answer:
                pairs = await everything(answer.content.iter_chunks())
        chunks = [b""]
        for piece, ends in pairs:
            chunks[-1] += piece
            chunks += [b""] if ends else []
        # aiohttp itself tells one more end, of nothing, where the last chunk comes on its own.
        assert tuple(filter(None, chunks)) == EVENTS.chunks


async def test_a_session_made_before_the_block_is_recorded(provider, store):
    """And its connection goes back to the pool."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{provider.root}/health") as answer:
            await answer.read()
        with cas_llm.use("capture", store=store, name="twice"):
            for _ in range(2):
                async with chat(session, provider) as answer:
                    recorded = await answer.json()
        with cas_llm.use("replay", store=store, name="twice"):
            async with chat(session, provider) as answer:
                assert await answer.json() != recorded
            async with chat(session, provider) as answer:
                assert await answer.json() == recorded
    assert (provider.count, provider.connections) == (3, 1)


async def test_a_response_is_the_librarys_own(provider, store):
    """Status, reason, type, charset, links and request info are there in replay."""
    head = (("content-type", "application/json; charset=utf-8"), ("link", '<http://x/2>; rel="n"'))
    provider.script(lambda _: Reply(headers=head, body=b'{"a": 1}'))
    told = []
    for mode in ("fallback", "replay"):
        with cas_llm.use(mode, store=store):
            async with aiohttp.ClientSession(raise_for_status=True) as session:
                answer = await chat(session, provider)
                told.append(
                    (
                        await answer.json(),
                        answer.status,
                        answer.reason,
                        answer.content_type,
                        answer.charset,
                        str(answer.links["n"]["url"]),
                        answer.method,
                        str(answer.url),
                        answer.history,
                        answer.version,
                        answer.ok,
                        answer.closed,
                    )
                )
    assert told[0] == told[1]
    assert provider.count == 1


async def test_redirects_keep_history_and_cookies(provider, store):
    """The session follows by itself; cookies of a hop are not stored, so a replay has none."""

    def script(received):
        if received.path.endswith("/elsewhere"):
            return Reply.of({"cookie": received.headers.get("cookie", "")})
        where = (("location", "/v1/elsewhere"), ("set-cookie", "a=b; Path=/"))
        return Reply(status=307, headers=where, body=b"moved")

    provider.script(script)
    told = []
    for mode in ("fallback", "replay"):
        jar = aiohttp.CookieJar(unsafe=True)
        with cas_llm.use(mode, store=store):
            own = aiohttp.ClientSession(cookie_jar=jar)
            async with own as session, chat(session, provider) as answer:
                hops = [hop.status for hop in answer.history]
                told.append((await answer.json(), hops, answer.url.path))
    assert told == [({"cookie": "a=b"}, [307], "/v1/elsewhere")] * 2
    assert provider.count == 2


async def test_traces_see_a_replay(provider, store):
    """What instruments a session gets its events in a hit as in a call."""
    seen = []
    trace = aiohttp.TraceConfig()

    async def note(_session, _context, params):
        seen.append(type(params).__name__)

    trace.on_request_start.append(note)
    trace.on_request_chunk_sent.append(note)
    trace.on_response_chunk_received.append(note)
    trace.on_request_end.append(note)
    for mode in ("fallback", "replay"):
        with cas_llm.use(mode, store=store):
            own = aiohttp.ClientSession(trace_configs=[trace])
            async with own as session, chat(session, provider) as answer:
                await answer.read()
    half = len(seen) // 2
    assert sorted(seen[:half]) == sorted(seen[half:])
    assert half == 4


async def test_a_session_that_does_not_decode_gets_encoded_bytes_again(provider, store):
    """What the program decodes itself stays encoded, with the header that says so."""
    encoded = gzip.compress(b'{"a": 1}')
    provider.script(lambda _: Reply(headers=(*JSON, ("content-encoding", "gzip")), body=encoded))
    for mode in ("fallback", "replay"):
        with cas_llm.use(mode, store=store):
            own = aiohttp.ClientSession(auto_decompress=False)
            async with own as session, chat(session, provider) as answer:
                assert await answer.read() == encoded
                assert answer.headers["content-encoding"] == "gzip"
    assert provider.count == 1


async def test_raise_for_status_names_cas_llm(provider, store):
    """The exception of a session that raises has no body: its message must do."""
    with pytest.raises(cas_llm.CacheMiss), cas_llm.use("replay", store=store):
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            with pytest.raises(aiohttp.ClientResponseError, match="refused by cas-llm") as caught:
                await chat(session, provider)
    assert caught.value.status == 424


UPLOADS = {
    "json": lambda whole: {"json": json.loads(whole)},
    "bytes": lambda whole: {"data": whole, "headers": dict(JSON)},
    "text": lambda whole: {"data": whole.decode(), "headers": dict(JSON)},
    "a generator": lambda whole: {"data": piecewise(whole), "headers": dict(JSON)},
}


async def piecewise(whole):
    """A body piece by piece."""
    for at in range(0, len(whole), 5):
        yield whole[at : at + 5]


@pytest.mark.parametrize("form", [*UPLOADS, "a file"])
async def test_an_upload_is_keyed_and_sent_whole(provider, store, form, tmp_path):
    """However the body is given, it is one request."""
    path = tmp_path / "body.json"
    path.write_text(json.dumps(BODY))
    url = f"{provider.url}/chat/completions"
    said = []
    for mode in ("fallback", "replay"):
        with cas_llm.use(mode, store=store), path.open("rb") as file:
            body = (
                {"data": file, "headers": dict(JSON)}
                if form == "a file"
                else UPLOADS[form](path.read_bytes())
            )
            async with aiohttp.ClientSession() as session, session.post(url, **body) as answer:
                said.append(await answer.json())
    assert said[0] == said[1]
    assert provider.calls[0].json == BODY
    assert provider.count == 1


async def test_multipart_uploads_share_a_recording_across_boundaries(provider, store):
    """The boundary is drawn anew each time, and is no part of the key."""
    said = []
    for mode in ("fallback", "replay"):
        form = aiohttp.FormData()
        form.add_field("file", b"RIFF", filename="a.wav", content_type="audio/wav")
        form.add_field("model", "m")
        head = {"user-agent": "OpenAI/Python 3.52"}
        with cas_llm.use(mode, store=store):
            async with aiohttp.ClientSession() as session:
                url = f"{provider.url}/audio/transcriptions"
                async with session.post(url, data=form, headers=head) as answer:
                    said.append(await answer.read())
    assert said[0] == said[1]
    assert (provider.count, b"RIFF" in provider.calls[0].body) == (1, True)


@pytest.mark.parametrize("how", ["close", "release", "nothing"])
async def test_a_response_left_without_a_context_is_kept_as_far_as_it_was_read(
    provider, store, how
):
    """However the program leaves it, the same program replays."""
    provider.script(lambda _: EVENTS)
    for mode in ("fallback", "replay"):
        with cas_llm.use(mode, store=store):
            async with aiohttp.ClientSession() as session:
                answer = await chat(session, provider)
                assert await answer.content.readany() == EVENTS.chunks[0]
                if how != "nothing":
                    getattr(answer, how)()
                del answer
                gc.collect()
    assert provider.count == 1


async def test_a_cancelled_reader_leaves_early(provider, store):
    """What it read is kept; the loop is not blocked by it."""
    provider.script(lambda _: Reply(headers=SSE, chunks=EVENTS.chunks, delay=0.2))
    read = asyncio.Event()

    async def ask():
        async with aiohttp.ClientSession() as session, chat(session, provider) as answer:
            async for _ in answer.content.iter_any():
                read.set()

    with cas_llm.use("fallback", store=store):
        task = asyncio.create_task(ask())
        await read.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with cas_llm.use("replay", store=store):
        async with aiohttp.ClientSession() as session, chat(session, provider) as answer:
            assert await answer.content.readany() == EVENTS.chunks[0]
    assert provider.count == 1


async def test_a_time_out_breaks_the_call(provider, store):
    """The session's own time-out is raised, and nothing is stored."""
    provider.script(lambda _: Reply(headers=SSE, chunks=EVENTS.chunks, delay=5))
    limit = aiohttp.ClientTimeout(total=0.2)
    with cas_llm.use("fallback", store=store):
        async with aiohttp.ClientSession(timeout=limit) as session:
            with pytest.raises(TimeoutError):
                async with chat(session, provider) as answer:
                    await answer.read()
    assert not list(store.glob("objects/*/*.json"))


async def test_answers_are_written_off_the_loop(provider, store, monkeypatch):
    """The event loop's thread writes nothing, whether a body was read, or left in a context."""
    from cas_llm.session import keeping

    writers = []
    keep = keeping.keep

    def noting(*args, **named):
        writers.append(threading.current_thread())
        return keep(*args, **named)

    monkeypatch.setattr(keeping, "keep", noting)
    provider.script(lambda _: EVENTS)
    asked = f"{provider.url}/chat/completions"
    with cas_llm.use("fallback", store=store):
        await with_aiohttp(Call(asked))
        await with_aiohttp(Call(asked, body={**BODY, "seed": 1}, take=1))
    assert len(writers) == 2
    assert threading.current_thread() not in writers


async def test_an_unread_answer_lets_nobody_wait(provider, store):
    """A response that was never read or closed gives its call up."""
    with cas_llm.use("fallback", store=store):
        async with aiohttp.ClientSession() as session:
            answer = await chat(session, provider)
            del answer
            gc.collect()
        seen = await with_aiohttp(Call(f"{provider.url}/chat/completions"))
    assert seen.status == 200


@pytest.mark.parametrize("mode", ["fallback", "replay"])
async def test_a_transport_over_aiohttp_is_asked_about_once(provider, store, mode):
    """httpx's interface over aiohttp: one request is one, whichever adapter sees it first."""
    provider.script(lambda _: EVENTS)

    async def ask():
        async with httpx_aiohttp.HttpxAiohttpClient() as client:
            return (await client.post(f"{provider.url}/chat/completions", json=BODY)).content

    with cas_llm.use("capture", store=store, name="once") as session:
        recorded = await ask()
        assert session.runtime.log.sums.live == 1
    with cas_llm.use(mode, store=store, name="once") as session:
        assert await ask() == recorded
        assert (session.runtime.log.sums.served, session.runtime.log.sums.live) == (1, 1)
    assert provider.count == 1
    assert len(list(store.glob("objects/*/*.json"))) == 1


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
@pytest.mark.parametrize("streamed", [False, True])
async def test_googles_sdk_is_recorded_on_its_async_road(provider, store, streamed):
    """It speaks aiohttp where that is installed; one call, then the same objects."""
    genai = pytest.importorskip("google.genai")

    async def ask():
        client = genai.Client(api_key="none", http_options={"base_url": provider.root}).aio
        what = {"model": "gemini-2.5-flash", "contents": "hello"}
        left = {"sdk_http_response"}
        if streamed:
            pieces = await client.models.generate_content_stream(**what)
            said = [piece.model_dump(exclude=left) async for piece in pieces]
        else:
            said = (await client.models.generate_content(**what)).model_dump(exclude=left)
        await client.aclose()
        return said

    with cas_llm.use("fallback", store=store):
        recorded = await ask()
    with cas_llm.use("replay", store=store):
        assert await ask() == recorded
    assert provider.count == 1
    with pytest.raises(cas_llm.CacheMiss), cas_llm.use("replay", store=store, namespace="other"):
        with pytest.raises(genai.errors.ClientError, match="not recorded") as caught:
            await ask()
        assert caught.value.code == 424
    assert provider.count == 1


async def test_the_apps_own_server_is_nobodys_business(store):
    """aiohttp's test client talks to the app under test, even in replay."""

    async def hello(_request):
        return web.json_response({"hello": "world"})

    app = web.Application()
    app.router.add_post("/chat", hello)
    with cas_llm.use("replay", store=store):
        async with TestClient(TestServer(app)) as client:
            answer = await client.post("/chat", json={"a": 1})
            assert await answer.json() == {"hello": "world"}
    assert not store.exists()


async def test_a_websocket_is_not_taken_for_a_request(store):
    """No recorder answers it; the tripwire refuses it, and says so."""

    async def echo(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hi")
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/v1/realtime", echo)
    server = TestServer(app)
    await server.start_server()
    hosts = [f"127.0.0.1:{server.port}"]
    with pytest.raises(cas_llm.CacheMiss) as ended, cas_llm.use("replay", store=store, hosts=hosts):
        async with aiohttp.ClientSession() as client:
            with pytest.raises(cas_llm.LiveCallBlocked):
                await client.ws_connect(server.make_url("/v1/realtime"))
    assert [miss.kind for miss in ended.value.misses] == ["blocked"]
    await server.close()


def test_everything_is_as_it_was_afterwards():
    """Leaving the last block takes the wrappers off, and the tripwire's below them."""
    owners = (
        aiohttp.connector.BaseConnector,
        aiohttp.ClientResponse,
        aiohttp.client_proto.ResponseHandler,
    )
    before = [dict(vars(owner)) for owner in owners]
    with cas_llm.use("replay"):
        assert [dict(vars(owner)) for owner in owners] != before
    assert [dict(vars(owner)) for owner in owners] == before


# Mocks: whoever stands in for the network keeps standing there.


async def unrecorded(store, call):
    """Run *call* in replay on an empty store: nothing may be refused, served or written."""
    with cas_llm.use("replay", store=store) as session:
        assert await call() == FAKE
        sums = session.runtime.log.sums
        assert (sums.missed, sums.served, sums.live) == (0, 0, 0)
    with cas_llm.use("capture", store=store):
        assert await call() == FAKE
    assert not store.exists()


async def test_a_patched_session_is_left_alone(store, monkeypatch):
    """A stand-in for the session's request, as aioresponses puts one."""

    class Answer:
        async def json(self):
            return FAKE

    async def call():
        with monkeypatch.context() as patch:
            patch.setattr(aiohttp.ClientSession, "_request", AsyncMock(return_value=Answer()))
            async with aiohttp.ClientSession() as session:
                return await (await session.post(URL, json=BODY)).json()

    await unrecorded(store, call)


@pytest.mark.parametrize("passed_on", [False, True])
async def test_what_a_stand_in_passes_on_is_left_alone(provider, store, monkeypatch, passed_on):
    """aioresponses lets named hosts through; whoever names one wants it called."""
    original = aiohttp.ClientSession._request
    if passed_on:
        stand_in = AsyncMock(side_effect=original)
        monkeypatch.setattr(aiohttp.ClientSession, "_request", stand_in)
    with cas_llm.use("fallback", store=store):
        async with aiohttp.ClientSession() as session:
            url = f"{provider.url}/chat/completions"
            # A mock on a class is not bound to the object.
            me = () if not passed_on else (session,)
            answer = await session._request(*me, "POST", url, json=BODY)
            await answer.read()
    assert bool(list(store.glob("objects/*/*.json"))) is not passed_on


async def test_aioresponses_is_left_alone(store):
    """It stands in for the session's request."""
    mock = pytest.importorskip("aioresponses")
    if "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters:
        pytest.skip("this aioresponses cannot make a response of this aiohttp")

    async def call():
        with mock.aioresponses() as mocked:
            mocked.post(URL, payload=FAKE)
            async with aiohttp.ClientSession() as session, session.post(URL, json=BODY) as answer:
                return await answer.json()

    await unrecorded(store, call)


async def test_vcr_is_left_alone(provider, store, tmp_path):
    """It stands in for the session's request, and makes the call itself while it records."""
    vcr = pytest.importorskip("vcr")
    provider.script(lambda _: Reply.of(FAKE))

    async def call():
        with vcr.use_cassette(str(tmp_path / "cassette.yaml")):
            async with aiohttp.ClientSession() as session, chat(session, provider) as answer:
                return await answer.json()

    await unrecorded(store, call)
    assert provider.count == 1


async def test_a_connector_without_sockets_is_left_alone(provider, store):
    """One that is built on the base class alone answers for itself."""

    class Elsewhere(aiohttp.BaseConnector):
        async def _create_connection(self, *_args):
            raise aiohttp.ClientConnectionError("answered elsewhere")

    with cas_llm.use("replay", store=store) as session:
        async with aiohttp.ClientSession(connector=Elsewhere()) as client:
            with pytest.raises(aiohttp.ClientConnectionError, match="answered elsewhere"):
                await chat(client, provider)
        assert session.runtime.log.sums.missed == 0


async def test_a_watched_session_is_recorded(provider, store, monkeypatch):
    """A tracing tool's wrapper hands the request on, so it is no mock."""
    original = aiohttp.ClientSession._request

    @functools.wraps(original)
    async def watched(*args, **named):
        return await original(*args, **named)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", watched)
    asked = Call(f"{provider.url}/chat/completions")
    with cas_llm.use("fallback", store=store):
        recorded = await with_aiohttp(asked)
    with cas_llm.use("replay", store=store):
        assert (await with_aiohttp(asked)).told == recorded.told
    assert provider.count == 1
