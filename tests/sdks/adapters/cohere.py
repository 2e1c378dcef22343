"""Cohere's SDK, version 2 of its API."""

from __future__ import annotations

from typing import Any

from sdks.adapter import PARAMETERS, TOOL, Adapter, At, comparable

MODEL = "command-a-03-2025"
TOOLS = [{"type": "function", "function": {"name": TOOL, "parameters": PARAMETERS}}]


class Cohere(Adapter):
    """See the module."""

    package = "cohere"
    variable = "CO_API_KEY"
    asks = {"tools": 2}
    absent = {"agent": "the SDK has none"}

    def client(self, at: At) -> Any:
        import cohere

        return cohere.ClientV2(base_url=at.root)

    def async_client(self, at: At) -> Any:
        import cohere

        return cohere.AsyncClientV2(base_url=at.root)

    def homes(self) -> list[str]:
        import cohere

        with cohere.ClientV2() as client:
            return [client._client_wrapper.get_base_url()]

    def plain(self, at: At) -> Any:
        with self.client(at) as client:
            return comparable(client.chat(model=MODEL, messages=at.messages))

    async def async_plain(self, at: At) -> Any:
        async with self.async_client(at) as client:
            return comparable(await client.chat(model=MODEL, messages=at.messages))

    def stream(self, at: At) -> Any:
        with self.client(at) as client:
            events = client.chat_stream(model=MODEL, messages=at.messages)
            return [comparable(event) for event in events]

    async def async_stream(self, at: At) -> Any:
        async with self.async_client(at) as client:
            events = client.chat_stream(model=MODEL, messages=at.messages)
            return [comparable(event) async for event in events]

    def tools(self, at: At) -> Any:
        with self.client(at) as client:
            first = client.chat(model=MODEL, messages=at.messages, tools=TOOLS)
            calls = [one.model_dump(exclude_none=True) for one in first.message.tool_calls]
            told = {"role": "tool", "tool_call_id": calls[0]["id"], "content": "sunny"}
            talk = [*at.messages, {"role": "assistant", "tool_calls": calls}, told]
            return comparable([first, client.chat(model=MODEL, messages=talk, tools=TOOLS)])

    def structured(self, at: At) -> Any:
        form = {"type": "json_object", "json_schema": PARAMETERS}
        with self.client(at) as client:
            return comparable(client.chat(model=MODEL, messages=at.messages, response_format=form))

    def embeddings(self, at: At) -> Any:
        with self.client(at) as client:
            return comparable(
                client.embed(
                    model="embed-v4.0",
                    input_type="search_query",
                    texts=[at.prompt, "two"],
                    embedding_types=["float"],
                )
            )


ADAPTER = Cohere()
