"""`cas_llm.cli.hints`: the next command is one that can be typed as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.provider import ScriptedProvider
from support.recordings import fill, key_of

from cas_llm.cli import hints, main
from cas_llm.store import Store


@pytest.fixture
def store(tmp_path: Path, provider: ScriptedProvider) -> Store:
    """See `support.recordings.fill`."""
    return fill(tmp_path / "a folder" / "cache_store", provider)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(list(arguments))
    return capsys.readouterr().out


def test_a_path_is_shown_from_the_current_folder_and_quoted(tmp_path, monkeypatch) -> None:
    """One that lies elsewhere is shown as a whole."""
    monkeypatch.chdir(tmp_path)
    assert hints.shown(tmp_path / "cache_store") == "cache_store"
    assert hints.shown(tmp_path / "a folder" / "x") == "'a folder/x'"
    assert hints.shown(tmp_path.parent / "x").endswith(str(tmp_path.parent / "x"))


def test_a_hint_is_for_the_store_that_was_asked_about(store: Store, capsys) -> None:
    """Typed as it stands, it does what it says, whatever the folder and the store are called."""
    key = key_of(store, "apart")
    named = ("--store", str(store.root))
    assert f"show {key[:12]} --store '{store.root}'\n" in said(capsys, "history", key, *named)
    assert f" --store '{store.root}'\n" in said(capsys, "ls", *named)
    assert f"verify --repair --store '{store.root}'\n" in said(capsys, "resolve", *named)


def test_no_store_is_named_where_none_was(store: Store, capsys, monkeypatch) -> None:
    """The project's own store needs no option."""
    monkeypatch.chdir(store.root.parent)
    out = said(capsys, "ls")
    assert "Look at one: cas-llm show " in out
    assert "--store" not in out
