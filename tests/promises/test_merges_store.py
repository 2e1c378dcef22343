"""Branches don't conflict, and after a merge every scope finds its own answers: the store's part.

Two branches record at random, often the same requests with different answers, and are merged by
real git in both directions.
"""

import json
import os
import random
import re
import subprocess
from dataclasses import dataclass, field

import pytest

from cas_llm.digest import digest_of
from cas_llm.store import Answer, Recording, Shared, Store, Tape, pick
from cas_llm.store.answer import pretty
from cas_llm.store.tape import Turn
from cas_llm.wire import Response

SCOPES = [f"tests/test_{name}.py::test_{n}" for name in "ab" for n in range(4)]
PROMPTS = [f"prompt {n}" for n in range(12)]


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    """No power is lost in these tests, and syncing thousands of files takes most of their time."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def git(root, *args):
    # Rename detection and directory renames are on, as they are by default.
    return subprocess.run(
        ["git", "-C", root, *args], check=True, capture_output=True, text=True
    ).stdout


@dataclass
class Branch:
    """What one branch recorded: for each scope and request the answers, in order."""

    run: str
    tapes: dict[str, Tape] = field(default_factory=dict)
    shared: dict[str, list[str]] = field(default_factory=dict)


def record(store, run, prompt, ordinal, answer):
    """Save one answer; answers are small and alike, as rename detection likes them least."""
    body = json.dumps(
        {"id": answer, "choices": [{"message": {"content": f"ok {answer}"}}]}
    ).encode()
    system = f"You are a helpful assistant for {prompt}.\n".encode() * 60
    request = pretty({"k": "cas-llm/key/1", "body": {"model": "m", "messages": [prompt]}})
    response = Response(200, (("content-type", "application/json"),), body)
    parts = {digest_of(system): ("txt", system)}
    told = Answer(digest_of(request), response, run, ordinal, "", (prompt,), (answer,))
    return Turn(told.key, store.save(Recording(request, told, parts)), (prompt,), (answer,))


def work(root, run, rng, before):
    """One branch's recordings: new scopes, scopes recorded anew, shared requests."""
    store, branch = Store(root), Branch(run, dict(before.tapes))
    for scope in rng.sample(SCOPES, rng.randint(1, 5)):
        turns, count = [], {}
        for prompt in rng.choices(PROMPTS, k=rng.randint(1, 4)):
            count[prompt] = count.get(prompt, 0) + 1
            turns.append(record(store, run, prompt, count[prompt], f"{run} {rng.random()}"))
        take = max((tape.take for tape in store.manifest.tapes_of(scope)), default=-1) + 1
        # The test was edited where it was recorded anew, more often than not.
        source = digest_of(f"{scope} {run if rng.random() < 0.7 else 'as it was'}".encode())
        branch.tapes[scope] = Tape(scope, take, source, tuple(turns))
        store.add_tape(branch.tapes[scope])
    for prompt in rng.sample(PROMPTS, rng.randint(0, 4)):
        key, digests = "", []
        for ordinal in range(1, rng.randint(1, 3) + 1):
            turn = record(store, run, prompt, ordinal, f"{run} {rng.random()}")
            key, digests = turn.key, [*digests, turn.digest]
        entries = store.manifest.shared_of(key)
        take = max((entry.take for entry in entries if entry.run != run), default=-1) + 1
        for ordinal, digest in enumerate(digests, 1):
            store.add_shared(Shared(key, take, run, ordinal, digest))
        branch.shared[key] = digests
    store.close()
    git(root.parent, "add", "-A")
    git(root.parent, "commit", "-q", "--allow-empty", "-m", run)
    return branch


def replay(store, tape):
    """What a scope with the tape's source is served, asking as it did when it was recorded."""
    own, served, asked, ties = store.manifest.tapes_of(tape.scope), [], {}, False
    for turn in tape.turns:
        asked[turn.key] = asked.get(turn.key, 0) + 1
        found = pick.from_own(own, turn.key, served, tape.source)
        ordinal = pick.at(found.digests, asked[turn.key], "miss")
        ties = ties or bool(found.tied)
        served.append((turn.key, ordinal, ordinal and found.digests[ordinal - 1]))
    return [digest for _key, _ordinal, digest in served], ties


def picks(root):
    """Everything the store would serve for shared requests and from other scopes' tapes."""
    store = Store(root)
    keys = sorted({entry.key for entry in store.manifest.shared()})
    shared = {key: pick.from_shared(store.manifest.shared_of(key)).digests for key in keys}
    others = {}
    for path in store.manifest.tape_paths():
        for key in store.manifest.load_tape(path).answers:
            tapes = [store.manifest.load_tape(place) for place in store.index.tapes_with(key)]
            others[key] = pick.from_others(tapes, key, [], "").digests
    store.close()
    return shared, others


def check(root, branches):
    """No conflict marker, nothing absent, every tape and shared sequence whole."""
    store = Store(root)
    for path in store.manifest.tape_paths():
        for turn in store.manifest.load_tape(path).turns:
            assert store.load(turn.digest).answer == turn.answer
            store.objects.get_request(turn.key)
    own, tied = 0, 0
    for branch in branches:
        for scope, tape in branch.tapes.items():
            tapes = store.manifest.tapes_of(scope)
            rival = pick.current(tapes, tape.source)
            if rival != tape:
                # Both branches recorded the very same source: the later take, else a tie.
                assert rival.source == tape.source
                assert rival.take > tape.take or any(tape in group for group in pick.ties(tapes))
                tied += 1
                continue
            assert replay(store, tape)[0] == [turn.digest for turn in tape.turns]
            own += 1
        sequences = [
            [
                entry.digest
                for entry in sorted(store.manifest.shared_of(key))
                if entry.run == branch.run
            ]
            for key in branch.shared
        ]
        assert sequences == list(branch.shared.values())
    for key in {key for branch in branches for key in branch.shared}:
        chosen = list(pick.from_shared(store.manifest.shared_of(key)).digests)
        assert chosen in [branch.shared.get(key) for branch in branches]
    store.close()
    return own, tied


def merge_pair(folder, seed):
    rng = random.Random(seed)
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    root = folder / "cache_store"
    base = work(root, f"{seed:08x}", rng, Branch(""))
    base.shared = {}
    branches = []
    for name in ("left", "right"):
        git(folder, "checkout", "-q", "-b", name, "main")
        branches.append(work(root, digest_of(f"{name}{seed}".encode())[:8], rng, base))
    found = []
    for ours, theirs in (("left", "right"), ("right", "left")):
        git(folder, "checkout", "-q", "-b", f"merged-{ours}", ours)
        git(folder, "merge", "-q", "--no-edit", theirs)
        assert git(folder, "status", "--porcelain") == ""
        found.append((check(root, branches), picks(root), git(folder, "rev-parse", "HEAD^{tree}")))
        assert git(folder, "status", "--porcelain") == ""
    assert found[0] == found[1]
    return found[0][0]


def pairs_are_merged(tmp_path, count):
    own = tied = 0
    for seed in range(count):
        found = merge_pair(tmp_path / str(seed), seed)
        own, tied = own + found[0], tied + found[1]
    print(f"{count} pairs merged both ways: 0 conflicts; {own} tapes served, {tied} superseded")
    assert own > 5 * count


def test_random_branches_merge_without_conflict_and_keep_their_answers(tmp_path):
    """20 pairs: no conflict, the same tree and the same picks whichever side merges."""
    pairs_are_merged(tmp_path, 20)


@pytest.mark.slow
def test_many_random_branches_merge_without_conflict(tmp_path):
    """200 pairs."""
    pairs_are_merged(tmp_path, 200)


def two_sides(tmp_path, left, right):
    """A store on which two branches do what *left* and *right* say, merged."""
    git(tmp_path, "init", "-q", "-b", "main")
    root = tmp_path / "cache_store"
    Store(root).prepare()
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "base")
    for name, side in (("left", left), ("right", right)):
        git(tmp_path, "checkout", "-q", "-b", name, "main")
        side(Store(root))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", name)
    git(tmp_path, "merge", "-q", "--no-edit", "left")
    return Store(root)


def test_two_new_tests_with_the_same_first_turn_keep_their_own(tmp_path):
    """The second turn's request holds the first one's answer: the wrong first answer is a miss."""

    def adds(name):
        def side(store):
            turns = [record(store, name * 8, "hello", 1, name)]
            turns.append(record(store, name * 8, f"you said {name}", 1, f"{name}2"))
            store.add_tape(Tape(f"tests/test_{name}.py::t", 0, name, tuple(turns)))

        return side

    store = two_sides(tmp_path, adds("a"), adds("b"))
    for name in "ab":
        [tape] = store.manifest.tapes_of(f"tests/test_{name}.py::t")
        assert [store.load(digest).answer for digest in replay(store, tape)[0]] == [
            (name,),
            (f"{name}2",),
        ]


def test_a_test_recorded_anew_on_both_sides_is_a_tie_that_is_seen(tmp_path):
    """One of the two serves whole conversations; which one is the same everywhere, and is told."""

    def adds(name):
        def side(store):
            turns = [record(store, name * 8, "hello", 1, name)]
            turns.append(record(store, name * 8, f"you said {name}", 1, f"{name}2"))
            store.add_tape(Tape("tests/test_a.py::t", 1, "same source", tuple(turns)))

        return side

    store = two_sides(tmp_path, adds("a"), adds("b"))
    tapes = store.manifest.tapes_of("tests/test_a.py::t")
    [(first, second)] = pick.ties(tapes)
    assert replay(store, first) == ([turn.digest for turn in first.turns], True)
    found = pick.from_own(tapes, second.turns[0].key, [], "same source")
    assert (found.tape, found.tied) == (first, (second,))


def test_what_the_tool_writes_is_kept_byte_for_byte_by_git(tmp_path):
    """Even where git is told to convert line ends."""
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "config", "core.autocrlf", "true")
    store = Store(tmp_path / "cache_store")
    turn = record(store, "0" * 8, "line\nends\r\n", 1, "a")
    store.add_tape(Tape("t", 0, "", (turn,)))
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "x")
    git(tmp_path, "rm", "-rqf", "cache_store")
    git(tmp_path, "checkout", "-q", "HEAD", "--", "cache_store")
    again = Store(store.root)
    assert again.load(turn.digest).answer == ("a",)
    assert len(again.manifest.tapes_of("t")) == 1
    attributes = git(tmp_path, "check-attr", "-a", "cache_store/objects/ab/c.json")
    assert {"text: unset", "merge: unset", "delta: unset", "linguist-generated: set"} <= set(
        re.findall(r": (\S+: \S+)$", attributes, re.MULTILINE)
    )


def test_local_files_are_never_tracked(tmp_path):
    """The index, runs and temporary files stay out of git."""
    git(tmp_path, "init", "-q", "-b", "main")
    store = Store(tmp_path / "cache_store")
    store.add_tape(Tape("t", 0, "", (record(store, "0" * 8, "p", 1, "a"),)))
    store.index.tapes_with("x")
    assert (store.root / ".local" / "index.sqlite3").exists()
    store.close()
    git(tmp_path, "add", "-A")
    assert ".local" not in git(tmp_path, "ls-files").replace(os.sep, "/")
