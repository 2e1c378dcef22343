"""Instructor around OpenAI's client: every call has a class to fill."""

from __future__ import annotations

from typing import Any

from sdks.adapter import Adapter, At, comparable, fruit

MODEL = "gpt-4o-mini"


class Instructor(Adapter):
    """See the module."""

    package = "instructor"
    absent = {
        "tools": "the tool call is how it asks for structured output",
        "agent": "has none",
        "embeddings": "has none",
    }

    def client(self, at: At) -> Any:
        import instructor
        import openai

        return instructor.from_openai(openai.OpenAI(base_url=at.url))

    def async_client(self, at: At) -> Any:
        import instructor
        import openai

        return instructor.from_openai(openai.AsyncOpenAI(base_url=at.url))

    def plain(self, at: At) -> Any:
        create = self.client(at).chat.completions.create_with_completion
        return comparable(create(model=MODEL, messages=at.messages, response_model=fruit()))

    async def async_plain(self, at: At) -> Any:
        create = self.async_client(at).chat.completions.create_with_completion
        return comparable(await create(model=MODEL, messages=at.messages, response_model=fruit()))

    def stream(self, at: At) -> Any:
        create = self.client(at).chat.completions.create_partial
        pieces = create(model=MODEL, messages=at.messages, response_model=fruit())
        return [comparable(piece) for piece in pieces]

    async def async_stream(self, at: At) -> Any:
        create = self.async_client(at).chat.completions.create_partial
        pieces = create(model=MODEL, messages=at.messages, response_model=fruit())
        return [comparable(piece) async for piece in pieces]

    def structured(self, at: At) -> Any:
        import instructor
        import openai

        client = instructor.from_openai(
            openai.OpenAI(base_url=at.url), mode=instructor.Mode.JSON_SCHEMA
        )
        create = client.chat.completions.create
        return comparable(create(model=MODEL, messages=at.messages, response_model=fruit()))


ADAPTER = Instructor()
