"""An agent that plans a day out: it asks tools until it has an answer."""

import json
import os

from openai import OpenAI

MODEL = "gpt-4o-mini"
BASE_URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1")
PROMPT = "You plan days out. Look the weather up before you book anything."
TURNS = 6


def _tool(name, description, **properties):
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [
    _tool("weather", "The weather of a day.", city={"type": "string"}, day={"type": "string"}),
    _tool("book", "Book a table for a day.", place={"type": "string"}, day={"type": "string"}),
]


class TooManyTurns(Exception):
    """The agent went on asking tools."""


class Agent:
    """Talks to the model; *tools* are the functions that it may call, by name."""

    def __init__(self, tools):
        self._client = OpenAI(base_url=BASE_URL)
        self._tools = tools
        self.called = []

    def plan(self, wish):
        """What the agent has to say about *wish* when it needs no more tools."""
        messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": wish}]
        for _ in range(TURNS):
            said = self._client.chat.completions.create(
                model=MODEL, messages=messages, tools=TOOLS, temperature=0.0
            )
            message = said.choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message.model_dump(exclude_none=True))
            messages += [self._result(call) for call in message.tool_calls]
        raise TooManyTurns(wish)

    def _result(self, call):
        arguments = json.loads(call.function.arguments)
        self.called.append((call.function.name, arguments))
        try:
            result = self._tools[call.function.name](**arguments)
        except LookupError as error:
            result = {"error": str(error)}
        return {"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)}
