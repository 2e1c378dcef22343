"""`cas-llm stats`: counts, bytes, tokens and money."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.projects import Project
from support.provider import ScriptedProvider
from support.recordings import fill, key_of

from cas_llm.cli.edit import edit_answer, text_change
from cas_llm.cli.output import size_text
from cas_llm.cli.stats import _grouped, _row, measure
from cas_llm.session.catalogue import Entry
from cas_llm.store import Store


@pytest.fixture
def store(tmp_path: Path, provider: ScriptedProvider) -> Store:
    """See `support.recordings.fill`."""
    return fill(tmp_path / "cache_store", provider)


def test_everything_is_counted_once(store: Store) -> None:
    """Answers by digest, requests by key, bytes by folder, pending apart."""
    found = measure(store)
    assert (found.recordings, found.requests, found.current) == (5, 4, 5)
    assert (found.tapes, found.tests, found.shared_entries, found.pending) == (2, 2, 1, 1)
    assert found.total.recordings == sum(spent.recordings for spent in found.by_model.values())
    assert set(found.by_namespace) == {""}
    on_disk = [path for path in (store.root / "objects").rglob("*") if path.is_file()]
    assert found.files["objects"] == len(on_disk)
    assert found.bytes["objects"] == sum(path.stat().st_size for path in on_disk)


def test_an_edit_adds_a_recording_and_a_tape(store: Store) -> None:
    """What it replaced is still there, and no longer in use."""
    edit_answer(store, key_of(store, "flow"), text_change("Edited."))
    found = measure(store)
    assert (found.recordings, found.current) == (6, 5)
    assert (found.tapes, found.current_tapes) == (3, 2)


def test_an_unknown_price_is_said_and_not_guessed() -> None:
    """A group without any price is unknown; with some, the rest is counted."""
    known, unknown = (Entry("k", d, (), cost=c) for d, c in (("a", 0.5), ("b", None)))
    assert _row("m", _grouped([unknown], lambda _: "")[""])[-1] == "unknown"
    assert _row("m", _grouped([known, unknown], lambda _: "")[""])[-1] == "$0.50 and 1 unknown"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB")]
)
def test_sizes_are_told_in_one_unit(size: int, text: str) -> None:
    """Decimal units, as disks have them."""
    assert size_text(size) == text


def test_the_command_prints_tables_or_json(project: Project, provider: ScriptedProvider) -> None:
    """Each model has a row, their sum the last."""
    fill(project.path / "cache_store", provider)
    said = project.cas_llm("stats")
    for word in ("5 recordings of 4 requests", "2 tapes", "gpt-4o-mini", "1 answer waiting"):
        assert word in said.stdout, said
    assert json.loads(project.cas_llm("stats", "--json").stdout)["recordings"] == 5
    absent = project.cas_llm("stats", "--store", "nowhere")
    assert (absent.code, "cas-llm init" in absent.stderr) == (1, True)
