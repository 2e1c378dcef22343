"""What other recorders get wrong, row by row, against a provider that counts its calls."""

import asyncio
import gc
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import httpx
import openai
import pytest
from support.answers import answer
from support.provider import Reply

import cas_llm
from cas_llm.session.runtime import forget

EIGHT = [f"What is {number} times {number}?" for number in range(8)]


def ask(client, text, **options):
    """One chat completion."""
    messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
    return client.chat.completions.create(model="gpt-4o-mini", messages=messages, **options)


def said(completion):
    """The text of a chat completion."""
    return completion.choices[0].message.content


def slow_and_uneven(provider):
    """Let later prompts be answered first."""

    def script(received):
        number = EIGHT.index(received.json["messages"][-1]["content"])
        return replace(answer(received, provider.files), wait=0.02 * (8 - number))

    provider.script(script)


def test_an_edited_prompt_is_refused_at_once_with_its_explanation(client, provider, store):
    """One request, under a second, the JSON path with old and new text, and no call."""
    with cas_llm.use("fallback", store=store):
        ask(client, "Name a blue fruit.")
    began = time.perf_counter()
    with (
        cas_llm.use("replay", store=store),
        cas_llm.expect_miss() as missed,
        pytest.raises(openai.APIStatusError) as refused,
    ):
        ask(client, "Name a red fruit.")
    assert time.perf_counter() - began < 1
    assert len(missed) == 1
    text = str(refused.value)
    assert refused.value.status_code == 424
    assert "$.messages[0].content" in text
    assert "blue" in text
    assert "red" in text
    assert "Record it:" in text
    assert provider.count == 1


@pytest.mark.parametrize("mode", ["capture", "fallback"])
def test_eight_threads_get_their_own_answers(client, provider, store, mode):
    """No thread is given another one's answer, neither while recording nor in replay."""
    slow_and_uneven(provider)

    def everyone():
        with ThreadPoolExecutor(8) as pool:
            return [said(completion) for completion in pool.map(lambda t: ask(client, t), EIGHT)]

    with cas_llm.use(mode, store=store):
        recorded = everyone()
    assert [text.partition(": ")[2] for text in recorded] == EIGHT
    assert provider.count == 8
    with cas_llm.use("replay", store=store):
        assert everyone() == recorded
    assert provider.count == 8


def test_eight_bare_threads_that_ask_all_prompts_get_their_own_answers(client, provider, store):
    """Threads outside any pool inherit the session; each of 64 answers is the asked one's."""

    def everyone():
        found = {}

        def one(thread):
            for text in EIGHT[thread:] + EIGHT[:thread]:
                found[thread, text] = said(ask(client, text))

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    with cas_llm.use("fallback", store=store):
        recorded = everyone()
    assert len(recorded) == 64
    assert all(text.endswith(asked) for (_, asked), text in recorded.items())
    assert provider.count == 8
    with cas_llm.use("replay", store=store):
        assert everyone() == recorded
    assert provider.count == 8


@pytest.mark.parametrize("mode", ["capture", "fallback"])
def test_gathered_tasks_get_their_own_answers(provider, store, mode):
    """asyncio.gather of eight: none wrong while recording, none wrong in replay."""
    slow_and_uneven(provider)

    async def everyone():
        async with openai.AsyncOpenAI(base_url=provider.url, api_key="none") as client:
            return [said(c) for c in await asyncio.gather(*[ask(client, t) for t in EIGHT])]

    with cas_llm.use(mode, store=store):
        recorded = asyncio.run(everyone())
    assert [text.partition(": ")[2] for text in recorded] == EIGHT
    with cas_llm.use("replay", store=store):
        assert asyncio.run(everyone()) == recorded
    assert provider.count == 8


@pytest.mark.parametrize("name", [None, "swap"])
def test_a_swapped_order_replays_right(client, provider, store, name):
    """The request finds its answer, not its place in a sequence."""
    with cas_llm.use("capture", store=store, name=name):
        first, second = ask(client, "first"), ask(client, "second")
    with cas_llm.use("replay", store=store, name=name):
        assert ask(client, "second") == second
        assert ask(client, "first") == first
    assert provider.count == 2


def test_a_prompt_captured_twice_replays_twice_and_no_third_time(client, provider, store):
    """Both answers come back in order; the third ask says how many there are."""
    with cas_llm.use("capture", store=store, name="twice"):
        recorded = [said(ask(client, "Throw a die.")) for _ in range(2)]
    assert recorded[0] != recorded[1]
    with cas_llm.use("replay", store=store, name="twice"):
        assert [said(ask(client, "Throw a die.")) for _ in range(2)] == recorded
        with cas_llm.expect_miss() as missed, pytest.raises(openai.APIStatusError) as refused:
            ask(client, "Throw a die.")
    assert "asked 3 times, recorded 2" in str(refused.value)
    assert [problem.kind for problem in missed] == ["exhausted"]
    assert provider.count == 2


def gated(gate, first, rest):
    """Chunks of which all but the first wait for the reader."""

    def chunks():
        yield first
        assert gate.wait(10)
        yield from rest

    return chunks()


def event(text):
    """One chunk of a streamed chat completion."""
    delta = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps(head | {"choices": [delta]}).encode() + b"\n\n"


def stream_of(chunks):
    """A reply whose body is an event stream."""
    return Reply(headers=(("content-type", "text/event-stream"),), chunks=chunks)


def test_the_first_chunk_arrives_while_the_provider_still_sends(client, provider, store):
    """Recording reads nothing ahead: the provider waits until the program has the first chunk."""
    gate = threading.Event()
    provider.script(
        lambda _: stream_of(gated(gate, event("one"), [event("two"), b"data: [DONE]\n\n"]))
    )
    with cas_llm.use("fallback", store=store):
        stream = iter(ask(client, "count", stream=True))
        texts = [next(stream).choices[0].delta.content]
        gate.set()
        texts += [chunk.choices[0].delta.content for chunk in stream]
    assert texts == ["one", "two"]
    with cas_llm.use("replay", store=store):
        replayed = [c.choices[0].delta.content for c in ask(client, "count", stream=True)]
    assert replayed == texts
    assert provider.count == 1


def test_the_first_chunk_arrives_early_in_asyncio_too(provider, store):
    """The same promise where an event loop reads."""
    gate = threading.Event()
    provider.script(
        lambda _: stream_of(gated(gate, event("one"), [event("two"), b"data: [DONE]\n\n"]))
    )

    async def read():
        async with openai.AsyncOpenAI(base_url=provider.url, api_key="none") as client:
            texts = []
            async for chunk in await ask(client, "count", stream=True):
                texts.append(chunk.choices[0].delta.content)
                gate.set()
            return texts

    with cas_llm.use("fallback", store=store):
        texts = asyncio.run(read())
    with cas_llm.use("replay", store=store):
        assert asyncio.run(read()) == texts == ["one", "two"]
    assert provider.count == 1


def test_chunk_boundaries_are_kept(provider, store):
    """A stream cut in the middle of a character replays in exactly the pieces it came in."""
    whole = 'data: {"text": "naïve 🎈"}\n\ndata: [DONE]\n\n'.encode()
    cuts = [0, 3, 19, 20, 26, 27, 28, len(whole)]
    chunks = tuple(whole[a:b] for a, b in pairwise(cuts))
    provider.script(lambda _: replace(stream_of(chunks), delay=0.02))

    def read():
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        with httpx.stream("POST", f"{provider.url}/chat/completions", json=body) as response:
            return list(response.iter_raw())

    with cas_llm.use("fallback", store=store):
        assert read() == list(chunks)
    with cas_llm.use("replay", store=store):
        assert read() == list(chunks)
    assert provider.count == 1


def test_a_stream_left_early_replays_to_where_it_was_read(client, provider, store):
    """What was read replays; reading on is a loud miss, not a short stream."""
    gate = threading.Event()
    provider.script(lambda _: stream_of(gated(gate, event("one"), [event("two")])))
    with cas_llm.use("fallback", store=store):
        with ask(client, "count", stream=True) as stream:
            assert next(iter(stream)).choices[0].delta.content == "one"
        gate.set()
    with cas_llm.use("replay", store=store), ask(client, "count", stream=True) as stream:
        assert next(iter(stream)).choices[0].delta.content == "one"
    with (
        pytest.raises(cas_llm.CacheMiss, match="left early"),
        cas_llm.use("replay", store=store),
        ask(client, "count", stream=True) as stream,
    ):
        assert [chunk.choices[0].delta.content for chunk in stream] == ["one"]
    assert provider.count == 1


def test_a_swallowed_reading_on_still_fails_the_block(client, provider, store):
    """A program that catches everything does not hide that its stream was short."""
    gate = threading.Event()
    provider.script(lambda _: stream_of(gated(gate, event("one"), [event("two")])))
    with cas_llm.use("fallback", store=store):
        with ask(client, "count", stream=True) as stream:
            next(iter(stream))
        gate.set()

    def swallow():
        try:
            list(ask(client, "count", stream=True))
        except Exception:
            return

    with pytest.raises(cas_llm.CacheMiss, match="left early"), cas_llm.use("replay", store=store):
        swallow()


def test_key_order_is_irrelevant(provider, store):
    """The same JSON with its members in another order is the same request."""
    message = {"role": "user", "content": "hi"}
    url = f"{provider.url}/chat/completions"
    with cas_llm.use("fallback", store=store):
        recorded = httpx.post(url, json={"model": "m", "messages": [message], "seed": 1})
    turned = {"seed": 1, "messages": [dict(reversed(message.items()))], "model": "m"}
    with cas_llm.use("replay", store=store):
        assert httpx.post(url, json=turned).content == recorded.content
    assert provider.count == 1


@pytest.mark.parametrize("name", [None, "busy"])
def test_a_recorded_429_replays_without_sleeping(client, provider, store, monkeypatch, name):
    """The program sees the error and the answer again, but not the SDK's pause between them."""
    monkeypatch.setenv("CAS_LLM_RECORD_ERRORS", "429")
    busy = Reply.of({"error": {"message": "slow down"}}, status=429, retry_after="1")
    provider.script(lambda received: busy if received.number == 1 else None)
    began = time.perf_counter()
    with cas_llm.use("capture", store=store, name=name) as session:
        recorded = ask(client, "hi")
        assert session.runtime.log.sums.stored == 2
    assert time.perf_counter() - began > 0.9
    began = time.perf_counter()
    with cas_llm.use("replay", store=store, name=name) as session:
        before = session.runtime.log.sums.served
        assert ask(client, "hi") == recorded
        assert session.runtime.log.sums.served - before == 2
    assert time.perf_counter() - began < 0.4
    assert provider.count == 2


def test_an_error_nobody_asked_to_record_leaves_no_trace(client, provider, store):
    """Without record_errors a 429-then-200 capture replays as the 200 alone."""
    busy = Reply.of({"error": {"message": "slow down"}}, status=429, retry_after_ms="5")
    provider.script(lambda received: busy if received.number == 1 else None)
    with cas_llm.use("capture", store=store, name="busy"):
        recorded = ask(client, "hi")
    with cas_llm.use("replay", store=store, name="busy") as session:
        before = session.runtime.log.sums.served
        assert ask(client, "hi") == recorded
        assert session.runtime.log.sums.served - before == 1


def test_eight_equal_misses_in_threads_make_one_call(client, provider, store):
    """One thread asks, seven wait for its answer."""
    provider.script(lambda received: replace(answer(received, {}), wait=0.2))
    with cas_llm.use("fallback", store=store), ThreadPoolExecutor(8) as pool:
        texts = {said(c) for c in pool.map(lambda _: ask(client, "same"), range(8))}
    assert len(texts) == 1
    assert provider.count == 1


def test_eight_equal_misses_in_tasks_make_one_call(provider, store):
    """Seven tasks wait without holding up the loop."""
    provider.script(lambda received: replace(answer(received, {}), wait=0.3))

    async def everyone():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        async with openai.AsyncOpenAI(base_url=provider.url, api_key="none") as client:
            found = await asyncio.gather(*[ask(client, "same") for _ in range(8)])
        ticking.cancel()
        return {said(completion) for completion in found}, ticks

    with cas_llm.use("fallback", store=store):
        texts, ticks = asyncio.run(everyone())
    assert len(texts) == 1
    assert ticks > 8
    assert provider.count == 1


def test_a_failed_call_lets_one_of_the_waiting_try(provider, store):
    """Where the one call breaks, the next makes it: two calls, seven equal answers."""

    def script(received):
        if received.number == 1:
            return Reply(wait=0.2, body=b"{}" * 100, close_after=0, reset=True)
        return replace(answer(received, {}), wait=0.1)

    provider.script(script)
    client = openai.OpenAI(base_url=provider.url, api_key="none", max_retries=0)

    def one(_):
        try:
            return said(ask(client, "same"))
        except openai.APIConnectionError:
            return "broken"

    with client, cas_llm.use("fallback", store=store), ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(one, range(8)))
    assert texts.count("broken") == 1
    assert len(set(texts)) == 2
    assert provider.count == 2


def test_eight_equal_misses_in_trio_make_one_call(provider, store):
    """Single-flight knows trio's tasks from one another too."""
    import trio

    provider.script(lambda received: replace(answer(received, {}), wait=0.2))
    body = {"model": "m", "messages": [{"role": "user", "content": "same"}]}
    found = []

    async def one():
        async with httpx.AsyncClient() as client:
            found.append((await client.post(f"{provider.url}/chat/completions", json=body)).text)

    async def everyone():
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(one)

    with cas_llm.use("fallback", store=store):
        trio.run(everyone)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert provider.count == 1


def test_a_program_never_waits_for_its_own_open_stream(client, provider, store):
    """The same request while its first stream is still being read: a second call, no deadlock."""
    with cas_llm.use("fallback", store=store):
        first = iter(ask(client, "same", stream=True))
        head = next(first)
        second = list(ask(client, "same", stream=True))
        assert [head, *first][0].id != second[0].id
    assert provider.count == 2
    with cas_llm.use("replay", store=store):
        assert list(ask(client, "same", stream=True))[1:]
    assert provider.count == 2


def test_a_task_never_waits_for_its_own_open_stream(provider, store):
    """The same where one task reads two streams in turn."""

    async def read():
        async with openai.AsyncOpenAI(base_url=provider.url, api_key="none") as client:
            first = await ask(client, "same", stream=True)
            second = await ask(client, "same", stream=True)
            return [{chunk.id async for chunk in stream} for stream in (first, second)]

    with cas_llm.use("fallback", store=store):
        ids = asyncio.run(asyncio.wait_for(read(), 10))
    assert ids == [{"chatcmpl-1"}, {"chatcmpl-2"}]


def test_a_response_nobody_reads_or_closes_holds_up_no_other_thread(provider, store):
    """Once it is gone, the next ask makes its own call."""
    url = f"{provider.url}/chat/completions"
    body = {"model": "m", "messages": [{"role": "user", "content": "same"}]}
    with cas_llm.use("fallback", store=store), httpx.Client() as client:
        dropped = client.send(client.build_request("POST", url, json=body), stream=True)
        del dropped
        gc.collect()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(httpx.post, url, json=body).result(10).json()["id"] == "chatcmpl-2"


def test_a_cancelled_stream_is_asked_again(provider, store):
    """A program that gives up on a slow stream and tries again gets the whole answer."""
    events = [event("one"), event("two"), b"data: [DONE]\n\n"]
    provider.script(lambda r: replace(stream_of(tuple(events)), delay=0.3 if r.number == 1 else 0))

    async def read(client):
        return [c.choices[0].delta.content async for c in await ask(client, "count", stream=True)]

    async def tries():
        async with openai.AsyncOpenAI(base_url=provider.url, api_key="none") as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(read(client), 0.15)
            return await read(client)

    with cas_llm.use("fallback", store=store):
        assert asyncio.run(tries()) == ["one", "two"]
    assert provider.count == 2


CHILD = """
import sys
import cas_llm.child
import openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="none")
for text in sys.argv[2:]:
    message = {"role": "user", "content": text}
    answer = client.chat.completions.create(model="m", messages=[message])
    print(answer.choices[0].message.content)
"""

ALONE = """
import sys
import cas_llm, openai
client = openai.OpenAI(base_url=sys.argv[2], api_key="none")
with cas_llm.use(sys.argv[1], store=sys.argv[3]):
    for text in sys.argv[4:]:
        message = {"role": "user", "content": text}
        answer = client.chat.completions.create(model="m", messages=[message])
        print(answer.choices[0].message.content)
"""


def session_variable():
    """What a child must be told to join the session here."""
    return {"CAS_LLM_SESSION": os.environ["CAS_LLM_SESSION"]}


def at_once(count, run):
    """What *run* says for each number below *count*, all at the same time."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.slow
def test_eight_equal_misses_in_processes_make_one_call(project, provider, store):
    """Child processes belong to the run: one of them asks, seven wait."""
    provider.script(lambda received: replace(answer(received, {}), wait=0.5))
    with cas_llm.use("fallback", store=store):
        joined = session_variable()
        results = at_once(
            8, lambda _: project.python(CHILD, provider.url, "same", env=joined, timeout=50)
        )
    assert {result.stdout for result in results} == {"answer 1: same\n"}, results[0].text
    assert provider.count == 1


@pytest.mark.slow
@pytest.mark.parametrize("related", [True, False], ids=["children", "strangers"])
def test_four_processes_of_ten_calls_leave_forty_answers(project, provider, store, related):
    """Nobody loses an answer, whether the processes are of one run or know nothing of another."""
    prompts = [[f"process {p}, call {c}" for c in range(10)] for p in range(4)]

    def child(number):
        if related:
            return project.python(CHILD, provider.url, *prompts[number], env=joined)
        return project.python(ALONE, "capture", provider.url, str(store), *prompts[number])

    with cas_llm.use("capture", store=store):
        joined = session_variable()
        results = at_once(4, child)
    assert all(result.code == 0 for result in results), results[0].text
    assert provider.count == 40
    flat = [text for texts in prompts for text in texts]
    replayed = project.python(ALONE, "replay", provider.url, str(store), *flat)
    assert replayed.stdout == "".join(result.stdout for result in results), replayed.text
    print(f"{len(replayed.stdout.splitlines())} of 40")
    assert provider.count == 40


def test_a_client_that_has_already_called_is_recorded_too(client, provider, store):
    """A connection kept alive from before activation is no way around."""
    ask(client, "before")
    with cas_llm.use("fallback", store=store):
        recorded = ask(client, "after")
    with cas_llm.use("replay", store=store):
        assert ask(client, "after") == recorded
        with cas_llm.expect_miss(), pytest.raises(openai.APIStatusError):
            ask(client, "before")
    assert [call.json["messages"][0]["content"] for call in provider.calls] == ["before", "after"]


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def talk(client, second):
    """Two turns: the model calls a tool, gets its result, and is asked a *second* thing."""
    messages = [{"role": "user", "content": "Weather in Oslo?"}]
    first = ask(client, messages, tools=[TOOL])
    call = first.choices[0].message.tool_calls[0]
    messages += [
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": second},
    ]
    return first, ask(client, messages)


@pytest.mark.parametrize("name", [None, "weather"])
@pytest.mark.parametrize("mode", ["capture", "fallback"])
def test_a_tool_conversation_with_an_edited_second_prompt_is_captured_once(
    project, client, provider, store, name, mode
):
    """After one recording of the edit every turn replays, ids of tool calls included."""
    with cas_llm.use("capture", store=store, name=name) as session:
        talk(client, "And tomorrow?")
    assert provider.count == 2
    # The edit is recorded on another day: in a run of its own.
    forget(session.runtime)
    with cas_llm.use(mode, store=store, name=name):
        recorded = talk(client, "And on Sunday?")
    assert provider.count == (4 if mode == "capture" else 3)
    for _ in range(2):
        forget(session.runtime)
        with cas_llm.use("replay", store=store, name=name):
            assert talk(client, "And on Sunday?") == recorded
    assert provider.count == (4 if mode == "capture" else 3)
