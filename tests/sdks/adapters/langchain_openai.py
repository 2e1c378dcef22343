"""LangChain's chat model for OpenAI, and its agent."""

from __future__ import annotations

from typing import Any

from sdks.adapter import Adapter, At, comparable, fruit, weather

# LangChain numbers its own runs at random; what came over the wire has an id of its own.
_RUNS = ("id",)


class LangchainOpenai(Adapter):
    """See the module."""

    package = "langchain-openai"
    asks = {"tools": 2, "agent": 2}

    def model(self, at: At) -> Any:
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model="gpt-4o-mini", base_url=at.url)

    def plain(self, at: At) -> Any:
        return seen(self.model(at).invoke(at.prompt))

    async def async_plain(self, at: At) -> Any:
        return seen(await self.model(at).ainvoke(at.prompt))

    def stream(self, at: At) -> Any:
        return [seen(chunk) for chunk in self.model(at).stream(at.prompt)]

    async def async_stream(self, at: At) -> Any:
        return [seen(chunk) async for chunk in self.model(at).astream(at.prompt)]

    def tools(self, at: At) -> Any:
        from langchain_core.messages import HumanMessage, ToolMessage
        from langchain_core.tools import tool

        model = self.model(at).bind_tools([tool(weather())])
        first = model.invoke([HumanMessage(at.prompt)])
        told = ToolMessage("sunny", tool_call_id=first.tool_calls[0]["id"])
        return [seen(first), seen(model.invoke([HumanMessage(at.prompt), first, told]))]

    def structured(self, at: At) -> Any:
        return comparable(self.model(at).with_structured_output(fruit()).invoke(at.prompt))

    def agent(self, at: At) -> Any:
        from langchain.agents import create_agent

        agent = create_agent(self.model(at), tools=[weather()])
        return [seen(message) for message in agent.invoke({"messages": at.messages})["messages"]]

    def embeddings(self, at: At) -> Any:
        from langchain_openai import OpenAIEmbeddings

        model = OpenAIEmbeddings(base_url=at.url, check_embedding_ctx_length=False)
        return model.embed_documents([at.prompt, "two"])


def seen(message: Any) -> Any:
    """What a program reads of *message*."""
    return comparable(message, without=_RUNS)


ADAPTER = LangchainOpenai()
