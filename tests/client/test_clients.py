"""Drop-in clients: every request is recorded and replayed, inside a session and outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import pytest

import cas_llm
from cas_llm.session import policy


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)


def say(client: Any, text: str = "hi", **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="gpt-4o-mini", messages=messages, **more)


def test_every_request_counts_outside_a_session(provider: Any) -> None:
    """Without use() the first ask calls and stores, and the second is its equal."""
    client = cas_llm.OpenAI(base_url=provider.url, api_key="k")
    first = say(client)
    assert say(client).model_dump() == first.model_dump()
    assert client.models.list().data == client.models.list().data
    assert provider.count == 2
    assert isinstance(client, openai.OpenAI)


async def test_the_async_client_does_the_same(provider: Any) -> None:
    """AsyncOpenAI records and replays outside a session, streams too."""
    async with cas_llm.AsyncOpenAI(base_url=provider.url, api_key="k") as client:
        first = await say(client)
        assert await say(client) == first
        streams = [[e async for e in await say(client, stream=True)] for _ in range(2)]
    assert streams[0] == streams[1]
    assert provider.count == 2


def test_azure_clients_are_recorded(provider: Any) -> None:
    """AzureOpenAI keeps its paths, and its copies keep being recorded."""
    client = cas_llm.AzureOpenAI(
        azure_endpoint=provider.root, api_version="2024-06-01", api_key="k"
    )
    first = say(client)
    assert say(client) == say(client.with_options(max_retries=0)) == first
    assert "/deployments/gpt-4o-mini/" in provider.calls[0].path
    assert provider.count == 1


async def test_async_azure_replays_without_a_key(provider: Any) -> None:
    """Neither key nor token is needed where the answer is recorded."""
    options = {"azure_endpoint": provider.root, "api_version": "2024-06-01"}
    async with cas_llm.AsyncAzureOpenAI(**options, api_key="k") as client:
        first = await say(client)
    async with cas_llm.AsyncAzureOpenAI(**options, cas_llm="replay") as client:
        assert await say(client) == first


def test_replay_needs_no_key_and_a_live_call_names_the_variable(provider: Any) -> None:
    """A client without a key can be made; only a call that needs the key fails."""
    first = say(cas_llm.OpenAI(base_url=provider.url, api_key="k"))
    keyless = cas_llm.OpenAI(base_url=provider.url)
    assert keyless.api_key == policy.PLACEHOLDER
    assert say(keyless) == first
    with pytest.raises(openai.APIStatusError, match="OPENAI_API_KEY is not set"):
        say(keyless, "new")
    assert provider.count == 1


def test_a_miss_in_replay_reaches_nobody(provider: Any) -> None:
    """The SDK's own error carries the explanation, after no request and no retry."""
    client = cas_llm.OpenAI(base_url=provider.url, cas_llm="replay")
    with pytest.raises(openai.APIStatusError, match="cas-llm: not recorded"):
        say(client)
    assert provider.count == 0


def test_raw_and_streaming_responses_keep_working(provider: Any) -> None:
    """with_raw_response and with_streaming_response give what the plain call gives."""
    client = cas_llm.OpenAI(base_url=provider.url, api_key="k")
    first, asked = say(client), {"model": "gpt-4o-mini"}
    asked["messages"] = [{"role": "user", "content": "hi"}]
    raw = client.chat.completions.with_raw_response.create(**asked)
    assert raw.parse() == first
    assert len(raw.headers["x-cas-llm-key"]) == 64
    with client.chat.completions.with_streaming_response.create(**asked) as response:
        assert response.parse() == first
    assert provider.count == 1


def test_a_copy_shares_the_connection_and_may_have_options_of_its_own(provider: Any) -> None:
    """with_options() keeps how requests are recorded; cas_llm= replaces it for the copy only."""
    client = cas_llm.OpenAI(base_url=provider.url, api_key="k")
    say(client)
    kept, off = client.with_options(timeout=5), client.copy(cas_llm="disabled")
    assert kept._client is client._client
    say(kept)
    assert provider.count == 1
    say(off)
    say(client)
    assert provider.count == 2


def test_options_are_those_of_use(provider: Any, tmp_path: Path) -> None:
    """A mapping gives store and namespace; what use() does not know is an error at once."""
    options = {"store": tmp_path / "other", "namespace": "mine"}
    say(cas_llm.OpenAI(base_url=provider.url, api_key="k", cas_llm=options))
    assert (tmp_path / "other" / "format").exists()
    assert not (tmp_path / "cache_store").exists()
    with pytest.raises(cas_llm.ConfigError, match="unknown option 'nmae'"):
        cas_llm.OpenAI(api_key="k", cas_llm={"nmae": "x"})
    with pytest.raises(cas_llm.ConfigError, match="did you mean 'replay'"):
        cas_llm.OpenAI(api_key="k", cas_llm="replya")


def test_inside_a_session_requests_are_counted_once_and_there(provider: Any) -> None:
    """A use() block holds for the client as for any other, and its tape gets the request."""
    client = cas_llm.OpenAI(base_url=provider.url, api_key="k")
    with cas_llm.use("fallback", name="a") as session:
        first = say(client)
        live = session.runtime.log.sums.live
    assert provider.count == 1
    tapes = list(Path("cache_store/manifest/tapes").rglob("*.json"))
    assert len(tapes) == 1
    assert session.runtime.log.sums.live == live
    with cas_llm.use("replay", name="a"):
        assert say(client) == first
    with (
        pytest.raises(cas_llm.CacheMiss),
        cas_llm.use("replay", name="a"),
        pytest.raises(openai.APIStatusError),
    ):
        say(client, "new")
    assert provider.count == 1


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_given_http_client_is_used_and_its_own_requests_pass(provider: Any, library: Any) -> None:
    """The user's client carries the requests; what it sends for others is not recorded."""
    with library.Client(headers={"x-mine": "1"}) as given:
        client = cas_llm.OpenAI(base_url=provider.url, api_key="k", http_client=given)
        assert say(client) == say(client)
        assert provider.count == 1
        assert provider.calls[0].headers["x-mine"] == "1"
        for _ in range(2):
            given.get(f"{provider.url}/models")
    assert provider.count == 3


def test_a_transport_of_the_users_is_recorded() -> None:
    """With a transport given on purpose, answers are recorded as those of any server."""
    calls: list[Any] = []

    def answer(request: Any) -> Any:
        calls.append(request.url)
        body = {"id": str(len(calls)), "object": "chat.completion", "choices": [], "model": "m"}
        return httpx2.Response(200, json=body)

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as given:
        client = cas_llm.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="k", http_client=given)
        assert say(client) == say(client)
    assert len(calls) == 1


async def test_an_async_transport_of_the_users_is_recorded() -> None:
    """The same holds for event loops."""

    def answer(request: Any) -> Any:
        body = {"id": str(id(request)), "object": "chat.completion", "choices": [], "model": "m"}
        return httpx2.Response(200, json=body)

    given = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    async with cas_llm.AsyncOpenAI(
        base_url="http://127.0.0.1:9/v1", api_key="k", http_client=given
    ) as client:
        assert await say(client) == await say(client)


def test_somebody_elses_mock_is_left_alone(provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a mock replaced the library's transport, the request goes to the mock unrecorded."""

    def mocked(transport: Any, request: Any) -> Any:
        body = {"id": "mock", "object": "chat.completion", "choices": [], "model": "m"}
        return httpx2.Response(200, json=body)

    client = cas_llm.OpenAI(base_url=provider.url, api_key="k")
    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", mocked)
    assert say(client).id == "mock"
    assert not Path("cache_store").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (5, "mode must be text, not 5"),
        ({"store": 5}, "store must be the path of a folder, not 5"),
        ({"store": ""}, "store must be the path of a folder, not ''"),
        ({"store": __file__}, "is a file"),
    ],
)
def test_an_option_that_cannot_be_read_is_one_clear_error(options: Any, says: str) -> None:
    """It names the client's argument, before any request."""
    with pytest.raises(cas_llm.ConfigError, match=r"OpenAI\(cas_llm=…\): ") as raised:
        cas_llm.OpenAI(api_key="k", cas_llm=options)
    assert says in str(raised.value)
