"""`cas-llm edit`: a new take of everything that used the old answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.projects import Project
from support.provider import ScriptedProvider
from support.recordings import ask, block, client, fill, key_of

from cas_llm.cli import naming
from cas_llm.cli.edit import body_change, edit_answer, in_editor, text_change
from cas_llm.errors import CasLLMError, ConfigError, ObjectCorrupt, SecretFound, StoreError
from cas_llm.session.catalogue import catalogue
from cas_llm.store import Store, Tape


@pytest.fixture
def store(tmp_path: Path, provider: ScriptedProvider) -> Store:
    """See `support.recordings.fill`."""
    return fill(tmp_path / "cache_store", provider)


def replayed(
    store: Store, provider: ScriptedProvider, name: str | None, *texts: str, stream: bool = False
) -> list[str]:
    """What a replay of the block *name* hears."""
    before = provider.count
    with client(provider) as openai, block(store.root, "replay", name):
        said = [ask(openai, text, stream=stream) for text in texts]
    assert provider.count == before
    return said


def test_an_edited_answer_is_served_by_every_tape_that_named_the_old(
    store: Store, provider: ScriptedProvider
) -> None:
    """Both blocks hear the new text; the other answer of the same request stays."""
    key = key_of(store, "same")
    done = edit_answer(store, key, text_change("Edited."), test="one", ordinal=1)
    assert [(tape.scope, tape.take) for tape in done.tapes] == [("use::one", 1), ("use::two", 1)]
    first, second = replayed(store, provider, "one", "same", "same")
    assert (first, second[:6]) == ("Edited.", "answer")
    assert replayed(store, provider, "two", "same") == ["Edited."]


def test_an_edit_is_marked_and_names_what_it_replaced(store: Store) -> None:
    """The answer carries the mark, the old digest and lines that fit its body; the key stays."""
    key = key_of(store, "flow")
    record = store.objects.get_request(key)
    done = edit_answer(store, key, text_change("Edited."))
    answer = store.load(done.new)
    assert answer.key == key
    assert store.objects.get_request(key) == record
    assert answer.marks == ("edited",)
    assert answer.answer == ("Edited.",)
    assert answer.provenance["edited_from"] == done.old
    assert store.load(done.old).marks == ()


def test_an_edited_stream_streams(store: Store, provider: ScriptedProvider) -> None:
    """The SDK reads the new text out of the same number of events."""
    edit_answer(store, key_of(store, "flow"), text_change("One, two."))
    assert replayed(store, provider, "one", "flow", stream=True) == ["One, two."]


def test_a_shared_answer_gets_a_new_shared_take(store: Store, provider: ScriptedProvider) -> None:
    """What was recorded outside every scope is edited as well."""
    key = key_of(store, "apart")
    done = edit_answer(store, key, text_change("Edited."))
    assert (done.tapes, [entry.take for entry in done.shared]) == ((), [1])
    assert replayed(store, provider, None, "apart") == ["Edited."]


def test_a_request_with_several_answers_asks_which(store: Store) -> None:
    """Nothing is written, and each choice is listed as it would be typed."""
    before = sorted(store.root.rglob("*"))
    with pytest.raises(CasLLMError, match=r"2 different answers") as told:
        edit_answer(store, key_of(store, "same"), text_change("Edited."))
    assert "--test 'use::one' --ordinal 2" in str(told.value)
    assert sorted(store.root.rglob("*")) == before


def test_an_edit_that_changes_nothing_writes_nothing(store: Store) -> None:
    """The same body is the same answer, and no tape is written."""
    key, before = key_of(store, "flow"), sorted(store.root.rglob("*.json"))
    done = edit_answer(store, key, lambda answer: answer.response.body)
    assert not done.changed
    assert sorted(store.root.rglob("*.json")) == before


def test_a_refused_body_leaves_the_store_as_it_was(store: Store) -> None:
    """Broken JSON, a secret and an unknown test are each refused before anything is written."""
    key, before = key_of(store, "apart"), sorted(store.root.rglob("*"))
    token = "gh" + "p_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
    with pytest.raises(CasLLMError, match="not valid JSON"):
        edit_answer(store, key, body_change(b'{"a":'))
    with pytest.raises(SecretFound):
        edit_answer(store, key, text_change(f"use {token}"))
    with pytest.raises(CasLLMError, match="no current answer"):
        edit_answer(store, key, text_change("x"), test="nowhere")
    assert sorted(store.root.rglob("*")) == before


def test_an_editor_opens_the_body_laid_out(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the person leaves is the new body; an editor that fails changes nothing."""
    script = tmp_path / "editor.sh"
    script.write_text('#!/bin/sh\nsed -i "s/apart/together/" "$1"\n')
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    done = edit_answer(store, key_of(store, "apart"), in_editor)
    assert "together" in " ".join(done.answer.answer)
    monkeypatch.setenv("EDITOR", "false")
    with pytest.raises(CasLLMError, match="exit code 1"):
        edit_answer(store, key_of(store, "flow"), in_editor)
    monkeypatch.delenv("EDITOR")
    with pytest.raises(ConfigError, match="EDITOR"):
        edit_answer(store, key_of(store, "flow"), in_editor)


def test_the_command_says_what_changed_and_what_to_run(
    project: Project, provider: ScriptedProvider
) -> None:
    """The new take is named, with the next command; only new files appear in git."""
    store = fill(project.path / "cache_store", provider)
    project.commit()
    said = project.cas_llm("edit", key_of(store, "flow")[:8], "--text", "Edited.")
    assert said.code == 0, said
    assert "use::one: take 1" in said.stdout
    assert "Next: pytest && git add" in said.stdout
    assert {line[:2] for line in project.status.splitlines()} == {"??"}
    both = project.cas_llm("edit", "abcd", "--text", "x", "--file", "y")
    assert (both.code, "not both" in both.stderr) == (2, True)


def test_an_answers_digest_is_told_from_a_key(store: Store, damage) -> None:
    """A digest names the key to give; that of a damaged answer, its file, as `show` does."""
    key = key_of(store, "flow")
    digest = next(entry.digest for entry in catalogue(store).entries if entry.key == key)
    with pytest.raises(CasLLMError, match=f"is an answer.*{key[:12]}"):
        naming.key(store, digest)
    damaged = damage(store, "flow")
    with pytest.raises(ObjectCorrupt, match=damaged.name):
        naming.key(store, digest)


def test_a_test_is_told_from_a_key(store: Store) -> None:
    """Where a test is named, the command that lists its keys is."""
    with pytest.raises(CasLLMError, match=r"use::one is a test.*cas-llm show use::one"):
        naming.key(store, "use::one")


def test_a_damaged_answer_is_named_and_not_passed_over(store: Store, damage) -> None:
    """Its key finds the file that is damaged, rather than no answer."""
    key = key_of(store, "flow")
    damaged = damage(store, "flow")
    with pytest.raises(ObjectCorrupt, match=damaged.name):
        edit_answer(store, key, text_change("x"))


def test_of_a_test_that_was_rewritten_the_last_texts_answer_is_edited(store: Store) -> None:
    """Each text of a test has a tape in use; the tape of the highest take is meant."""
    (old,) = store.manifest.tapes_of("use::two")
    other = next(e for e in catalogue(store).entries if e.key == key_of(store, "flow")).digest
    turns = (replace(old.turns[0], digest=other), *old.turns[1:])
    store.add_tape(Tape(old.scope, old.take + 1, "another text", turns))
    key = old.turns[0].key
    assert edit_answer(store, key, text_change("Edited."), test="two", ordinal=1).old == other


def test_nothing_is_edited_beside_a_tape_that_cannot_be_read(store: Store) -> None:
    """It may name the very answer; what to do is said."""
    key, path = key_of(store, "same"), next(store.manifest.tape_paths())
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StoreError, match=r"nobody knows whether it uses[\s\S]*verify --repair"):
        edit_answer(Store(store.root), key, text_change("x"))
