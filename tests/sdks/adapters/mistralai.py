"""Mistral's SDK."""

from __future__ import annotations

from typing import Any

from sdks.adapter import PARAMETERS, TOOL, Adapter, At, comparable, fruit

MODEL = "mistral-small-latest"
TOOLS = [{"type": "function", "function": {"name": TOOL, "parameters": PARAMETERS}}]


class Mistralai(Adapter):
    """See the module."""

    package = "mistralai"
    variable = "MISTRAL_API_KEY"
    asks = {"tools": 2}
    absent = {"agent": "its agents run on the server: a conversation is one request"}

    def client(self, at: At) -> Any:
        import os

        from mistralai.client import Mistral

        # The SDK reads no variable itself; its documentation has programs do so.
        return Mistral(api_key=os.environ["MISTRAL_API_KEY"], server_url=at.root)

    def homes(self) -> list[str]:
        from mistralai.client.sdkconfiguration import SERVERS

        return list(SERVERS.values())

    def plain(self, at: At) -> Any:
        with self.client(at) as client:
            return comparable(client.chat.complete(model=MODEL, messages=at.messages))

    async def async_plain(self, at: At) -> Any:
        async with self.client(at) as client:
            return comparable(await client.chat.complete_async(model=MODEL, messages=at.messages))

    def stream(self, at: At) -> Any:
        with (
            self.client(at) as client,
            client.chat.stream(model=MODEL, messages=at.messages) as chunks,
        ):
            return [comparable(chunk) for chunk in chunks]

    async def async_stream(self, at: At) -> Any:
        async with (
            self.client(at) as client,
            await client.chat.stream_async(model=MODEL, messages=at.messages) as chunks,
        ):
            return [comparable(chunk) async for chunk in chunks]

    def tools(self, at: At) -> Any:
        with self.client(at) as client:
            ask = client.chat.complete
            first = ask(model=MODEL, messages=at.messages, tools=TOOLS)
            said = first.choices[0].message
            told = {
                "role": "tool",
                "name": TOOL,
                "content": "sunny",
                "tool_call_id": said.tool_calls[0].id,
            }
            talk = [*at.messages, said, told]
            return comparable([first, ask(model=MODEL, messages=talk, tools=TOOLS)])

    def structured(self, at: At) -> Any:
        with self.client(at) as client:
            answer = client.chat.parse(fruit(), model=MODEL, messages=at.messages)
            return comparable([answer, answer.choices[0].message.parsed])

    def embeddings(self, at: At) -> Any:
        with self.client(at) as client:
            return comparable(
                client.embeddings.create(model="mistral-embed", inputs=[at.prompt, "two"])
            )


ADAPTER = Mistralai()
