"""`cas-llm pending`: list, accept, drop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.projects import Project
from support.provider import ScriptedProvider
from support.recordings import ask, block, client, fill, wait_for

from cas_llm.cli import main
from cas_llm.cli.held import items, select
from cas_llm.cli.pending import accept, drop
from cas_llm.errors import CasLLMError, ConfigError
from cas_llm.store import Store


@pytest.fixture
def store(tmp_path: Path, provider: ScriptedProvider) -> Store:
    """See `support.recordings.fill`."""
    return fill(tmp_path / "cache_store", provider)


def begun_by(store: Store, pid: int) -> None:
    """Let what waits be of a run that another process began."""
    (about,) = store.pending.root.glob("*/run.json")
    about.write_text(json.dumps({"began": time.time(), "pid": pid}))


def ended() -> int:
    """The number of a process that is over."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_an_accepted_answer_replays(store: Store, provider: ScriptedProvider) -> None:
    """The scope gets its first tape, the answer leaves pending, nobody is called."""
    done = accept(store, select(items(store), test="three"))
    assert [(tape.scope, tape.take) for tape in done.tapes] == [("use::three", 0)]
    assert items(store) == ()
    before = provider.count
    with client(provider) as openai, block(store.root, "replay", "three"):
        assert ask(openai, "waits").startswith("answer")
    assert provider.count == before


def test_accepting_adds_to_the_tape_the_scope_has(store: Store, provider: ScriptedProvider) -> None:
    """A new request is appended to a new take, and the other turns stay."""
    with client(provider) as openai:
        wait_for(store.root, openai, "more", "two")
    done = accept(store, select(items(store), test="two"))
    assert [(tape.scope, tape.take) for tape in done.tapes] == [("use::two", 1)]
    assert [turn.ask for turn in done.tapes[0].turns] == [("same",), ("reply",), ("more",)]
    assert [item.waiting.scope for item in items(store)] == ["use::three"]


def test_a_captured_answer_takes_its_turn_in_the_tape(
    store: Store, provider: ScriptedProvider
) -> None:
    """What a failed CAPTURE asked anew replaces the turn with the same ordinal."""
    with client(provider) as openai:
        wait_for(store.root, openai, "same", "two", mode="capture")
    done = accept(store, select(items(store), test="two"))
    assert done.tapes[0].turns[0].answer == (f"answer {provider.count}: same",)
    assert len(done.tapes[0].turns) == 2


def test_accepting_what_the_tape_says_already_writes_no_tape(store: Store) -> None:
    """A second acceptance of the same answer adds nothing."""
    chosen = select(items(store), every=True)
    accept(store, chosen)
    assert accept(store, chosen).tapes == ()


def test_a_dropped_answer_is_gone(store: Store) -> None:
    """Nothing of it is left, and the store is as it was."""
    before = sorted(store.root.glob("objects/*/*"))
    drop(store, select(items(store), every=True))
    assert items(store) == ()
    assert sorted(store.root.glob("objects/*/*")) == before


def test_what_to_accept_must_be_said(store: Store) -> None:
    """Neither nothing nor two ways; a name that nothing waits for is an error."""
    found = items(store)
    for choice in ({}, {"every": True, "test": "three"}):
        with pytest.raises(ConfigError, match="--all"):
            select(found, **choice)
    with pytest.raises(CasLLMError, match="nothing waits"):
        select(found, test="nowhere")
    with pytest.raises(CasLLMError, match="no key begins"):
        select(found, key="0000")
    assert select(found, key=found[0].waiting.key[:6]) == found


def test_a_pending_answer_that_is_damaged_can_only_be_dropped(store: Store) -> None:
    """Accepting refuses with the command that drops it; nothing was written."""
    waiting = items(store)[0].waiting
    for path in store.pending.root.rglob(f"{waiting.digest[2:]}.json"):
        path.write_bytes(b"{}")
    found = items(store)
    assert found[0].answer is None
    with pytest.raises(CasLLMError, match="pending drop"):
        accept(store, found)
    drop(store, found)
    assert items(store) == ()


def test_the_commands_list_accept_and_drop(project: Project, provider: ScriptedProvider) -> None:
    """The list shows scope, ask, answer, age and cost; accepting names the next command."""
    store = fill(project.path / "cache_store", provider)
    begun_by(store, ended())
    listed = project.cas_llm("pending")
    for word in ("use::three", "> waits", "< answer", "now", "$0.00"):
        assert word in listed.stdout, listed
    assert json.loads(project.cas_llm("pending", "--json").stdout)[0]["scope"] == "use::three"
    nothing = project.cas_llm("pending", "accept")
    assert (nothing.code, "--all" in nothing.stderr) == (2, True)
    done = project.cas_llm("pending", "accept", "--test", "three")
    assert "use::three: take 0, 1 turn" in done.stdout, done
    assert "Nothing waits." in project.cas_llm("pending", "list").stdout
    assert len(store.manifest.tapes_of("use::three")) == 1


def test_what_is_wrong_with_a_command_is_said_once(monkeypatch, tmp_path, capsys):
    """The program's name, the command's, and what to say instead."""
    monkeypatch.chdir(tmp_path)
    Store(tmp_path / "cache_store").prepare()
    with pytest.raises(SystemExit) as end:
        main(["pending", "drop"])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "cas-llm: pending: say which: one of KEY, --test ID, --all\n"
    )


@pytest.mark.parametrize("action", ["accept", "drop"])
def test_what_a_run_that_still_works_holds_is_left_to_it(
    store: Store, provider: ScriptedProvider, monkeypatch, capsys, action: str
) -> None:
    """It takes the answer in itself, or asks again; the list says so, and what is free is done."""
    monkeypatch.chdir(store.root.parent)

    def said(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as end:
            main(["pending", *words])
        told = capsys.readouterr()
        assert end.value.code == code, told
        return told.err if code else told.out

    begun_by(store, os.getppid())
    assert "use::three   (its run still works)" in said()
    assert [one["at_work"] for one in json.loads(said("--json"))] == [True]
    for choice in ("--all", "--test=three", items(store)[0].waiting.key[:6]):
        refused = said(action, choice, code=1)
        assert "the run that recorded what was chosen still works" in refused
    with client(provider) as openai:
        wait_for(store.root, openai, "more", "two")
    assert said(action, "--all").endswith("1 answer left to a run that still works\n")
    assert [one.scope for one in store.pending.all()] == ["use::three"]
    assert Store(store.root).manifest.tapes_of("use::three") == ()
