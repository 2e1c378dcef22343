"""`cas-llm rerecord`: a look first, one clear error for what cannot be, nothing asked by a look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.leaves import fill
from support.stores import files_of

from cas_llm import cli

KEY = "-".join(["sk", "w" * 8])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of twelve leaves in the current folder, a key, and a file for their tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (tmp_path / "pyproject.toml").write_text("[tool.cas-llm]\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_q.py").write_text("")
    fill(tmp_path / "cache_store", 12)
    return tmp_path / "cache_store"


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What the command says, on both streams."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["rerecord", *words])
    said = capsys.readouterr()
    assert ended.value.code == code, said.err
    return said.out + said.err


def test_a_look_says_tests_calls_and_price_and_writes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten tests are listed, the command that does it is the last line, and no file is touched."""
    before = {path: path.stat().st_mtime_ns for path in files_of(root)}
    lines = run(capsys, "--all", "--max-cost", "1", "--", "-x").splitlines()
    assert lines[0] == "12 tests to run: 12 calls, about $0.009"
    assert lines[1] == "  tests/test_q.py::test_0   1 call, about $0.0008"
    assert "  and 2 more: " in lines[-2]
    assert lines[-1] == (
        "Nothing was asked. Next: cas-llm rerecord --all --max-cost 1 --apply -- -x"
    )
    assert {path: path.stat().st_mtime_ns for path in files_of(root)} == before
    assert not (root / ".local" / "rerecord").exists()


def test_requests_that_stand_alone_are_listed_with_their_price(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would be sent, as text and as JSON."""
    assert "12 requests to send, each by itself" in run(capsys, "--all", "--reissue")
    document = json.loads(run(capsys, "test_3", "--reissue", "--json"))
    assert document["calls"] == 1
    assert document["requests"][0]["scope"] == "tests/test_q.py::test_3"
    assert document["models"][0]["model"] == "gpt-4o-mini"
    assert KEY not in json.dumps(document)


def test_a_missing_key_is_named_and_nothing_is_sent(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys come from the environment only."""
    assert root.exists()
    monkeypatch.delenv("OPENAI_API_KEY")
    said = run(capsys, "test_3", "--reissue", "--apply", code=1)
    assert "tests/test_q.py::test_3: OPENAI_API_KEY is not set" in said


def test_on_ci_nothing_leaves_the_machine(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule of every live call holds, and says what allows it."""
    assert root.exists()
    monkeypatch.setenv("CI", "1")
    said = run(capsys, "test_3", "--reissue", "--apply", code=1)
    assert "CI is set, so no request may leave this machine (api.openai.com)" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what to record anew"),
        (("--missed", "--all"), "--missed stands by itself"),
        (("--all", "--base-url", "http://x"), "--base-url is for --reissue"),
        (("--all", "--reissue", "--", "-x"), "--reissue runs no pytest"),
        (("--older-than", "old"), "is no age"),
        (("--all", "--stale"), "is in no repository"),
    ],
)
def test_what_makes_no_sense_is_one_error(
    root: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    """Wrong usage ends with 2, and says what is right."""
    assert root.exists()
    assert said in run(capsys, *words, code=2)


def test_a_damaged_recording_is_mended_first(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be read may quote anything."""
    path = next((root / "objects").rglob("*.json"))
    path.chmod(0o644)
    path.write_bytes(b"{")
    assert "cas-llm verify --repair" in run(capsys, "--all", "--reissue", code=1)


def test_what_was_kept_of_an_interrupted_one_is_said(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A look counts what is left, and not what is done; without anything left it begins anew."""
    from cas_llm.rerecord.ledger import Ledger

    tests = [f"test:tests/test_q.py::test_{number}" for number in (0, 1)]
    with Ledger(root) as ledger:
        ledger.plan(tests)
        ledger.store(tests[0])
    told = run(capsys, "--all")
    assert "1 is done by one that did not end" in told
    assert "11 tests to run: 11 calls" in told
    assert "12 tests to run: 12 calls" in run(capsys, "--all", "--afresh")
    assert "did not end" not in run(capsys, "test_0")
