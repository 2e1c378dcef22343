"""Real pytest runs inside a test: quick to start, and with a way to ask an LLM.

``Inner(project, provider)`` writes ``tests/llm.py`` with ``ask(text)`` over httpx, which imports in
a tenth of the time an SDK takes, and runs pytest with the plugins a test names and no others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from support.projects import Project, Result
from support.provider import ScriptedProvider

LLM = """
import os
import httpx

client = httpx.Client(verify=False, timeout=10)

def post(messages, **more):
    body = {"model": "gpt-4o-mini", "messages": messages} | more
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    key = os.environ.get("OPENAI_API_KEY", "")
    return client.post(url, json=body, headers={"authorization": "Bearer " + key})

def said(reply):
    assert reply.status_code == 200, reply.json()["error"]["message"]
    return reply.json()["choices"][0]["message"]["content"]

def ask(text, **more):
    return said(post([{"role": "user", "content": text}], **more))

def chat(*texts):
    messages = []
    for text in texts:
        messages.append({"role": "user", "content": text})
        messages.append({"role": "assistant", "content": said(post(messages))})
    return messages[-1]["content"]
"""

FALLBACK = "--cas-llm=fallback"
CAPTURE = "--cas-llm=capture"


class Inner:
    """A project whose tests ask a scripted provider."""

    def __init__(self, project: Project, provider: ScriptedProvider, *, table: str = "") -> None:
        self.project = project
        self.provider = provider
        self.table(table)
        project.file("tests/llm.py", LLM)
        project.env(
            OPENAI_BASE_URL=provider.url,
            OPENAI_API_KEY="-".join(["sk", "x" * 8]),
            PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        )

    def table(self, text: str, *, priced: bool = False) -> Inner:
        """Write the settings; *priced* makes the provider cost what OpenAI costs."""
        hosts = f'[tool.cas-llm.hosts]\n"127.0.0.1:{self.provider.port}" = "openai"\n'
        self.project.file("pyproject.toml", f"[tool.cas-llm]\n{text}\n{hosts if priced else ''}")
        return self

    def tests(self, text: str, name: str = "tests/test_it.py") -> Inner:
        """Write a test file that may call ``ask``, ``chat`` and ``post``."""
        head = "import pytest\nfrom llm import ask, chat, post, said\n"
        self.project.file(name, text)
        path = self.project.path / name
        path.write_text(head + path.read_text())
        return self

    def run(
        self,
        *args: str,
        plugins: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        **outcomes: int,
    ) -> Result:
        """Run pytest; where outcomes are given, they must be the run's."""
        names = ("cas_llm.pytest_plugin", *plugins)
        flags = [flag for name in names for flag in ("-p", name)]
        result = self.project.pytest(*flags, *args, env=env)
        if outcomes:
            assert result.outcomes == outcomes, str(result)
        return result

    def record(self, *args: str, **outcomes: int) -> Result:
        """Run pytest in FALLBACK."""
        return self.run(FALLBACK, *args, **outcomes)

    def report(self, *args: str, **more: Any) -> dict[str, Any]:
        """Run pytest with a report outside the work tree, and read it."""
        path = self.project.home / "report.json"
        path.unlink(missing_ok=True)
        self.last = self.run(*args, f"--cas-llm-report={path}", **more)
        return json.loads(path.read_text("utf-8"))

    def tapes(self, word: str = "") -> list[dict[str, Any]]:
        """All tapes whose file name has *word* in it, by path."""
        root = self.project.path / "cache_store" / "manifest" / "tapes"
        paths = sorted(path for path in root.rglob("*.json") if word in path.name)
        return [json.loads(path.read_text("utf-8")) for path in paths]

    def hashes(self) -> dict[str, str]:
        """Every file of the work tree, ignored ones too, by content; the store's local folder not."""
        found = {}
        for path in sorted(self.project.path.rglob("*")):
            name = path.relative_to(self.project.path).as_posix()
            if path.is_file() and not name.startswith((".git/", "cache_store/.local/")):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found


def summary_of(result: Result) -> str:
    """What the plugin's own section says."""
    lines = result.stdout.splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("---") and " cas-llm: " in line]
    if not starts:
        return ""
    rest = lines[starts[-1] + 1 :]
    end = next((n for n, line in enumerate(rest) if line.startswith("===")), len(rest))
    return "\n".join(rest[:end])
