"""The main job, end to end on a real model: record through the OpenAI SDK, stop it, replay.

Starts the local model, writes a store into the folder it is given and nothing anywhere else, and
prints nothing. The caller shows what it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cas_llm.digest import digest_of
from cas_llm.errors import CasLLMError
from cas_llm.local_model import MODEL, LocalModel

if TYPE_CHECKING:
    from cas_llm.session import Session

NAME = "demo"
"""The named block that the calls belong to."""

_MAX_TOKENS = 40
_KEY = "no-key-needed"  # the SDK insists on one; nothing looks at it

Messages = Sequence[dict[str, str]]

Tell = Callable[[str, int], None]
"""Told what begins, and how many steps are done."""


@dataclass(frozen=True)
class Heard:
    """One call as the SDK's user saw it: the body's bytes, and the seconds it took."""

    body: bytes
    seconds: float


@dataclass(frozen=True)
class Call:
    """One call of the demo, live and replayed."""

    title: str
    ask: str
    answer: str
    live: Heard
    replayed: Heard

    @property
    def identical(self) -> bool:
        """Whether the replay gave the live call's bytes."""
        return self.live.body == self.replayed.body

    @property
    def digest(self) -> str:
        """The digest of the body's bytes."""
        return digest_of(self.live.body)


@dataclass(frozen=True)
class Outcome:
    """What happened: `live_connections` counts the replay's, when no model ran any more."""

    store: Path
    model: str
    calls: tuple[Call, ...]
    load_seconds: float
    live_connections: int
    model_stopped: bool

    @property
    def held(self) -> bool:
        """Whether the replay kept its word."""
        return (
            self.live_connections == 0
            and self.model_stopped
            and all(call.identical for call in self.calls)
        )


@dataclass(frozen=True)
class _Ask:
    title: str
    question: str
    make: Callable[[str, Messages, dict[str, Any]], Heard]
    temperature: float = 0.0
    follows: bool = False
    """Whether it goes on with the chat of the ask before it."""


def run(folder: Path, tell: Tell) -> Outcome:
    """Record into ``folder/cache_store`` and replay from it.

    Settings and environment variables of the caller's project don't count, and are as before
    afterwards.

    Raises:
        CasLLMError: the model is not installed or did not start, or a call failed.

    """
    store = folder / "cache_store"
    asks = _asks()
    with _alone(folder):
        tell("loading the model", 0)
        began = time.perf_counter()
        model = LocalModel()
        try:
            load_seconds = time.perf_counter() - began
            live = _all(asks, model.url, "capture", store, tell)[0]
        finally:
            tell("stopping the model", len(asks))
            model.stop()
        replayed, session = _all(asks, model.url, "replay", store, tell)
        connections = session.runtime.log.sums.live + session.runtime.log.blocked
    calls = tuple(
        Call(ask.title, ask.question, _text(heard.body), heard, again)
        for ask, heard, again in zip(asks, live, replayed, strict=True)
    )
    return Outcome(store, MODEL, calls, load_seconds, connections, not model.running)


def steps() -> int:
    """How many steps `run` tells of."""
    return 2 * len(_asks())


def _asks() -> tuple[_Ask, ...]:
    cat = "Invent a name for a cat."
    return (
        _Ask("plain", "Say hello to Ada.", _plain),
        _Ask("streamed", "Count from one to five.", _streamed),
        _Ask("async", "Name three colours.", _in_a_loop),
        _Ask("turn 1", "What is the capital of France?", _plain),
        _Ask("turn 2", "And what is that city known for?", _plain, follows=True),
        _Ask("twice, 1st", cat, _plain, 1.0),
        _Ask("twice, 2nd", cat, _plain, 1.0),
    )


def _all(
    asks: Sequence[_Ask], url: str, mode: str, store: Path, tell: Tell
) -> tuple[list[Heard], Session]:
    """Make every call inside one block; what was heard, and the block's session."""
    import openai  # noqa: F401 - its second of start-up belongs to no call

    from cas_llm.activation import use
    from cas_llm.session.runtime import forget

    verb, done = ("recording", 0) if mode == "capture" else ("replaying", len(asks))
    heard: list[Heard] = []
    messages: list[dict[str, str]] = []
    with use(mode, name=NAME, store=store) as session:
        for number, ask in enumerate(asks):
            tell(f"{verb} {ask.title}", done + number + 1)
            said = [{"role": "assistant", "content": _text(heard[-1].body)}] if ask.follows else []
            before = [*messages, *said] if ask.follows else []
            messages = [*before, {"role": "user", "content": ask.question}]
            options = {"temperature": ask.temperature, "max_tokens": _MAX_TOKENS}
            heard.append(ask.make(url, messages, options))
    # The replay begins as a run of its own, as another process would.
    forget(session.runtime)
    return heard, session


def _plain(url: str, messages: Messages, options: dict[str, Any]) -> Heard:
    from openai import OpenAI

    with OpenAI(base_url=url, api_key=_KEY, max_retries=0) as client:
        made: Any = client.chat.completions.with_raw_response
        began = time.perf_counter()
        body = made.create(model=MODEL, messages=messages, **options).content
        return Heard(body, time.perf_counter() - began)


def _streamed(url: str, messages: Messages, options: dict[str, Any]) -> Heard:
    from openai import OpenAI

    with OpenAI(base_url=url, api_key=_KEY, max_retries=0) as client:
        made: Any = client.chat.completions.with_streaming_response
        began = time.perf_counter()
        with made.create(model=MODEL, messages=messages, stream=True, **options) as answer:
            body = b"".join(answer.iter_bytes())
        return Heard(body, time.perf_counter() - began)


def _in_a_loop(url: str, messages: Messages, options: dict[str, Any]) -> Heard:
    from openai import AsyncOpenAI

    async def ask() -> Heard:
        async with AsyncOpenAI(base_url=url, api_key=_KEY, max_retries=0) as client:
            made: Any = client.chat.completions.with_raw_response
            began = time.perf_counter()
            answer = await made.create(model=MODEL, messages=messages, **options)
            return Heard(answer.content, time.perf_counter() - began)

    return asyncio.run(ask())


def _text(body: bytes) -> str:
    from cas_llm.providers import provider_for

    provider = provider_for("openai")
    return " ".join(provider.text(provider.message(body, "")).split())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Work in *folder*, without the settings that the caller's shell or project may have."""
    taken = {name: value for name, value in os.environ.items() if _is_a_setting(name)}
    for name in taken:
        del os.environ[name]
    try:
        with contextlib.chdir(folder):
            yield
    except OSError as error:
        raise CasLLMError(
            f"the demo cannot write to {folder}: {error.strerror or error}; "
            "choose another place with: cas-llm demo --keep DIR"
        ) from error
    finally:
        os.environ.update(taken)


def _is_a_setting(name: str) -> bool:
    # A proxy must not see what goes to loopback either.
    return name.startswith("CAS_LLM_") or name.lower() in {"http_proxy", "all_proxy"}
