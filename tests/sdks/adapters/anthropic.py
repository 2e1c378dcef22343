"""Anthropic's SDK: messages, the tool runner, parsed output."""

from __future__ import annotations

from typing import Any

from sdks.adapter import PARAMETERS, TOOL, Adapter, At, comparable, fruit, weather

ASK = {"model": "claude-scripted", "max_tokens": 64}
TOOLS = [{"name": TOOL, "input_schema": PARAMETERS}]


class Anthropic(Adapter):
    """See the module."""

    package = "anthropic"
    variable = "ANTHROPIC_API_KEY"
    asks = {"tools": 2, "agent": 2}
    absent = {"embeddings": "Anthropic has no embeddings"}

    def client(self, at: At) -> Any:
        import anthropic

        return anthropic.Anthropic(base_url=at.root)

    def async_client(self, at: At) -> Any:
        import anthropic

        return anthropic.AsyncAnthropic(base_url=at.root)

    def homes(self) -> list[str]:
        import anthropic

        with anthropic.Anthropic() as client:
            return [str(client.base_url)]

    def plain(self, at: At) -> Any:
        with self.client(at) as client:
            return comparable(client.messages.create(**ASK, messages=at.messages))

    async def async_plain(self, at: At) -> Any:
        async with self.async_client(at) as client:
            return comparable(await client.messages.create(**ASK, messages=at.messages))

    def stream(self, at: At) -> Any:
        with self.client(at) as client, client.messages.stream(**ASK, messages=at.messages) as all_:
            return [comparable(event) for event in all_], comparable(all_.get_final_message())

    async def async_stream(self, at: At) -> Any:
        async with (
            self.async_client(at) as client,
            client.messages.stream(**ASK, messages=at.messages) as events,
        ):
            seen = [comparable(event) async for event in events]
            return seen, comparable(await events.get_final_message())

    def tools(self, at: At) -> Any:
        with self.client(at) as client:
            first = client.messages.create(**ASK, messages=at.messages, tools=TOOLS)
            used = first.content[0]
            told = {"type": "tool_result", "tool_use_id": used.id, "content": "sunny"}
            talk = [
                *at.messages,
                {"role": "assistant", "content": [used.model_dump(exclude_none=True)]},
                {"role": "user", "content": [told]},
            ]
            return comparable([first, client.messages.create(**ASK, messages=talk, tools=TOOLS)])

    def structured(self, at: At) -> Any:
        with self.client(at) as client:
            answer = client.messages.parse(**ASK, messages=at.messages, output_format=fruit())
            return comparable([answer, answer.parsed_output])

    def agent(self, at: At) -> Any:
        import anthropic

        with self.client(at) as client:
            tool = anthropic.beta_tool(weather())
            runner = client.beta.messages.tool_runner(**ASK, messages=at.messages, tools=[tool])
            return [comparable(message) for message in runner]


ADAPTER = Anthropic()
