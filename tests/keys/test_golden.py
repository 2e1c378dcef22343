"""The golden vectors: the key, pinned."""

import importlib.util
import json
from pathlib import Path

import pytest

from cas_llm.digest import digest_of
from cas_llm.keys import rederive

FOLDER = Path(__file__).parents[1] / "golden"
VECTORS = json.loads((FOLDER / "keys.json").read_text())


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_keys", FOLDER / "make_keys.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_more_than_200():
    """The form is pinned in its corners, too."""
    assert len(VECTORS) > 200


def test_every_vector_still_gives_its_key(maker):
    """A change of any of them is a new key version."""
    for name, entry in VECTORS.items():
        found = maker.outcome(maker.derive(entry))
        assert {field: entry[field] for field in found} == found, name


def test_every_record_proves_its_key():
    """The record's bytes have the key as their SHA-256 and are a fixed point."""
    for entry in VECTORS.values():
        data = entry["record"].encode()
        assert digest_of(data) == rederive(data) == entry["key"]


def test_the_maker_never_overwrites(maker, tmp_path, monkeypatch, capsys):
    """An entry that would change is reported, and the file stays as it is."""
    file = tmp_path / "keys.json"
    file.write_text('{"logit_bias": {"key": "other"}}')
    monkeypatch.setattr(maker, "FILE", file)
    assert maker.main() == 1
    assert "logit_bias" in capsys.readouterr().out
    assert file.read_text() == '{"logit_bias": {"key": "other"}}'
