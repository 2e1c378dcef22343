"""`cas-llm history`: every answer a prompt or a test ever had, and what became of each."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import Any

import pytest
from support.histories import DAY, Bench, Talk, World, exchanges, record_parts

from cas_llm.cli import hints, main
from cas_llm.store import Store
from cas_llm.store.pruning import sweep

NAME = "tests/test_a.py::t"
TALK = Talk(NAME, "x", 0, 1)


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Told:
    """A repository whose one test was recorded three times, each in a commit of its own."""

    def __init__(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        self.bench = bench
        self.root = bench.root
        self.world = World({NAME: TALK})
        self.capsys = capsys
        tapes = sorted(self.bench.tapes().values(), key=lambda tape: tape.take)
        self.key = tapes[0].turns[0].key
        self.digests = [tape.turns[0].digest for tape in tapes]

    def prune(self) -> None:
        found = sweep.plan(self.root, record_parts, now=time.time() + 2 * DAY)
        assert sweep.sweep(found, record_parts).moved

    def says(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["history", *arguments, "--store", str(self.root)])
        said = self.capsys.readouterr()
        assert end.value.code == code, said
        return said.out, said.err

    def answers(self, *arguments: str) -> list[dict[str, Any]]:
        return json.loads(self.says(*arguments, "--json")[0])["answers"]

    def states(self, *arguments: str) -> dict[str, str]:
        return {one["digest"]: one["state"] for one in self.answers(*arguments)}


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("template") / "told", exchanges([]), seed=3)
    for number in range(3):
        made.run(World({NAME: TALK}), "capture", [TALK])
        made.commit(f"Record {number}")
    return made


@pytest.fixture
def told(template, tmp_path, capsys) -> Told:
    return Told(template.copied(tmp_path / "told"), capsys)


def test_every_answer_is_told_with_what_became_of_it(told):
    """The newest first; who recorded it, and who took it out."""
    told.prune()
    told.bench.commit("Prune")
    shutil.rmtree(told.root.parent / ".git" / "cas-llm")
    found = told.answers(told.key[:8])
    assert [one["digest"] for one in found] == told.digests[::-1]
    assert [one["state"] for one in found] == ["served", "pruned", "pruned"]
    added = [one["named_by"][0]["added_in"]["subject"] for one in found]
    assert added == ["Record 2", "Record 1", "Record 0"]
    removed = [one["named_by"][0]["removed_in"] for one in found]
    assert removed[0] is None
    assert {one["subject"] for one in removed[1:]} == {"Prune"}
    assert all(one["answer"] and one["recorded_at"] for one in found)


def test_for_people_it_says_the_words_and_what_changed(told):
    """With the commits, and the command that brings back what is gone."""
    told.prune()
    told.bench.commit("Prune")
    said, _ = told.says(told.key)
    assert said.startswith(f"{told.key[:12]}  ")
    assert "3 answers" in said
    assert "; deleted in " in said
    assert '"Prune" by Ada, just now' in said
    assert "added in" in said
    assert "changed: " in said
    assert said.count("      < ") == 3
    restore = hints.command("restore", told.key[:12], store=told.root)
    assert f"Next: bring back what is gone: {restore}\n" in said


def test_what_is_there_and_not_served_is_superseded(told):
    """Until it is pruned; what prune took and nobody committed is deleted."""
    assert list(told.states(told.key).values()) == ["served", "superseded", "superseded"]
    assert "Next: cas-llm show" in told.says(told.key)[0]
    told.prune()
    assert list(told.states(told.key).values())[1:] == ["deleted, not committed"] * 2


def test_what_waits_is_told_too(told):
    """An answer that was paid for and whose test has not passed."""
    told.bench.leave_waiting(TALK)
    [waiting] = Store(told.root).pending.all()
    found = {one["digest"]: one for one in told.answers(told.key)}
    mine = found[waiting.digest]
    assert mine["named_by"][0]["state"] == "pending"
    assert mine["answer"]
    assert "waits for the test to pass" in told.says(NAME)[0]


def test_a_test_is_told_turn_by_turn(told):
    """Of each turn the answers this test had, not those of others."""
    other = Talk("tests/test_b.py::u", "u", 0, 3)
    told.bench.run(World({other.name: other}), "capture", [other])
    told.bench.commit("Another")
    found = told.answers(other.name)
    order = [turn.key for turn in _tape(told, other.name).turns]
    assert [one["key"] for one in found] == order
    assert {named["scope"] for one in found for named in one["named_by"]} == {other.name}
    of_key = told.answers(told.key)
    assert {named["scope"] for one in of_key for named in one["named_by"]} == {NAME, other.name}


def _tape(told: Told, scope: str):
    return next(tape for tape in told.bench.tapes().values() if tape.scope == scope)


def test_what_only_another_branch_has_is_told(told):
    """With the commit that recorded it there."""
    told.bench.git("checkout", "-qb", "side")
    told.bench.run(told.world, "capture", [TALK])
    told.bench.commit("Record on side")
    told.bench.git("checkout", "-q", "main")
    newest = told.answers(told.key)[0]
    assert newest["state"] == "on another branch"
    assert newest["named_by"][0]["added_in"]["subject"] == "Record on side"


def test_shared_answers_are_told(told):
    """Those of a script have no test."""
    told.bench.say_shared(7, "fallback")
    told.bench.say_shared(7, "capture")
    [key] = {entry.key for entry in Store(told.root).manifest.shared()}
    found = told.answers(key)
    assert sorted(one["state"] for one in found) == ["served", "superseded"]
    assert {one["named_by"][0]["scope"] for one in found} == {None}
    assert "shared, take 1: served; not committed yet" in told.says(key)[0]


def test_an_answer_that_is_lost_is_still_told(told):
    """Its entry names it; its bytes were never committed."""
    path = told.root / "objects" / told.digests[0][:2] / f"{told.digests[0][2:]}.json"
    told.bench.git("checkout", "-q", "--orphan", "alone")
    os.remove(path)
    told.bench.commit("Without it")
    told.bench.git("branch", "-D", "-q", "main")
    [lost] = [one for one in told.answers(told.key) if one["lost"]]
    assert lost["digest"] == told.digests[0]
    assert "its bytes are neither here nor in git" in told.says(told.key)[0]
    assert "changed: one of the two is lost" in told.says(told.key)[0]


def test_the_limit_counts_the_newest(told):
    """What is left out is said."""
    assert [one["digest"] for one in told.answers(told.key, "--limit", "1")] == told.digests[:1:-1]
    assert "and 1 older: --limit 3" in told.says(told.key, "--limit", "2")[0]


def test_without_git_what_is_there_is_told(told):
    """No commit is named."""
    shutil.rmtree(told.root.parent / ".git")
    assert list(told.states(told.key).values()) == ["served", "superseded", "superseded"]
    assert "no git repository" in told.says("0000feed", code=1)[1]


def test_a_shallow_clone_says_that_there_may_be_more(told, tmp_path):
    """And how to fetch it."""
    clone = tmp_path / "clone"
    told.bench.git("clone", "-q", "--depth=1", f"file://{told.root.parent}", str(clone))
    told.root = clone / "cache_store"
    assert "git fetch --unshallow" in told.says(told.key)[0]


@pytest.mark.slow
def test_two_thousand_recordings_and_two_hundred_commits_take_no_two_seconds(told):
    """Bounded work: one log, one question for all that is gone."""
    import random

    from support.stores import asks, recorded, says, tape_of

    store, chance = Store(told.root), random.Random(1)
    for commit in range(200):
        for number in range(10):
            name = f"tests/test_{chance.randrange(40)}.py::test_{commit}_{number}"
            one = recorded(asks(f"prompt {commit} {number}"), says(f"answer {commit}"))
            store.save(one)
            store.add_tape(tape_of(one, scope=name))
        told.bench.commit(f"Commit {commit}")
    began = time.perf_counter()
    assert len(told.answers(told.key)) == 3
    assert time.perf_counter() - began < 2
