"""litellm on OpenAI's SDK: the provider ``openai``."""

from __future__ import annotations

from typing import Any, ClassVar

from sdks.adapter import PARAMETERS, TOOL, Adapter, At, comparable, fruit

TOOLS = [{"type": "function", "function": {"name": TOOL, "parameters": PARAMETERS}}]


class Completions(Adapter):
    """What litellm does alike for every provider of chat."""

    package = "litellm"
    asks = {"tools": 2}
    absent = {"agent": "the SDK has none"}
    # The table of prices that comes with the package, not the one on the web.
    settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    made_up: ClassVar[tuple[str, ...]] = ()
    """What litellm numbers and dates itself, so that no two calls agree in it."""

    def to(self, at: At) -> dict[str, Any]:
        """What makes a call go to *at*."""
        raise NotImplementedError

    def seen(self, answer: Any, *without: str) -> Any:
        """What a program reads of *answer*; litellm dates the chunks of every stream itself."""
        return comparable(answer, without=(*self.made_up, *without))

    def plain(self, at: At) -> Any:
        import litellm

        return self.seen(litellm.completion(**self.to(at), messages=at.messages))

    async def async_plain(self, at: At) -> Any:
        import litellm

        return self.seen(await litellm.acompletion(**self.to(at), messages=at.messages))

    def stream(self, at: At) -> Any:
        import litellm

        chunks = litellm.completion(**self.to(at), messages=at.messages, stream=True)
        return [self.seen(chunk, "created") for chunk in chunks]

    async def async_stream(self, at: At) -> Any:
        import litellm

        chunks = await litellm.acompletion(**self.to(at), messages=at.messages, stream=True)
        return [self.seen(chunk, "created") async for chunk in chunks]

    def tools(self, at: At) -> Any:
        import litellm

        first = litellm.completion(**self.to(at), messages=at.messages, tools=TOOLS)
        said = first.choices[0].message
        told = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "sunny"}
        talk = [*at.messages, said.model_dump(exclude_none=True), told]
        second = litellm.completion(**self.to(at), messages=talk, tools=TOOLS)
        return self.seen([first, second])

    def structured(self, at: At) -> Any:
        import litellm

        ask = self.to(at) | {"messages": at.messages, "response_format": fruit()}
        return self.seen(litellm.completion(**ask))


class Litellm(Completions):
    """See the module."""

    def to(self, at: At) -> dict[str, Any]:
        return {"model": "openai/gpt-4o-mini", "api_base": at.url}

    def embeddings(self, at: At) -> Any:
        import litellm

        ask = {"model": "openai/text-embedding-3-small", "api_base": at.url}
        return self.seen(litellm.embedding(**ask, input=[at.prompt, "two"]))


ADAPTER = Litellm()
