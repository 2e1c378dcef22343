"""Groq's SDK, which has OpenAI's interface under a path of its own."""

from __future__ import annotations

from typing import Any

from sdks.adapter import PARAMETERS, At, comparable
from sdks.adapters.openai import MODEL, OpenAI


class Groq(OpenAI):
    """See the module."""

    package = "groq"
    variable = "GROQ_API_KEY"
    absent = {"agent": "the SDK has none"}

    def client(self, at: At) -> Any:
        import groq

        return groq.Groq(base_url=at.root)

    def async_client(self, at: At) -> Any:
        import groq

        return groq.AsyncGroq(base_url=at.root)

    def homes(self) -> list[str]:
        import groq

        with groq.Groq() as client:
            return [str(client.base_url)]

    def structured(self, at: At) -> Any:
        with self.client(at) as client:
            form = {
                "type": "json_schema",
                "json_schema": {"name": "place", "schema": PARAMETERS, "strict": True},
            }
            create = client.chat.completions.create
            return comparable(create(model=MODEL, messages=at.messages, response_format=form))


ADAPTER = Groq()
