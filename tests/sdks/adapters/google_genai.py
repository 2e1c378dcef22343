"""Google's SDK for Gemini; async it speaks aiohttp where that is installed, else httpx."""

from __future__ import annotations

from typing import Any

from sdks.adapter import PARAMETERS, TOOL, Adapter, At, comparable, fruit, weather

MODEL = "gemini-2.5-flash"
# What the SDK says of the HTTP response differs from library to library, and so live to replayed.
_TRANSPORT = ("sdk_http_response",)


class GoogleGenai(Adapter):
    """See the module."""

    package = "google-genai"
    variable = "GEMINI_API_KEY"
    asks = {"tools": 2, "agent": 2}

    def client(self, at: At) -> Any:
        from google import genai

        return genai.Client(http_options={"base_url": at.root})

    def homes(self) -> list[str]:
        from google import genai

        with genai.Client() as client:
            return [str(client._api_client._http_options.base_url)]

    def plain(self, at: At) -> Any:
        with self.client(at) as client:
            return seen(client.models.generate_content(model=MODEL, contents=at.prompt))

    async def async_plain(self, at: At) -> Any:
        async with self.client(at).aio as client:
            return seen(await client.models.generate_content(model=MODEL, contents=at.prompt))

    def stream(self, at: At) -> Any:
        with self.client(at) as client:
            pieces = client.models.generate_content_stream(model=MODEL, contents=at.prompt)
            return [seen(piece) for piece in pieces]

    async def async_stream(self, at: At) -> Any:
        async with self.client(at).aio as client:
            pieces = await client.models.generate_content_stream(model=MODEL, contents=at.prompt)
            return [seen(piece) async for piece in pieces]

    def tools(self, at: At) -> Any:
        from google.genai import types

        declared = {"name": TOOL, "parameters_json_schema": PARAMETERS}
        config = {"tools": [{"function_declarations": [declared]}]}
        user = types.UserContent(at.prompt)
        told = types.Part.from_function_response(name=TOOL, response={"result": "sunny"})
        with self.client(at) as client:
            ask = client.models.generate_content
            first = ask(model=MODEL, contents=[user], config=config)
            talk = [user, first.candidates[0].content, types.UserContent(told)]
            return [seen(first), seen(ask(model=MODEL, contents=talk, config=config))]

    def structured(self, at: At) -> Any:
        config = {"response_mime_type": "application/json", "response_schema": fruit()}
        with self.client(at) as client:
            ask = client.models.generate_content
            answer = ask(model=MODEL, contents=at.prompt, config=config)
            return [seen(answer), comparable(answer.parsed)]

    def agent(self, at: At) -> Any:
        with self.client(at) as client:
            ask = client.models.generate_content
            return seen(ask(model=MODEL, contents=at.prompt, config={"tools": [weather()]}))

    def embeddings(self, at: At) -> Any:
        with self.client(at) as client:
            embed = client.models.embed_content
            return seen(embed(model="gemini-embedding-001", contents=[at.prompt, "two"]))


def seen(answer: Any) -> Any:
    """What a program reads of *answer*."""
    return comparable(answer, without=_TRANSPORT)


ADAPTER = GoogleGenai()
