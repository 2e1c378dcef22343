"""Redirects under the recorded clients: each hop is asked about, in every mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
from support.provider import Reply

import cas_llm

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def moved(provider: Any) -> Any:
    """A provider whose chat completions moved to another path."""

    def script(received: Any) -> Reply | None:
        if received.path.startswith("/v1/"):
            where = f"{provider.root}/elsewhere{received.path}"
            return Reply(status=307, headers=(("location", where),))
        return Reply.of({"id": str(received.number), "object": "chat.completion", "choices": []})

    provider.script(script)
    return provider


def say(client: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


def test_no_hop_reaches_the_provider_in_replay(moved: Any) -> None:
    """Both hops are recorded, and in replay neither is asked of anybody."""
    first = say(cas_llm.OpenAI(base_url=moved.url, api_key="k"))
    assert moved.count == 2
    again = say(cas_llm.OpenAI(base_url=moved.url, api_key="k", cas_llm="replay"))
    assert again == first
    assert moved.count == 2


async def test_no_hop_of_an_async_client_does(moved: Any) -> None:
    """The async client is no different."""
    async with cas_llm.AsyncOpenAI(base_url=moved.url, api_key="k") as client:
        first = await say(client)
    async with cas_llm.AsyncOpenAI(base_url=moved.url, api_key="k", cas_llm="replay") as client:
        assert await say(client) == first
    assert moved.count == 2


def test_a_hop_without_a_recording_is_refused(moved: Any, tmp_path: Path) -> None:
    """Where only the redirect is recorded, what it leads to is a miss."""
    say(cas_llm.OpenAI(base_url=moved.url, api_key="k"))
    for path in (tmp_path / "cache_store" / "manifest").rglob("*.*.*"):
        record = next(
            (tmp_path / "cache_store" / "requests" / path.parent.name).glob(
                f"{path.name[:62]}.json"
            )
        )
        if "elsewhere" in record.read_text():
            path.unlink()
    with pytest.raises(openai.APIStatusError, match="not recorded"):
        say(cas_llm.OpenAI(base_url=moved.url, api_key="k", cas_llm="replay", max_retries=0))
    assert moved.count == 2
