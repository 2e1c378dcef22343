"""Stacks beside the plain OpenAI client: those that are recorded, and mocks that are left alone."""

import asyncio
import importlib
import json

import anthropic
import httpx
import httpx2
import openai
import pytest
from support.provider import Reply

import cas_llm

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
CLAUDE = {**BODY, "max_tokens": 64}

# One function per stack; each builds its client and returns what a program would see.


def httpx_client(p):
    with httpx.Client(base_url=p.url) as client:
        return client.post("/chat/completions", json=BODY).json()


def httpx_function(p):
    return httpx.post(f"{p.url}/chat/completions", json=BODY).json()


def httpx2_client(p):
    with httpx2.Client(base_url=p.url) as client:
        return client.post("/chat/completions", json=BODY).json()


async def httpx_async_client(p):
    async with httpx.AsyncClient(base_url=p.url) as client:
        return (await client.post("/chat/completions", json=BODY)).json()


async def httpx2_async_client(p):
    async with httpx2.AsyncClient(base_url=p.url) as client:
        return (await client.post("/chat/completions", json=BODY)).json()


def httpx_stream(p):
    body = {**BODY, "stream": True}
    with httpx.stream("POST", f"{p.url}/chat/completions", json=body) as response:
        return list(response.iter_lines())


async def httpx2_stream(p):
    body = {**BODY, "stream": True}
    async with (
        httpx2.AsyncClient() as client,
        client.stream("POST", f"{p.url}/chat/completions", json=body) as response,
    ):
        return [line async for line in response.aiter_lines()]


def httpx_transport(p):
    with httpx.HTTPTransport(retries=2) as transport:
        request = httpx.Request("POST", f"{p.url}/chat/completions", json=BODY)
        response = transport.handle_request(request)
        return json.loads(response.read())


def httpx_mounts(p):
    mounts = {"http://": httpx.HTTPTransport(), "all://elsewhere": httpx.HTTPTransport()}
    with httpx.Client(mounts=mounts) as client:
        return client.post(f"{p.url}/chat/completions", json=BODY).json()


def httpx_proxy(p):
    """The provider stands in for a proxy: it sees the absolute URL and answers."""
    with httpx.Client(proxy=p.root) as client:
        return client.post("http://api.openai.com/v1/chat/completions", json=BODY).json()


def httpx_subclass(p):
    class Noisy(httpx.HTTPTransport):
        """A program's own transport on top of the genuine one."""

        def handle_request(self, request):
            request.headers["x-noise"] = "1"
            return super().handle_request(request)

    with httpx.Client(transport=Noisy()) as client:
        return client.post(f"{p.url}/chat/completions", json=BODY).json()


def openai_over_httpx_client(p):
    with openai.OpenAI(
        base_url=p.url, api_key="none", http_client=openai.DefaultHttpxClient()
    ) as client:
        return client.chat.completions.create(**BODY).model_dump()


async def openai_over_aiohttp(p):
    async with openai.AsyncOpenAI(
        base_url=p.url, api_key="none", http_client=openai.DefaultAioHttpClient()
    ) as client:
        return (await client.chat.completions.create(**BODY)).model_dump()


async def openai_over_aiohttp_streamed(p):
    async with openai.AsyncOpenAI(
        base_url=p.url, api_key="none", http_client=openai.DefaultAioHttpClient()
    ) as client:
        stream = await client.chat.completions.create(**BODY, stream=True)
        return [chunk.model_dump() async for chunk in stream]


async def httpx_aiohttp_client(p):
    from httpx_aiohttp import HttpxAiohttpClient

    async with HttpxAiohttpClient() as client:
        return (await client.post(f"{p.url}/chat/completions", json=BODY)).json()


async def anthropic_over_aiohttp(p):
    async with anthropic.AsyncAnthropic(
        base_url=p.root, api_key="none", http_client=anthropic.DefaultAioHttpClient()
    ) as client:
        return (await client.messages.create(**CLAUDE)).model_dump()


def anthropic_message(p):
    with anthropic.Anthropic(base_url=p.root, api_key="none") as client:
        return client.messages.create(**CLAUDE).model_dump()


def anthropic_events(p):
    with anthropic.Anthropic(base_url=p.root, api_key="none") as client:
        return [event.model_dump() for event in client.messages.create(**CLAUDE, stream=True)]


def anthropic_stream_helper(p):
    with (
        anthropic.Anthropic(base_url=p.root, api_key="none") as client,
        client.messages.stream(**CLAUDE) as stream,
    ):
        return list(stream.text_stream), stream.get_final_message().model_dump()


def anthropic_raw(p):
    with anthropic.Anthropic(base_url=p.root, api_key="none") as client:
        raw = client.messages.with_raw_response.create(**CLAUDE)
        return raw.status_code, raw.parse().model_dump()


def anthropic_tokens(p):
    with anthropic.Anthropic(base_url=p.root, api_key="none") as client:
        return client.messages.count_tokens(**BODY).model_dump()


async def anthropic_async_stream(p):
    async with (
        anthropic.AsyncAnthropic(base_url=p.root, api_key="none") as client,
        client.messages.stream(**CLAUDE) as stream,
    ):
        return (await stream.get_final_message()).model_dump()


def gemini(p):
    """Google's SDK; what it says of the HTTP response itself differs from day to day."""
    genai = pytest.importorskip("google.genai")
    client = genai.Client(api_key="none", http_options={"base_url": p.root})
    said = client.models.generate_content(model="gemini-2.5-flash", contents="hello")
    return said.model_dump(exclude={"sdk_http_response"})


def gemini_streamed(p):
    genai = pytest.importorskip("google.genai")
    client = genai.Client(api_key="none", http_options={"base_url": p.root})
    pieces = client.models.generate_content_stream(model="gemini-2.5-flash", contents="hello")
    return [piece.model_dump(exclude={"sdk_http_response"}) for piece in pieces]


def httpx_with_http2_wanted(p):
    pytest.importorskip("h2")
    with httpx.Client(http2=True) as client:
        return client.post(f"{p.url}/chat/completions", json=BODY).json()


async def httpx_on_trio(p):
    """Marked as a coroutine function only to share the table; trio runs it in `through`."""
    async with httpx.AsyncClient(base_url=p.url) as client:
        return (await client.post("/chat/completions", json=BODY)).json()


async def httpx_stream_on_trio(p):
    async with httpx.AsyncClient() as client:
        body = {**BODY, "stream": True}
        async with client.stream("POST", f"{p.url}/chat/completions", json=body) as response:
            return [line async for line in response.aiter_lines()]


async def openai_on_uvloop(p):
    async with openai.AsyncOpenAI(base_url=p.url, api_key="none") as client:
        return (await client.chat.completions.create(**BODY)).model_dump()


STACKS = [
    httpx_client,
    httpx_function,
    httpx2_client,
    httpx_async_client,
    httpx2_async_client,
    httpx_stream,
    httpx2_stream,
    httpx_transport,
    httpx_mounts,
    httpx_proxy,
    httpx_subclass,
    openai_over_httpx_client,
    openai_over_aiohttp,
    openai_over_aiohttp_streamed,
    httpx_aiohttp_client,
    anthropic_over_aiohttp,
    anthropic_message,
    anthropic_events,
    anthropic_stream_helper,
    anthropic_raw,
    anthropic_tokens,
    anthropic_async_stream,
    gemini,
    gemini_streamed,
    httpx_with_http2_wanted,
    httpx_on_trio,
    httpx_stream_on_trio,
    openai_on_uvloop,
]


def through(provider, call):
    """What *call* sees, on the loop its name asks for."""
    if not asyncio.iscoroutinefunction(call):
        return call(provider)
    if call.__name__.endswith("on_trio"):
        import trio

        return trio.run(call, provider)
    if call.__name__.endswith("on_uvloop"):
        uvloop = pytest.importorskip("uvloop")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(call(provider))
    return asyncio.run(call(provider))


@pytest.mark.parametrize("mode", ["capture", "fallback"])
@pytest.mark.parametrize("call", STACKS, ids=lambda call: call.__name__)
def test_a_stack_records_and_replays(provider, store, call, mode):
    """One call while recording, none in replay, and the program sees the same."""
    with cas_llm.use(mode, store=store, name="stack"):
        recorded = through(provider, call)
    assert provider.count == 1
    with cas_llm.use("replay", store=store, name="stack") as session:
        assert through(provider, call) == recorded
        assert session.runtime.log.sums.served
    assert provider.count == 1


@pytest.mark.parametrize("call", STACKS, ids=lambda call: call.__name__)
def test_a_stack_is_refused_once_where_nothing_is_recorded(provider, store, call):
    """An empty store: no call, no retry, and the refusal is seen by the program or the block."""
    refusals: tuple[type[Exception], ...] = (openai.APIStatusError, anthropic.APIStatusError)
    if "http2" in call.__name__:
        pytest.importorskip("h2")
    if "gemini" in call.__name__:
        refusals = (pytest.importorskip("google.genai.errors").APIError,)

    def tries(session):
        try:
            through(provider, call)
        except refusals as error:
            return (
                getattr(error, "status_code", 0) or error.code,
                str(error),
                session.runtime.log.sums.missed,
            )
        # Without an SDK the program holds the refusal as a response.
        return 424, "not recorded", session.runtime.log.sums.missed

    with pytest.raises(cas_llm.CacheMiss), cas_llm.use("replay", store=store) as session:
        status, text, missed = tries(session)
    assert (status, missed) == (424, 1)
    assert "not recorded" in text
    assert provider.count == 0


def test_stacks_share_recordings(provider, store):
    """The key knows nothing of the library: one recording serves them all."""
    with cas_llm.use("fallback", store=store):
        recorded = httpx_client(provider)
    with cas_llm.use("replay", store=store):
        for call in (httpx_function, httpx2_client, httpx_async_client, httpx_aiohttp_client):
            assert through(provider, call) == recorded
    assert provider.count == 1


def test_redirect_hops_belong_to_their_request(provider, store):
    """Both hops replay, and the final URL is the one the redirect named."""

    def script(received):
        if received.path.endswith("/elsewhere"):
            return Reply.of({"id": "there", "number": received.number})
        where = f"{provider.root}/elsewhere"
        return Reply(status=307, headers=(("location", where),))

    provider.script(script)

    def call():
        with httpx.Client(base_url=provider.url, follow_redirects=True) as client:
            response = client.post("/chat/completions", json=BODY)
            return response.json(), str(response.url), [hop.status_code for hop in response.history]

    with cas_llm.use("fallback", store=store):
        recorded = call()
    assert provider.count == 2
    with cas_llm.use("replay", store=store):
        assert call() == recorded
    assert provider.count == 2


def test_a_redirect_to_another_host_replays_in_a_fresh_process(project, provider, store):
    """What the first hop says makes the second one count, in every process anew."""
    from support.provider import ScriptedProvider

    program = """
        import sys, httpx, cas_llm
        with cas_llm.use(sys.argv[1], store=sys.argv[2]):
            with httpx.Client(follow_redirects=True) as client:
                body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
                print(client.post(sys.argv[3] + "/chat/completions", json=body).text)
    """
    with ScriptedProvider() as other:
        where = (("location", f"http://localhost:{other.port}/picked-up"),)
        provider.script(lambda _: Reply(status=307, headers=where))
        other.script(lambda received: Reply.of({"number": received.number}))
        results = [
            project.python(program, mode, str(store), provider.url)
            for mode in ("fallback", "replay")
        ]
        assert [result.stdout for result in results] == ['{"number": 1}\n'] * 2, results[1].text
        assert (provider.count, other.count) == (1, 1)


def test_a_request_that_does_not_count_passes(provider, store):
    """The program's own server is nobody's business, even in replay."""
    provider.script(lambda received: Reply.of({"number": received.number}))
    with cas_llm.use("replay", store=store):
        assert httpx.post(f"{provider.root}/forms/1/responses", json={"a": 1}).json() == {
            "number": 1
        }
        assert httpx.get(f"{provider.root}/health").json() == {"number": 2}
    assert not store.exists()


def test_everything_is_as_it_was_afterwards():
    """Leaving the last block takes the wrappers off both libraries."""
    found = {}
    for library in (httpx, httpx2):
        for name in ("HTTPTransport", "AsyncHTTPTransport"):
            transport = getattr(library, name)
            found[transport] = dict(vars(transport))
    with cas_llm.use("replay"):
        assert all(dict(vars(transport)) != before for transport, before in found.items())
    assert all(dict(vars(transport)) == before for transport, before in found.items())


# Mocks: whoever stands in for the network keeps standing there.

FAKE = {"id": "fake", "choices": []}


def unrecorded(store, call):
    """Run *call* in replay on an empty store: nothing may be refused, served or written."""
    with cas_llm.use("replay", store=store) as session:
        call()
        sums = session.runtime.log.sums
        assert (sums.missed, sums.served, sums.live) == (0, 0, 0)
    with cas_llm.use("capture", store=store):
        call()
    assert not store.exists()


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda module: module.__name__)
def test_a_mock_transport_is_left_alone(store, library):
    """Both libraries' own MockTransport."""

    def call():
        transport = library.MockTransport(lambda _: library.Response(200, json=FAKE))
        with library.Client(transport=transport) as client:
            assert client.post("https://api.openai.com/v1/chat/completions", json=BODY).json()
        with library.Client(mounts={"https://": transport}) as client:
            assert client.post("https://api.openai.com/v1/chat/completions", json=BODY).json()

    unrecorded(store, call)


def test_asgi_wsgi_and_test_clients_are_left_alone(store):
    """An app under test that has a path like a provider's."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def completions(request):
        return JSONResponse(FAKE)

    app = Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"])])

    def wsgi(environ, start):
        start("200 OK", [("content-type", "application/json")])
        return [json.dumps(FAKE).encode()]

    async def over_asgi():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            assert (await client.post("/v1/chat/completions", json=BODY)).json() == FAKE

    def call():
        asyncio.run(over_asgi())
        transport = httpx.WSGITransport(app=wsgi)
        with httpx.Client(transport=transport, base_url="http://app") as client:
            assert client.post("/v1/chat/completions", json=BODY).json() == FAKE
        testclient = importlib.import_module("starlette.testclient")
        with testclient.TestClient(app) as client:
            assert client.post("/v1/chat/completions", json=BODY).json() == FAKE

    unrecorded(store, call)


@pytest.mark.parametrize("using", ["httpcore", "httpx"])
def test_respx_is_left_alone(store, using):
    """Both of its mockers: the default one stands under the transport."""
    import respx

    def call():
        with respx.mock(using=using) as router:
            route = router.post("https://api.openai.com/v1/chat/completions")
            route.respond(json=FAKE)
            url = "https://api.openai.com/v1/chat/completions"
            assert httpx.post(url, json=BODY).json() == FAKE
            assert route.call_count == 1

    unrecorded(store, call)


def test_pytest_httpx_is_left_alone(store, httpx_mock):
    """Its fixture replaces the transports' handlers."""
    url = "https://api.openai.com/v1/chat/completions"
    httpx_mock.add_response(url=url, json=FAKE, is_reusable=True)
    unrecorded(store, lambda: httpx.post(url, json=BODY))
    assert len(httpx_mock.get_requests()) == 2


def test_vcrpy_is_left_alone(provider, store, tmp_path):
    """A cassette in use records and replays as it does without cas-llm."""
    import vcr

    cassette = vcr.VCR(record_mode="once", match_on=["method", "uri", "body"])
    seen = []

    def call():
        with cassette.use_cassette(str(tmp_path / "cassette.yaml")):
            seen.append(httpx.post(f"{provider.url}/chat/completions", json=BODY).json())

    call()
    unrecorded(store, call)
    assert seen[0] == seen[1] == seen[2]
    assert provider.count == 1


def test_a_monkeypatched_transport_is_left_alone(store, monkeypatch):
    """A test's own patch of the handler, put on before or during the block."""
    url = "https://api.openai.com/v1/chat/completions"

    def fake(self, request):
        return httpx.Response(200, json=FAKE)

    def patched_within():
        with monkeypatch.context() as patch:
            patch.setattr(httpx.HTTPTransport, "handle_request", fake)
            assert httpx.post(url, json=BODY).json() == FAKE

    unrecorded(store, patched_within)
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", fake)
    unrecorded(store, lambda: httpx.post(url, json=BODY))
    assert httpx.HTTPTransport.handle_request is fake
