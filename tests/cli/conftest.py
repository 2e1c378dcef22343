"""What the command line's tests share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.suites import Bench

from cas_llm import cli
from cas_llm.cli import hooking
from cas_llm.session.catalogue import catalogue
from cas_llm.store import Store, layout

CONFIG = """\
repos:
  - repo: https://example.org/fixers
    rev: v1
    hooks:
{hooks}
"""


@pytest.fixture
def damage() -> Callable[[Store, str], Path]:
    """Damages the answer to the request whose last turn is a text; gives its file."""

    def damaged(store: Store, text: str) -> Path:
        entries = catalogue(store).entries
        digest = next(entry.digest for entry in entries if entry.ask == (text,))
        path = layout.object_path(store.root, digest)
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-9])
        return path

    return damaged


class Checkout:
    """A project in a git repository, worked on in this process."""

    def __init__(self, path: Path, capsys) -> None:
        self.path, self.capsys = path, capsys
        (path / ".git").mkdir()

    def config(self, *hooks: str, top: str = "") -> None:
        """Write a configuration with these hooks, each the lines after its dash."""
        lines = "".join("      - " + hook.replace("\n", "\n        ") + "\n" for hook in hooks)
        self.write(CONFIG.format(hooks=lines.rstrip("\n")) + top)

    def write(self, text: str) -> None:
        (self.path / hooking.CONFIG).write_bytes(text.encode())

    @property
    def text(self) -> str:
        return (self.path / hooking.CONFIG).read_text()

    @property
    def hooks(self) -> dict[str, dict]:
        """All hooks of the configuration by their ids."""
        found = yaml.safe_load(self.text)["repos"]
        return {hook["id"]: hook for repo in found for hook in repo["hooks"]}

    def run(self, *arguments: str) -> str:
        """What a command that ends well prints."""
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        said = self.capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out

    def points(self) -> list[dict]:
        """What doctor says of the hooks."""
        told = json.loads(self.run("doctor", "--json"))["points"]
        return [point for point in told if point["about"] == "hooks"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch, capsys) -> Checkout:
    monkeypatch.chdir(tmp_path)
    return Checkout(tmp_path, capsys)


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A repository with two tests, recorded and committed; never changed."""
    return Bench.made(tmp_path_factory.mktemp("begun") / "project")


@pytest.fixture
def bench(begun: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A copy of it, in which commands are typed; nothing is synced to the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    made = Bench(begun.repository.copy(tmp_path / "project").path)
    monkeypatch.chdir(made.repository.path)
    return made
