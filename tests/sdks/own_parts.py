"""cas-llm's own parts beside whatever a row has installed: run by the matrix, once a row."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pydantic
import pytest
from sdks.adapter import comparable
from sdks.runs import run
from support.provider import ScriptedProvider

import cas_llm

CELL = ("cell", "own own")


class Fruit(pydantic.BaseModel):
    """What structured completions are asked for."""

    name: str
    weight: int


def text(url):
    return cas_llm.get_completion("hello", model="openai/gpt-4o-mini")


def text_async(url):
    return asyncio.run(cas_llm.get_completion_async("hello", model="openai/gpt-4o-mini"))


def structured(url):
    return comparable(cas_llm.get_structured_completion("hello", Fruit))


def client(url):
    with cas_llm.OpenAI() as made:
        talk = [{"role": "user", "content": "hello"}]
        return comparable(made.chat.completions.create(model="gpt-4o-mini", messages=talk))


def client_async(url):
    async def ask():
        async with cas_llm.AsyncOpenAI() as made:
            talk = [{"role": "user", "content": "hello"}]
            chunks = await made.chat.completions.create(model="m", messages=talk, stream=True)
            return [comparable(chunk) async for chunk in chunks]

    return asyncio.run(ask())


PARTS = [text, text_async, structured, client, client_async]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_client_of_cas_llm_records_and_replays(part, store, monkeypatch, record_property):
    """The drop-in clients and the one-call completions work on the row's openai, keyless too."""
    record_property(*CELL)
    with ScriptedProvider() as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        with run("capture", store):
            recorded = part(provider.url)
    monkeypatch.delenv("OPENAI_API_KEY")
    with run("replay", store):
        assert part(provider.url) == recorded
    assert provider.count == 1


@pytest.mark.parametrize("command", [["doctor"], ["ls"], ["verify"]], ids=lambda words: words[0])
def test_a_command_runs(command, tmp_path, record_property):
    """The command line starts in the row and finds its way in an empty project."""
    record_property(*CELL)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "cas_llm", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
