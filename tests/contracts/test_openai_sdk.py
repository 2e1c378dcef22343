"""Whatever the OpenAI SDK offers records once and replays as equal typed objects, sync and async."""

import asyncio

import openai
import pydantic
import pytest

import cas_llm

HELLO = [{"role": "user", "content": "hello"}]
CHAT = {"model": "gpt-4o-mini", "messages": HELLO}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


class Fruit(pydantic.BaseModel):
    """What `.parse()` is asked for."""

    name: str
    weight: int


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
RESPONSE_TOOL = {"type": "function", **TOOL["function"]}


def plain(value):
    """A typed object as its class and plain values, so that two of them can be compared."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, pydantic.BaseModel):
        return type(value).__name__, value.model_dump(warnings=False)
    return value


# One function per feature; each takes a sync client and returns what a program would see.


def chat(client):
    return client.chat.completions.create(**CHAT)


def chat_with_options(client):
    return client.with_options(timeout=5, max_retries=0).chat.completions.create(**CHAT)


def chat_of_a_copy(client):
    copied = client.copy(default_headers={"x-team": "blue"})
    return copied.chat.completions.create(**CHAT)


def chat_streamed(client):
    return list(client.chat.completions.create(**CHAT, stream=True))


def chat_streamed_with_usage(client):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    return list(client.chat.completions.create(**CHAT, **options))


def chat_raw(client):
    raw = client.chat.completions.with_raw_response.create(**CHAT)
    return raw.status_code, raw.headers["content-type"], raw.request_id, raw.parse()


def chat_streaming_response(client):
    with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        return response.status_code, list(response.iter_lines())


def chat_streaming_response_parsed(client):
    with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        return response.parse()


def chat_stream_helper(client):
    with client.chat.completions.stream(**CHAT) as stream:
        kinds = [event.type for event in stream]
        return kinds, stream.get_final_completion()


def chat_parsed(client):
    parsed = client.chat.completions.parse(**CHAT, response_format=Fruit)
    return parsed, parsed.choices[0].message.parsed


def chat_stream_helper_parsed(client):
    with client.chat.completions.stream(**CHAT, response_format=Fruit) as stream:
        return stream.get_final_completion()


def tools(client):
    return client.chat.completions.create(**CHAT, tools=[TOOL])


def tools_streamed(client):
    return list(client.chat.completions.create(**CHAT, tools=[TOOL], stream=True))


def several_choices(client):
    return client.chat.completions.create(**CHAT, n=3)


def response(client):
    return client.responses.create(model="gpt-4o-mini", input="hello")


def response_streamed(client):
    return list(client.responses.create(model="gpt-4o-mini", input="hello", stream=True))


def response_stream_helper(client):
    with client.responses.stream(model="gpt-4o-mini", input="hello") as stream:
        return [event.type for event in stream], stream.get_final_response()


def response_parsed(client):
    parsed = client.responses.parse(model="gpt-4o-mini", input="hello", text_format=Fruit)
    return parsed, parsed.output_parsed


def response_tools(client):
    return client.responses.create(model="gpt-4o-mini", input="hello", tools=[RESPONSE_TOOL])


def embeddings(client):
    return client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])


def embeddings_as_floats(client):
    return client.embeddings.create(
        model="text-embedding-3-small", input="one", encoding_format="float"
    )


def image(client):
    return client.images.generate(model="gpt-image-1", prompt="a dot")


def image_edited(client):
    return client.images.edit(model="gpt-image-1", prompt="a dot", image=("dot.png", PNG))


def speech(client):
    return client.audio.speech.create(model="tts-1", voice="alloy", input="hello").content


def speech_streamed(client):
    speaking = client.audio.speech.with_streaming_response
    with speaking.create(model="tts-1", voice="alloy", input="hello") as answer:
        return b"".join(answer.iter_bytes(100))


def transcription(client):
    return client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF" * 50))


def models(client):
    return list(client.models.list())


def one_model(client):
    return client.models.retrieve("scripted-small")


def files(client):
    kept = [
        client.files.create(file=(f"{number}.txt", b"text %d" % number), purpose="user_data")
        for number in range(5)
    ]
    first = client.files.list(limit=2)
    pages = [[file.id for file in page.data] for page in first.iter_pages()]
    content = client.files.content(kept[0].id).content
    gone = client.files.delete(kept[0].id)
    return kept, pages, content, gone


def second_page(client):
    for number in range(3):
        client.files.create(file=(f"{number}.txt", b"%d" % number), purpose="user_data")
    first = client.files.list(limit=1)
    second = first.get_next_page()
    assert first.data[0].id != second.data[0].id
    return first.data, second.data


SYNC = [
    chat,
    chat_with_options,
    chat_of_a_copy,
    chat_streamed,
    chat_streamed_with_usage,
    chat_raw,
    chat_streaming_response,
    chat_streaming_response_parsed,
    chat_stream_helper,
    chat_parsed,
    chat_stream_helper_parsed,
    tools,
    tools_streamed,
    several_choices,
    response,
    response_streamed,
    response_stream_helper,
    response_parsed,
    response_tools,
    embeddings,
    embeddings_as_floats,
    image,
    image_edited,
    speech,
    speech_streamed,
    transcription,
    models,
    one_model,
    files,
    second_page,
]


async def async_chat(client):
    return await client.chat.completions.create(**CHAT)


async def async_chat_with_options(client):
    return await client.with_options(timeout=5).chat.completions.create(**CHAT)


async def async_chat_streamed(client):
    return [chunk async for chunk in await client.chat.completions.create(**CHAT, stream=True)]


async def async_chat_raw(client):
    raw = await client.chat.completions.with_raw_response.create(**CHAT)
    return raw.status_code, raw.headers["content-type"], raw.request_id, raw.parse()


async def async_chat_streaming_response(client):
    async with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        return response.status_code, [line async for line in response.iter_lines()]


async def async_chat_stream_helper(client):
    async with client.chat.completions.stream(**CHAT) as stream:
        kinds = [event.type async for event in stream]
        return kinds, await stream.get_final_completion()


async def async_chat_parsed(client):
    parsed = await client.chat.completions.parse(**CHAT, response_format=Fruit)
    return parsed, parsed.choices[0].message.parsed


async def async_tools_streamed(client):
    stream = await client.chat.completions.create(**CHAT, tools=[TOOL], stream=True)
    return [chunk async for chunk in stream]


async def async_response(client):
    return await client.responses.create(model="gpt-4o-mini", input="hello")


async def async_response_streamed(client):
    options = {"model": "gpt-4o-mini", "input": "hello", "stream": True}
    return [event async for event in await client.responses.create(**options)]


async def async_response_stream_helper(client):
    async with client.responses.stream(model="gpt-4o-mini", input="hello") as stream:
        return [event.type async for event in stream], await stream.get_final_response()


async def async_embeddings(client):
    return await client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])


async def async_image_edited(client):
    return await client.images.edit(model="gpt-image-1", prompt="a dot", image=("dot.png", PNG))


async def async_speech(client):
    answer = await client.audio.speech.create(model="tts-1", voice="alloy", input="hello")
    return answer.content


async def async_speech_streamed(client):
    speaking = client.audio.speech.with_streaming_response
    async with speaking.create(model="tts-1", voice="alloy", input="hello") as answer:
        return b"".join([piece async for piece in answer.iter_bytes(100)])


async def async_transcription(client):
    file = ("a.wav", b"RIFF" * 50)
    return await client.audio.transcriptions.create(model="whisper-1", file=file)


async def async_files(client):
    kept = [
        await client.files.create(file=(f"{number}.txt", b"text %d" % number), purpose="user_data")
        for number in range(3)
    ]
    listed = [file async for file in client.files.list(limit=2)]
    return kept, listed, (await client.files.content(kept[0].id)).content


async def async_models(client):
    return [model async for model in client.models.list()]


ASYNC = [value for name, value in list(globals().items()) if name.startswith("async_")]


def through(provider, call):
    """What *call* sees through a client of its own, sync or async."""
    options = {"base_url": provider.url, "api_key": "none", "max_retries": 0}
    if not asyncio.iscoroutinefunction(call):
        with openai.OpenAI(**options) as client:
            return plain(call(client))

    async def run():
        async with openai.AsyncOpenAI(**options) as client:
            return plain(await call(client))

    return asyncio.run(run())


@pytest.mark.parametrize("mode", ["capture", "fallback"])
@pytest.mark.parametrize("call", [*SYNC, *ASYNC], ids=lambda call: call.__name__)
def test_a_feature_of_the_sdk_records_and_replays_as_equal_objects(provider, store, call, mode):
    """Recorded, and asked again with nothing but the store, a program sees the same."""
    with cas_llm.use(mode, store=store, name="feature"):
        recorded = through(provider, call)
    calls = provider.count
    assert calls
    with cas_llm.use("replay", store=store, name="feature"):
        assert through(provider, call) == recorded
    assert provider.count == calls


def test_the_loopback_provider_never_says_the_same_twice(provider):
    """What proves the test above: without cas-llm two equal calls differ."""
    assert through(provider, chat) != through(provider, chat)


def test_page_two_is_not_page_one(provider, store):
    """Pages are requests of their own, so paging ends where it ended."""
    with cas_llm.use("fallback", store=store):
        _, pages, _, _ = through(provider, files)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert len({name for page in pages for name in page}) == 5
    with cas_llm.use("replay", store=store):
        assert through(provider, files)[1] == pages


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
def test_a_recorded_error_raises_the_same_again(provider, store, monkeypatch, status, error):
    """record_errors = all: class, status, body and message are those of the live error."""
    from support.provider import Reply

    monkeypatch.setenv("CAS_LLM_RECORD_ERRORS", "all")
    body = {"error": {"message": "no, because", "type": "t", "code": "c", "param": "p"}}
    provider.script(lambda _: Reply.of(body, status=status))

    def fails(client):
        with pytest.raises(error) as raised:
            chat(client)
        return raised.value.status_code, str(raised.value), raised.value.body, raised.value.code

    with cas_llm.use("capture", store=store, name="error"):
        recorded = through(provider, fails)
    with cas_llm.use("replay", store=store, name="error"):
        assert through(provider, fails) == recorded
    assert provider.count == 1


def test_an_unrecorded_error_is_asked_again(provider, store):
    """By default an error reaches the program and leaves nothing in the store."""
    from support.provider import Reply

    provider.script(lambda _: Reply.of({"error": {"message": "bad"}}, status=400))

    def fails(client):
        with pytest.raises(openai.BadRequestError, match="bad"):
            chat(client)

    with cas_llm.use("fallback", store=store):
        through(provider, fails)
        through(provider, fails)
    assert provider.count == 2
    assert not store.exists() or not list(store.glob("objects/*/*"))


def test_a_raw_response_names_its_key(provider, store):
    """Replayed raw responses carry `x-cas-llm-key`; the httpx response knows all of the mark."""

    def marked(client):
        raw = client.chat.completions.with_raw_response.create(**CHAT)
        return raw.headers.get("x-cas-llm-key"), raw.http_response.extensions["cas_llm"]

    with cas_llm.use("fallback", store=store):
        key, mark = through(provider, marked)
        assert key is None
        assert mark.outcome == "live"
        key, mark = through(provider, marked)
    assert mark.outcome == "hit"
    assert mark.key == key
    assert mark.ordinal == 1
    assert (store / "requests" / key[:2] / f"{key[2:]}.json").is_file()
    assert (store / "objects" / mark.digest[:2] / f"{mark.digest[2:]}.json").is_file()


def test_a_call_may_choose_its_own_mode(provider, store):
    """The per-call headers decide, and never reach the provider."""

    def asked(mode):
        def call(client):
            headers = {"x-cas-llm-mode": mode, "x-cas-llm-namespace": "mine"}
            return client.chat.completions.create(**CHAT, extra_headers=headers)

        return call

    with cas_llm.use("replay", store=store):
        recorded = through(provider, asked("fallback"))
        assert through(provider, asked("replay")) == recorded
        assert through(provider, asked("disabled")) != recorded
    assert not [name for call in provider.calls for name in call.headers if "cas-llm" in name]


def test_azure_clients_record_and_replay(provider, store):
    """Azure's paths and api-version go the same way."""

    def call():
        with openai.AzureOpenAI(
            azure_endpoint=provider.root, api_key="none", api_version="2024-10-21"
        ) as client:
            return plain(chat(client))

    with cas_llm.use("fallback", store=store):
        recorded = call()
    with cas_llm.use("replay", store=store):
        assert call() == recorded
    assert provider.count == 1
