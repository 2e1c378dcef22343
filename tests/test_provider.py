"""The scripted provider speaks to the real SDKs, and does to the byte what a script says."""

from __future__ import annotations

import gzip
import socket
import time

import anthropic
import httpx
import openai
import pytest
from pydantic import BaseModel
from support.provider import Reply, ScriptedProvider

HELLO = [{"role": "user", "content": "hello Ada"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "nights": {"type": "integer"}},
}
TOOL = {"type": "function", "function": {"name": "book", "parameters": SCHEMA}}


@pytest.fixture
def client(provider: ScriptedProvider):
    with openai.OpenAI(base_url=provider.url, api_key="none", max_retries=0) as made:
        yield made


def test_chat_echoes_with_a_new_number_each_time(provider, client) -> None:
    """Two equal requests get two different answers that both quote the user."""
    said = [client.chat.completions.create(model="m", messages=HELLO) for _ in range(2)]
    texts = [answer.choices[0].message.content for answer in said]
    assert texts == ["answer 1: hello Ada", "answer 2: hello Ada"]
    assert provider.count == 2
    assert provider.calls[0].json["messages"] == HELLO


def test_chat_streams(provider, client) -> None:
    """A stream's deltas make up the text, and the usage comes last when asked for."""
    stream = client.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    events = list(stream)
    said = "".join(e.choices[0].delta.content or "" for e in events if e.choices)
    assert said == "answer 1: hello Ada"
    assert events[-1].usage.total_tokens > 0


def test_chat_calls_a_tool_then_quotes_its_result(client) -> None:
    """A tool is called with arguments of its schema; its result is echoed."""
    first = client.chat.completions.create(model="m", messages=HELLO, tools=[TOOL])
    call = first.choices[0].message.tool_calls[0]
    assert call.function.name == "book"
    result = {"role": "tool", "tool_call_id": call.id, "content": "booked"}
    turns = [*HELLO, first.choices[0].message, result]
    second = client.chat.completions.create(model="m", messages=turns, tools=[TOOL])
    assert second.choices[0].message.content == "answer 2: booked"


def test_chat_streams_a_tool_call(client) -> None:
    """The pieces of a streamed tool call make up the same arguments as a whole one."""
    with client.chat.completions.stream(model="m", messages=HELLO, tools=[TOOL]) as stream:
        final = stream.get_final_completion()
    assert '"nights": 1' in final.choices[0].message.tool_calls[0].function.arguments


def test_chat_fills_a_schema(client) -> None:
    """A structured request gets an instance of its schema."""

    class Stay(BaseModel):
        city: str
        nights: list[int]

    parsed = client.chat.completions.parse(model="m", messages=HELLO, response_format=Stay)
    assert parsed.choices[0].message.parsed.nights == [1]


@pytest.mark.parametrize("given", ["hello Ada", HELLO])
def test_responses_whole_and_streamed(client, given) -> None:
    """The responses API echoes a string and a list, whole and as a stream."""
    assert client.responses.create(model="m", input=given).output_text == "answer 1: hello Ada"
    with client.responses.stream(model="m", input=given) as stream:
        assert stream.get_final_response().output_text == "answer 2: hello Ada"


def test_responses_stream_a_tool_call(client) -> None:
    """The responses API streams a function call."""
    tools = [{"type": "function", "name": "book", "parameters": SCHEMA, "strict": False}]
    with client.responses.stream(model="m", input="hello", tools=tools) as stream:
        assert stream.get_final_response().output[0].name == "book"


def test_embeddings_images_and_sound(client) -> None:
    """Vectors, pictures and sound come in the shapes the SDK expects, each with its number."""
    assert client.embeddings.create(model="m", input=["a", "b"]).data[0].embedding[0] == 1 / 8
    assert client.images.generate(prompt="a cat").data[0].b64_json
    speech = client.audio.speech.create(model="m", voice="alloy", input="hello")
    assert speech.content.startswith(b"ID3")
    heard = client.audio.transcriptions.create(model="m", file=("a.wav", b"RIFF"))
    assert heard.text == "answer 4: a.wav, 4 bytes"


def test_files_are_kept_and_paged(client) -> None:
    """Uploaded files can be listed over several pages, read and deleted."""
    for number in range(5):
        client.files.create(file=(f"{number}.txt", b"text %d" % number), purpose="user_data")
    listed = list(client.files.list(limit=2))
    assert [file.filename for file in listed] == [f"{number}.txt" for number in range(5)]
    assert client.files.content(listed[3].id).content == b"text 3"
    assert client.files.delete(listed[3].id).deleted
    assert len(list(client.files.list(limit=3))) == 4
    assert len(client.models.list().data) == 2


def test_anthropic_whole_and_streamed(provider) -> None:
    """Anthropic's SDK reads the answer, the stream and a streamed tool call."""
    with anthropic.Anthropic(base_url=provider.root, api_key="none", max_retries=0) as client:
        asked = {"model": "m", "max_tokens": 9, "messages": HELLO}
        assert client.messages.create(**asked).content[0].text == "answer 1: hello Ada"
        with client.messages.stream(**asked) as stream:
            assert stream.get_final_text() == "answer 2: hello Ada"
        tools = [{"name": "book", "input_schema": SCHEMA}]
        with client.messages.stream(**asked, tools=tools) as stream:
            assert stream.get_final_message().content[0].input["nights"] == 3


def test_gemini_whole_and_streamed(provider) -> None:
    """Gemini's SDK reads the answer and the stream."""
    genai = pytest.importorskip("google.genai", reason="the SDK comes with the extra dev")
    client = genai.Client(api_key="none", http_options={"base_url": provider.root})
    asked = {"model": "m", "contents": "hello Ada"}
    assert client.models.generate_content(**asked).text == "answer 1: hello Ada"
    stream = client.models.generate_content_stream(**asked)
    assert "".join(chunk.text for chunk in stream) == "answer 2: hello Ada"
    client.close()


def test_a_connection_is_kept_alive(provider) -> None:
    """Requests of one client share a connection, streams included."""
    with httpx.Client(base_url=provider.url) as client:
        for stream in (False, True, False):
            client.post("/chat/completions", json={"messages": HELLO, "stream": stream})
    assert (provider.count, provider.connections) == (3, 1)


def test_a_script_takes_over_and_lets_go(provider) -> None:
    """A script answers what it wants; where it returns None, the provider does."""
    provider.script(lambda call: Reply.of({"own": call.number}) if call.path == "/own" else None)
    assert httpx.get(f"{provider.root}/own").json() == {"own": 1}
    assert httpx.get(f"{provider.url}/models").status_code == 200
    assert httpx.get(f"{provider.root}/nothing").status_code == 404


def test_chunk_boundaries_are_exact(provider) -> None:
    """Each chunk goes over the wire as one chunk of the chunked coding."""
    provider.script(lambda call: Reply(chunks=(b"ab", b"c", b"defg")))
    with socket.create_connection(("127.0.0.1", provider.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert received.endswith(b"\r\n\r\n2\r\nab\r\n1\r\nc\r\n4\r\ndefg\r\n0\r\n\r\n")


def test_a_delay_lies_between_chunks(provider) -> None:
    """The delay is paid between two chunks, not before the first."""
    provider.script(lambda call: Reply(chunks=(b"a", b"b"), delay=0.2))
    began = time.monotonic()
    with httpx.stream("GET", provider.root) as response:
        at = [time.monotonic() - began for _ in response.iter_raw()]
    assert at[1] - at[0] >= 0.15


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_content_codings_can_be_read_chunk_by_chunk(provider, coding) -> None:
    """An encoded stream gives each event when its chunk has arrived."""
    reply = Reply(chunks=(b"one ", b"two")).encoded(coding)
    whole = Reply(body=b"one two").encoded(coding)
    provider.script(lambda call: reply if call.path == "/stream" else whole)
    assert httpx.get(f"{provider.root}/stream").content == b"one two"
    assert httpx.get(f"{provider.root}/whole").content == b"one two"
    if coding == "gzip":
        assert gzip.decompress(whole.body) == b"one two"


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_connection_can_break_off(provider, reset, streamed) -> None:
    """A connection that ends too early is an error in the client."""
    shape = {"chunks": (b"abc", b"def")} if streamed else {"body": b"abcdef"}
    provider.script(lambda call: Reply(**shape, close_after=4, reset=reset))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.get(provider.root)


def test_a_chunked_request_body_is_read(provider) -> None:
    """A body of unknown length arrives whole."""
    httpx.post(f"{provider.root}/x", content=iter([b"one ", b"two"]))
    assert provider.calls[0].body == b"one two"


def test_a_broken_script_shows(provider) -> None:
    """A script that raises is told to the client instead of hanging it."""
    provider.script(lambda call: 1 / 0)
    response = httpx.get(provider.root)
    assert response.status_code == 500
    assert "ZeroDivisionError" in response.text
