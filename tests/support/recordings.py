"""A small store with something of everything, recorded through the real pipeline."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from openai import OpenAI
from support.provider import ScriptedProvider

import cas_llm
from cas_llm.store import Store

SYSTEM = "Be brief.\n" * 8


class Interrupted(Exception):
    """Ends a block as a failing test would."""


@contextlib.contextmanager
def block(root: Path, mode: str, name: str | None = None) -> Iterator[None]:
    """A session on the store at *root* that is a run of its own."""
    from cas_llm.session.runtime import forget

    session = None
    try:
        with cas_llm.use(mode, store=root, name=name) as session:
            yield
    finally:
        if session is not None:
            forget(session.runtime)
            session.runtime.store.close()


def client(provider: ScriptedProvider) -> OpenAI:
    """An SDK client of *provider*."""
    return OpenAI(base_url=provider.url, api_key="x", max_retries=0)


def ask(openai: OpenAI, text: str, *, stream: bool = False) -> str:
    """What the assistant says to *text*."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
    answer = openai.chat.completions.create(
        model="gpt-4o-mini", messages=messages, temperature=0, stream=stream
    )
    if stream:
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    return answer.choices[0].message.content


def wait_for(root: Path, openai: OpenAI, text: str, name: str, *, mode: str = "fallback") -> None:
    """Leave an answer pending, as a test that fails after its call does."""
    with contextlib.suppress(Interrupted), block(root, mode, name):
        ask(openai, text)
        raise Interrupted


def fill(root: Path, provider: ScriptedProvider) -> Store:
    """Record into *root*: one shared answer, two blocks that overlap, one pending answer.

    The block ``one`` asks "same" twice with two answers and streams "flow"; the block ``two``
    shares the first "same".
    """
    with client(provider) as openai:
        with block(root, "fallback"):
            ask(openai, "apart")
        with block(root, "capture", "one"):
            ask(openai, "same")
            ask(openai, "same")
            ask(openai, "flow", stream=True)
        with block(root, "fallback", "two"):
            ask(openai, "same")
            openai.responses.create(model="gpt-4o", input="reply")
        wait_for(root, openai, "waits", "three")
    return Store(root)


def key_of(store: Store, text: str) -> str:
    """The key of the recorded request whose last turn is *text*."""
    from cas_llm.session.catalogue import catalogue

    return next(entry.key for entry in catalogue(store).entries if entry.ask == (text,))
