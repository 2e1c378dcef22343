"""Stores of answers that stand alone, a project around them, and what re-recording them says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.projects import Project, Result
from support.provider import Received, Reply, ScriptedProvider
from support.stores import recorded, tape_of

from cas_llm.rerecord.ledger import BEGUN, Ledger
from cas_llm.store import Store
from cas_llm.wire import Request, Response

MODEL = "gpt-4o-mini"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
# What genai-prices says 1,000 tokens in and 1,000 out of the model cost.
PRICE = 0.00015 + 0.0006
_JSON = (("content-type", "application/json"),)


def said(text: str, model: str = MODEL) -> dict[str, Any]:
    """A chat completion that says *text*."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"model": model, "choices": [choice], "usage": USAGE}


def question(number: int, host: str = "https://api.openai.com", model: str = MODEL) -> Request:
    """The request of one leaf."""
    body = {
        "model": model,
        "max_tokens": 1,
        "messages": [{"role": "user", "content": f"Question {number}"}],
    }
    return Request("POST", f"{host}/v1/chat/completions", _JSON, json.dumps(body).encode())


def fill(
    root: Path, count: int, *, host: str = "https://api.openai.com", model: str = MODEL
) -> Store:
    """Write *count* answers, each on the tape of a test of its own."""
    store = Store(root)
    for number in range(count):
        data = json.dumps(said(f"old {number}", model)).encode()
        recording = recorded(question(number, host, model), Response(200, _JSON, data))
        provenance = {
            **recording.answer.provenance,
            "model": model,
            "usage": {"input": USAGE["prompt_tokens"], "output": USAGE["completion_tokens"]},
            "recorded_at": f"2026-01-01T00:00:{number % 60:02}Z",
        }
        told = replace(recording.answer, provenance=provenance)
        recording = replace(recording, answer=told)
        store.save(recording)
        store.add_tape(tape_of(recording, scope=f"tests/test_q.py::test_{number}"))
    store.close()
    return store


def in_use(root: Path) -> dict[str, str]:
    """What each test is answered today, by its id."""
    store = Store(root)
    found: dict[str, tuple[int, str]] = {}
    for path in store.manifest.tape_paths():
        tape = store.manifest.load_tape(path)
        newest = (tape.take, tape.turns[0].answer[0])
        found[tape.scope] = max(found.get(tape.scope, newest), newest)
    return {scope: answer for scope, (_, answer) in found.items()}


class Leaves:
    """A project with *count* leaves, whose provider is *provider* and costs what OpenAI costs."""

    def __init__(self, folder: Path, provider: ScriptedProvider, count: int) -> None:
        self.provider = provider
        self.project = Project(folder)
        hosts = f'[tool.cas-llm.hosts]\n"127.0.0.1:{provider.port}" = "openai"\n'
        self.project.file("pyproject.toml", f"[tool.cas-llm]\n{hosts}")
        self.project.env(OPENAI_BASE_URL=provider.url, OPENAI_API_KEY="-".join(["sk", "x" * 8]))
        self.root = self.project.path / "cache_store"
        fill(self.root, count)
        provider.script(answer)

    def run(self, *words: str, timeout: float = 120) -> Result:
        """Re-issue all of them."""
        return self.project.cas_llm(*_COMMAND, *words, timeout=timeout)

    def killed_after(self, calls: int, *words: str, when: int = signal.SIGKILL) -> set[str]:
        """Begin, and kill it once so many calls came in; the keys the ledger has as begun."""
        target = self.provider.count + calls
        return kill_when(self.project, lambda: self.provider.count >= target, *words, when=when)


_COMMAND = ("rerecord", "--all", "--reissue", "--apply")


def kill_when(
    project: Project, is_time: Callable[[], bool], *words: str, when: int = signal.SIGKILL
) -> set[str]:
    """Begin to re-issue, and kill it when *is_time*; the keys that its ledger has as begun."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cas_llm", *_COMMAND, *words],
        cwd=project.path,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        until = time.monotonic() + 300
        while not is_time() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        assert process.poll() is None, process.stderr and process.stderr.read()
        os.kill(process.pid, when)
        process.wait(60)
    finally:
        process.kill()
        process.communicate()
    ledger = Ledger(project.path / "cache_store")
    begun = (name for name, unit in ledger.units.items() if unit.state == BEGUN)
    return {name.split(":")[1] for name in begun}


def answer(received: Received) -> Reply:
    """A new answer each time, to whichever question."""
    return Reply.of(said(f"new {received.number}"))


def asked(received: Received) -> str:
    """The question in a call."""
    return str(received.json["messages"][-1]["content"])
