"""OpenAI's SDK, chat completions: 1.40 and everything newer."""

from __future__ import annotations

from typing import Any

from sdks.adapter import PARAMETERS, TOOL, Adapter, At, comparable, fruit

MODEL = "gpt-4o-mini"
TOOLS = [{"type": "function", "function": {"name": TOOL, "parameters": PARAMETERS}}]


class OpenAI(Adapter):
    """See the module."""

    package = "openai"
    asks = {"tools": 2}
    absent = {"agent": "has none: openai-agents is the row for it"}

    def client(self, at: At) -> Any:
        import openai

        return openai.OpenAI(base_url=at.url)

    def async_client(self, at: At) -> Any:
        import openai

        return openai.AsyncOpenAI(base_url=at.url)

    def homes(self) -> list[str]:
        import openai

        with openai.OpenAI() as client:
            return [str(client.base_url)]

    def plain(self, at: At) -> Any:
        with self.client(at) as client:
            return comparable(client.chat.completions.create(model=MODEL, messages=at.messages))

    async def async_plain(self, at: At) -> Any:
        async with self.async_client(at) as client:
            answer = await client.chat.completions.create(model=MODEL, messages=at.messages)
            return comparable(answer)

    def stream(self, at: At) -> Any:
        with self.client(at) as client:
            chunks = client.chat.completions.create(model=MODEL, messages=at.messages, stream=True)
            return [comparable(chunk) for chunk in chunks]

    async def async_stream(self, at: At) -> Any:
        async with self.async_client(at) as client:
            chunks = await client.chat.completions.create(
                model=MODEL, messages=at.messages, stream=True
            )
            return [comparable(chunk) async for chunk in chunks]

    def tools(self, at: At) -> Any:
        with self.client(at) as client:
            create = client.chat.completions.create
            first = create(model=MODEL, messages=at.messages, tools=TOOLS)
            said = first.choices[0].message
            told = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "sunny"}
            talk = [*at.messages, said.model_dump(exclude_none=True), told]
            return comparable([first, create(model=MODEL, messages=talk, tools=TOOLS)])

    def structured(self, at: At) -> Any:
        with self.client(at) as client:
            parse = getattr(client.chat.completions, "parse", None)
            parse = parse or client.beta.chat.completions.parse
            answer = parse(model=MODEL, messages=at.messages, response_format=fruit())
            return comparable([answer, answer.choices[0].message.parsed])

    def embeddings(self, at: At) -> Any:
        with self.client(at) as client:
            create = client.embeddings.create
            return comparable(create(model="text-embedding-3-small", input=[at.prompt, "two"]))


ADAPTER = OpenAI()
