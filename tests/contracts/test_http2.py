"""Over HTTP/2 an exchange records and replays as over HTTP/1.1."""

import asyncio
import contextlib
import json

import httpx
import httpx2
import pytest
from support.loopback import Listening

import cas_llm

pytest.importorskip("h2")
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


class Server(Listening):
    """Speaks HTTP/2 in plain text with prior knowledge, and counts its requests."""

    def __init__(self):
        self.count = 0
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}/v1/chat/completions"

    def talk(self, connection):
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.events import StreamEnded

        h2 = H2Connection(config=H2Configuration(client_side=False))
        h2.initiate_connection()
        with connection, contextlib.suppress(OSError):
            connection.sendall(h2.data_to_send())
            while data := connection.recv(65536):
                for event in h2.receive_data(data):
                    if isinstance(event, StreamEnded):
                        self.count += 1
                        self.answer(h2, event.stream_id)
                connection.sendall(h2.data_to_send())

    def answer(self, h2, stream):
        message = {"role": "assistant", "content": f"answer {self.count}"}
        said = {"id": str(self.count), "choices": [{"index": 0, "message": message}]}
        h2.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
        h2.send_data(stream, json.dumps(said).encode(), end_stream=True)


@pytest.fixture
def server():
    """A running HTTP/2 server."""
    running = Server()
    yield running
    running.close()


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda module: module.__name__)
@pytest.mark.parametrize("loop", [False, True], ids=["sync", "async"])
def test_http2_records_and_replays(server, store, library, loop):
    """The live answer came over HTTP/2; the replay is the same body, with no call."""

    async def ask_async():
        async with library.AsyncClient(http1=False, http2=True) as client:
            return await client.post(server.url, json=BODY)

    def ask():
        if loop:
            return asyncio.run(ask_async())
        with library.Client(http1=False, http2=True) as client:
            return client.post(server.url, json=BODY)

    with cas_llm.use("fallback", store=store):
        live = ask()
    assert live.http_version == "HTTP/2"
    with cas_llm.use("replay", store=store):
        assert ask().content == live.content
    assert server.count == 1
