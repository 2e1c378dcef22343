"""Pydantic AI on OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

from sdks.adapter import Adapter, At, comparable, fruit, weather

# Pydantic AI's own clock and its own names of a run; the answer's time has another name.
_RUNS = ("timestamp", "run_id", "conversation_id")


class PydanticAi(Adapter):
    """See the module."""

    package = "pydantic-ai-slim"
    asks = {"agent": 2}
    absent = {"tools": "its agent answers tool calls itself"}

    def made(self, at: At, **options: Any) -> Any:
        from pydantic_ai import Agent
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=at.url))
        return Agent(model, **options)

    def plain(self, at: At) -> Any:
        return seen(self.made(at).run_sync(at.prompt))

    async def async_plain(self, at: At) -> Any:
        return seen(await self.made(at).run(at.prompt))

    def stream(self, at: At) -> Any:
        done = self.made(at).run_stream_sync(at.prompt)
        return list(done.stream_text(delta=True, debounce_by=None)), seen(done)

    async def async_stream(self, at: At) -> Any:
        async with self.made(at).run_stream(at.prompt) as done:
            pieces = [piece async for piece in done.stream_text(delta=True, debounce_by=None)]
            return pieces, seen(done)

    def structured(self, at: At) -> Any:
        return seen(self.made(at, output_type=fruit()).run_sync(at.prompt))

    def agent(self, at: At) -> Any:
        return seen(self.made(at, tools=[weather()]).run_sync(at.prompt))

    def embeddings(self, at: At) -> Any:
        from pydantic_ai import Embedder
        from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
        from pydantic_ai.providers.openai import OpenAIProvider

        model = OpenAIEmbeddingModel(
            "text-embedding-3-small", provider=OpenAIProvider(base_url=at.url)
        )
        return comparable(Embedder(model).embed_query_sync(at.prompt), without=_RUNS)


def seen(result: Any) -> Any:
    """What a program reads of a run's *result*."""
    return comparable([getattr(result, "output", None), result.all_messages()], without=_RUNS)


ADAPTER = PydanticAi()
