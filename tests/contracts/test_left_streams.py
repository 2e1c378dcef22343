"""A response that its reader lets go unclosed, as litellm does, is recorded as far as it was read."""

import asyncio
import gc
import threading

import httpx
import httpx2
import pytest
from support.provider import Reply

import cas_llm

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda module: module.__name__)
EVENTS = [{"type": "message_start"}, {"type": "message_delta"}, {"type": "message_stop"}]
BODY = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hello"}],
    "stream": True,
}


def first_events(library, client, provider, count, held):
    """The first *count* pieces of a stream whose response is never closed."""
    request = client.build_request("POST", f"{provider.url}/messages", json=BODY)
    response = client.send(request, stream=True)
    held.append(response)
    pieces = response.iter_bytes()
    return [next(pieces) for _ in range(count)]


async def first_events_async(library, provider, count, held):
    async with library.AsyncClient() as client:
        request = client.build_request("POST", f"{provider.url}/messages", json=BODY)
        response = await client.send(request, stream=True)
        held.append(response)
        pieces = response.aiter_bytes()
        return [await anext(pieces) for _ in range(count)]


def events(library, provider, count, held, *, loop=False):
    if loop:
        return asyncio.run(first_events_async(library, provider, count, held))
    with library.Client() as client:
        return first_events(library, client, provider, count, held)


@pytest.fixture
def stream(provider):
    """The provider streams three events, the last of which is the terminal one."""
    provider.script(lambda _: Reply.sse(EVENTS, named=True))
    return provider


@LIBRARIES
@pytest.mark.parametrize("loop", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", ["named", None])
def test_what_was_read_of_a_stream_let_go_replays(stream, store, library, loop, count, name):
    """The program that stops at the same place reads the same, with no call."""
    held = []
    with cas_llm.use("fallback", store=store, name=name):
        recorded = events(library, stream, count, held, loop=loop)
    assert len(recorded) == count
    with cas_llm.use("replay", store=store, name=name):
        assert events(library, stream, count, held, loop=loop) == recorded
    assert stream.count == 1


def test_a_stream_let_go_after_its_terminal_event_is_complete(stream, store):
    """Only what broke off before the terminal event is marked as incomplete."""
    with cas_llm.use("fallback", store=store):
        events(httpx, stream, 3, [])
    with cas_llm.use("replay", store=store), httpx.Client() as client:
        answer = client.post(f"{stream.url}/messages", json=BODY)
    assert answer.content == b"".join(Reply.sse(EVENTS, named=True).chunks)


def test_reading_on_where_a_stream_was_let_go_is_a_loud_miss(stream, store):
    """What was never read is not made up."""
    with cas_llm.use("fallback", store=store):
        events(httpx, stream, 2, [])
    with (
        pytest.raises(cas_llm.CacheMiss, match="left early"),
        cas_llm.use("replay", store=store),
        httpx.Client() as client,
    ):
        client.post(f"{stream.url}/messages", json=BODY)


def test_whoever_waits_for_a_stream_let_go_is_served(stream, store, monkeypatch):
    """A second thread neither waits for ever nor pays again."""
    # However slow the machine is, the stream is let go before it counts as one nobody reads on.
    monkeypatch.setattr("cas_llm.session.recorder._STALL_SECONDS", 60)
    held, read = [], []
    with cas_llm.use("fallback", store=store), httpx.Client() as client:
        first_events(httpx, client, stream, 3, held)

        def wait():
            with httpx.Client() as other:
                read.append(other.post(f"{stream.url}/messages", json=BODY).content)

        waiter = threading.Thread(target=wait)
        waiter.start()
        waiter.join(0.1)
        held.clear()
        gc.collect()
        waiter.join(30)
    assert read == [b"".join(Reply.sse(EVENTS, named=True).chunks)]
    assert stream.count == 1


def test_a_response_nobody_read_of_is_not_recorded(stream, store):
    """There is nothing to keep of it; the next run asks again."""
    with cas_llm.use("fallback", store=store):
        events(httpx, stream, 0, [])
        events(httpx, stream, 3, [])
    assert stream.count == 2


def test_a_failing_test_keeps_what_it_read_of_a_stream(project, stream):
    """What was paid for waits for the test to pass, though its stream was never closed."""
    from support.inner import Inner

    inner = Inner(project, stream).tests("""
        import pathlib
        from llm import client
        held = []
        def test_it():
            body = {"model": "m", "max_tokens": 9, "stream": True,
                    "messages": [{"role": "user", "content": "hello"}]}
            import os
            url = os.environ["OPENAI_BASE_URL"] + "/messages"
            request = client.build_request("POST", url, json=body)
            held.append(client.send(request, stream=True))
            pieces = held[0].iter_bytes()
            assert len([next(pieces), next(pieces)]) == 2
            assert pathlib.Path("pass").exists()
    """)
    inner.record(failed=1)
    project.file("pass", "")
    inner.record(passed=1)
    inner.run(passed=1)
    assert stream.count == 1
