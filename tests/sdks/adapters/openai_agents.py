"""OpenAI's Agents SDK, on the Responses API; its tracing is a test of its own."""

from __future__ import annotations

from typing import Any

from sdks.adapter import Adapter, At, comparable, fruit, weather


class OpenaiAgents(Adapter):
    """See the module."""

    package = "openai-agents"
    asks = {"agent": 2}
    absent = {
        "stream": "its runner streams async only",
        "tools": "its runner answers tool calls itself",
        "embeddings": "the SDK has none",
    }

    def made(self, at: At, **options: Any) -> Any:
        import agents
        import openai

        agents.set_tracing_disabled(disabled=True)
        client = openai.AsyncOpenAI(base_url=at.url)
        model = agents.OpenAIResponsesModel(model="gpt-4o-mini", openai_client=client)
        return agents.Agent(name="Ada", model=model, **options)

    def plain(self, at: At) -> Any:
        import agents

        return seen(agents.Runner.run_sync(self.made(at), at.prompt))

    async def async_plain(self, at: At) -> Any:
        import agents

        return seen(await agents.Runner.run(self.made(at), at.prompt))

    async def async_stream(self, at: At) -> Any:
        import agents

        run = agents.Runner.run_streamed(self.made(at), at.prompt)
        events = [event async for event in run.stream_events()]
        raw = [comparable(event.data) for event in events if event.type == "raw_response_event"]
        return [event.type for event in events], raw, seen(run)

    def structured(self, at: At) -> Any:
        import agents

        return seen(agents.Runner.run_sync(self.made(at, output_type=fruit()), at.prompt))

    def agent(self, at: At) -> Any:
        import agents

        tool = agents.function_tool(weather())
        return seen(agents.Runner.run_sync(self.made(at, tools=[tool]), at.prompt))


def seen(run: Any) -> Any:
    """What a program reads of a finished *run*."""
    return comparable([run.final_output, run.to_input_list(), run.raw_responses])


ADAPTER = OpenaiAgents()
