"""`cas-llm verify` as a person meets it, and replay's word on the same damage."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest

import cas_llm
from cas_llm.store import Store, layout


def ask(provider, text: str = "Say hello") -> str:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
    with httpx.Client() as client:
        reply = client.post(f"{provider.url}/chat/completions", json=body)
    return reply.text


@pytest.fixture
def recorded(project, provider) -> Store:
    """A store in git with one real recording of a named block."""
    root = project.path / "cache_store"
    with cas_llm.use("fallback", store=root, name="greeting"):
        ask(provider)
    project.commit()
    return Store(root)


def answer(store: Store) -> Path:
    tape = store.manifest.load_tape(next(store.manifest.tape_paths()))
    return layout.object_path(store.root, tape.turns[0].digest)


def truncate(store: Store) -> Path:
    path = answer(store)
    path.write_bytes(path.read_bytes()[:-9])
    return path


def flip(store: Store) -> Path:
    path = answer(store)
    data = path.read_bytes()
    path.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    return path


def remove(store: Store) -> Path:
    path = answer(store)
    path.unlink()
    return path


def merge_markers(store: Store) -> Path:
    path = next(store.manifest.tape_paths())
    path.write_bytes(b"<<<<<<< ours\n" + path.read_bytes() + b"=======\n>>>>>>> theirs\n")
    return path


@pytest.mark.parametrize("damage", [truncate, flip, remove, merge_markers])
def test_damage_is_named_by_replay_and_by_verify_and_mended(
    damage, recorded: Store, project, provider
) -> None:
    """Both name the file and the command; the command mends it; then the recording replays."""
    path = damage(recorded)
    calls = provider.count
    with (
        pytest.raises(cas_llm.CacheMiss) as missed,
        cas_llm.use("replay", store=recorded.root, name="greeting"),
    ):
        ask(provider)
    miss = missed.value.misses[0]
    assert (miss.kind, provider.count) == ("unreadable", calls)
    assert str(path) in str(missed.value)
    assert "cas-llm verify --repair" in str(missed.value)

    told = project.cas_llm("verify")
    assert told.code == 1, told
    assert path.name in told.stdout
    assert "next:  cas-llm verify --repair" in told.stdout

    assert project.cas_llm("verify", "--repair").code == 0
    assert project.status == ""
    with cas_llm.use("replay", store=recorded.root, name="greeting"):
        ask(provider)
    assert provider.count == calls


def test_a_clean_store_ends_with_nought_at_every_level(recorded: Store, project) -> None:
    """What was recorded for real is proved, git's part included."""
    result = project.cas_llm("verify", "--level", "4")
    assert (result.code, "0 errors, 0 warnings" in result.stdout) == (0, True), result


def test_json_names_each_finding_by_code(recorded: Store, project) -> None:
    """Programs get the stable codes."""
    remove(recorded)
    document = json.loads(project.cas_llm("verify", "--json").stdout)
    assert [finding["code"] for finding in document["findings"]] == ["CAS010"]
    assert document["counts"]["error"] == 1


def test_a_foreign_file_fails_verify_and_not_replay(recorded: Store, project, provider) -> None:
    """A stray file is named; it hurts nobody."""
    (recorded.root / "notes.txt").write_text("mine")
    result = project.cas_llm("verify", "--level", "0")
    assert (result.code, "notes.txt" in result.stdout) == (1, True)
    with cas_llm.use("replay", store=recorded.root, name="greeting"):
        ask(provider)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_a_read_only_store_is_verified(recorded: Store, project) -> None:
    """Verifying writes nothing, so a read-only store is no obstacle."""
    before = sorted(recorded.root.rglob("*"))
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert project.cas_llm("verify").code == 0
    finally:
        for path in before:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert sorted(recorded.root.rglob("*")) == before


def test_a_newer_store_is_refused_with_the_command(project) -> None:
    """A later format is no damage; the message says what to type."""
    result = project.file("cache_store/format", "cas-llm/store/9\n").cas_llm("verify")
    assert (result.code, "pip install -U cas-llm" in result.stderr) == (1, True)


def test_no_store_is_one_clear_line(project) -> None:
    """Without a store the next command is init."""
    result = project.cas_llm("verify")
    assert (result.code, "cas-llm init" in result.stderr) == (1, True)


@pytest.mark.parametrize("part", ["0/3", "4/3", "x", "0%", "101%"])
def test_a_part_that_is_none_is_wrong_usage(recorded: Store, project, part: str) -> None:
    """--subset names its two forms."""
    result = project.cas_llm("verify", "--subset", part)
    assert (result.code, "1/10" in result.stderr) == (2, True)


@pytest.mark.parametrize("part", ["1/2", "50%", "100%"])
def test_a_part_can_be_verified(recorded: Store, project, part: str) -> None:
    """Both forms of --subset work."""
    assert project.cas_llm("verify", "--subset", part).code == 0


def test_a_repair_in_vain_is_not_proposed_again(recorded: Store, project) -> None:
    """What git never held is recorded anew; the same command would fail the same way."""
    remove(recorded)
    project.git("update-ref", "-d", "HEAD")
    project.git("rm", "-rq", "--cached", ".")
    told = project.cas_llm("verify", "--repair", "--store", str(recorded.root))
    assert (told.code, "not repaired: " in told.stdout) == (1, True), told
    assert "record it:  " in told.stdout
    assert "verify --repair" not in told.stdout
    told = project.cas_llm("verify", "--store", str(recorded.root))
    assert f"next:  cas-llm verify --repair --store {recorded.root}" in told.stdout, told
