"""The programs that pre-commit starts, as it starts them: ``python -m cas_llm.hook NAME``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commits import Repository

from cas_llm.hook import main

TREE = Path(__file__).resolve().parents[2]
OURS = ("verify", "stale", "secrets")


def hook(repository: Repository, *words: str, **said: str) -> subprocess.CompletedProcess[str]:
    """What a hook of a commit says."""
    variables = {**os.environ, "PYTHONPATH": str(TREE), "GIT_INDEX_FILE": ".git/index", **said}
    line = [sys.executable, "-m", "cas_llm.hook", *words]
    return subprocess.run(
        line, cwd=repository.path, env=variables, check=False, capture_output=True, text=True
    )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.recorded(tmp_path / "project")


def test_an_unrelated_commit_imports_next_to_nothing(repository: Repository) -> None:
    """What a rule needs, and what it costs, is not paid by who touches neither tests nor store."""
    repository.write("app.py", "x = 1\n")
    repository.git("add", "-A")
    code = (
        "import sys; from cas_llm.hook import main; code = main(sys.argv[1:]);"
        "own = {n for n in sys.modules if n.startswith('cas_llm.')};"
        "heavy = {'openai', 'typer', 'rich', 'httpx', 'orjson', 'detect_secrets'} & set(sys.modules);"
        "print(code, sorted(heavy), sorted(n for n in own if 'gitrepo' not in n))"
    )
    for name in OURS:
        line = [sys.executable, "-c", code, name]
        variables = {**os.environ, "PYTHONPATH": str(TREE), "GIT_INDEX_FILE": ".git/index"}
        done = subprocess.run(
            line, cwd=repository.path, env=variables, check=True, capture_output=True, text=True
        )
        own = ["cas_llm.errors", "cas_llm.guard", "cas_llm.guard.staged", "cas_llm.hook"]
        assert done.stdout.strip() == f"0 [] {own}"


def test_no_rule_imports_what_people_look_at(repository: Repository) -> None:
    """A store that changes costs its proof, not an SDK, a command line or an HTTP library."""
    place = repository.one("requests/*/*.json")
    place.write_bytes(b"broken")
    repository.git("add", "-A")
    code = (
        "import sys; from cas_llm.hook import main; main(sys.argv[1:]);"
        "print(sorted({'openai', 'typer', 'rich', 'httpx', 'httpx2'} & set(sys.modules)))"
    )
    for name in OURS:
        variables = {**os.environ, "PYTHONPATH": str(TREE), "GIT_INDEX_FILE": ".git/index"}
        line = [sys.executable, "-c", code, name]
        done = subprocess.run(
            line, cwd=repository.path, env=variables, check=True, capture_output=True, text=True
        )
        assert done.stdout.splitlines()[-1] == "[]"


def test_a_finding_ends_with_one_and_json_says_the_same(repository: Repository) -> None:
    """The path first, then the code; then why, then the command."""
    place = repository.one("objects/*/*.json")
    place.write_bytes(place.read_bytes() + b" ")
    repository.git("add", "-A")
    done = hook(repository, "verify")
    name = repository.name(place)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{name}: CAS060 error: was edited in place"
    assert lines[1].startswith("  why: ")
    assert lines[2] == f"  do:  git restore --staged --worktree -- {name}"
    found = json.loads(hook(repository, "verify", "--json").stdout)["findings"]
    assert [(one["path"], one["code"]) for one in found] == [(name, "CAS060")]


def test_what_is_wrong_with_the_call_is_told_apart(
    repository: Repository,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2 for usage and settings, 1 where the hook cannot find out."""
    assert (main([]), main(["verify", "stale"]), main(["verify", "--fix"])) == (2, 2, 2)
    assert "usage" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main(["verify"]) == 1
    assert "git init" in capsys.readouterr().err
    repository.write("pyproject.toml", "[tool.cas-llm.stale]\nunusd = 'off'\n")
    repository.git("add", "-A")
    monkeypatch.chdir(repository.path)
    assert main(["stale"]) == 0  # no test and no store changes
    repository.write("cache_store/README.md", "mine")
    repository.git("add", "-A")
    assert main(["stale"]) == 2
    assert "did you mean 'unused'" in capsys.readouterr().err
