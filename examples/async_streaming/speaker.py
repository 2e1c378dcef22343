"""Reads answers out while they are still being written, several at a time."""

import asyncio
import os

from openai import AsyncOpenAI

MODEL = "smollm2-135m-instruct"
BASE_URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1")
PROMPT = "Answer in one sentence:"


class Speaker:
    """Passes each piece of an answer to *heard* as it arrives."""

    def __init__(self, heard):
        self._client = AsyncOpenAI(base_url=BASE_URL)
        self._heard = heard

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self._client.close()

    async def answer(self, question):
        """Read the answer out; returns all of it."""
        stream = await self._client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": f"{PROMPT} {question}"}],
            temperature=0.0,
            max_tokens=40,
            stream=True,
        )
        pieces = []
        async for chunk in stream:
            if chunk.choices and (piece := chunk.choices[0].delta.content):
                self._heard(question, piece)
                pieces.append(piece)
        return "".join(pieces)

    async def answers(self, questions):
        """Read several out at once; returns them in the order of *questions*."""
        return await asyncio.gather(*map(self.answer, questions))
