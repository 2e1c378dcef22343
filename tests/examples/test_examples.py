"""The examples are whole, their recordings proved, and their READMEs tell the truth.

What needs SDKs that the development environment lacks is run by `make examples`.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from pathlib import Path

import pytest
from support.example_projects import EXAMPLES, TREE, Broken, Example, every_example
from support.projects import _plugin_flags

from cas_llm.guard.checks import checks
from cas_llm.store.proof.verify import verify

ALL = every_example()
HERE = ("agent_tools", "async_streaming", "plain_pytest")
"""What the development environment can follow; cassetter, which it has, wants vcrpy's marker."""

each = pytest.mark.parametrize("example", ALL, ids=lambda example: example.name)


def ids_in(example):
    """The ids of an example's tests, without their parameters."""
    for path in sorted((example.folder / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"tests/{path.name}::{node.name}"


@each
def test_an_examples_recordings_are_proved(example):
    """Names, references, bytes and keys; git's part is told by `git status` when it is followed."""
    assert [*verify(example.folder / "cache_store", checks(), workers=1)] == []


@each
def test_every_test_of_an_example_that_asks_has_a_tape(example):
    """And no tape is of a test that is not there."""
    tapes = (example.folder / "cache_store/manifest/tapes").rglob("*.json")
    recorded = {json.loads(path.read_text("utf-8"))["scope"].partition("[")[0] for path in tapes}
    assert recorded
    assert recorded <= {*ids_in(example)}


@each
def test_a_readme_replays_looks_at_git_and_breaks_a_prompt(example):
    """So that following it proves what the page of the examples promises."""
    texts = [command.text for command in example.commands]
    assert texts[:3] == ["pip install -e '.[test]'", "pytest", "git status --short"]
    assert example.commands[2].promise == "prints nothing"
    edited = next(text for text in texts if text.startswith("sed "))
    old, file = re.search(r"s/(.+?)/.* (\S+)$", edited).groups()
    assert old in (example.folder / file).read_text("utf-8")
    assert example.commands[texts.index(edited) + 1].fails


@each
def test_an_examples_sdk_is_pinned(example):
    """Another version may send other requests; it is taken up by recording anew."""
    assert all("==" in one for one in example.requirements)


def test_the_page_lists_every_example():
    """With what it was recorded from: a script of its own, or the model of this machine."""
    rows = dict(
        re.findall(
            r"^\| \[(\w+)\]\(\1/README\.md\) \| .+ \| (.+) \|$",
            (EXAMPLES / "README.md").read_text("utf-8"),
            re.MULTILINE,
        )
    )
    assert {*rows} == {example.name for example in ALL}
    for example in ALL:
        scripted = (example.folder / "script.py").exists()
        assert rows[example.name] == (
            "a scripted server" if scripted else "a model on this machine"
        )


def test_a_broken_promise_is_told_with_what_was_said(tmp_path, monkeypatch):
    """A README that says more than is true fails where it does."""
    lies = tmp_path / "there/lies"
    lies.mkdir(parents=True)
    (lies / "README.md").write_text("```bash\nls      # prints nothing\n```\n", "utf-8")
    monkeypatch.setattr("support.example_projects.EXAMPLES", tmp_path / "there")
    with pytest.raises(Broken, match=r"lies: ls: it prints something\nREADME\.md"):
        list(Example("lies").follow(tmp_path / "copies", Path(sys.executable).parent))


@pytest.fixture
def binaries(tmp_path, monkeypatch):
    """Programs of this interpreter, which stay on loopback; cas-llm is this tree's."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    made = tmp_path / "bin"
    made.mkdir()
    for name, module in (
        ("cas-llm", "cas_llm"),
        ("pytest", " ".join(("pytest", *_plugin_flags()))),
    ):
        command = f'PYTHONPATH={TREE}:{TREE}/tests/support/offline exec python -m {module} "$@"'
        (made / name).write_text(f"#!/bin/sh\n{command}\n", "utf-8")
        (made / name).chmod(0o755)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", HERE)
def test_an_example_does_what_its_readme_says(name, tmp_path, binaries):
    """In a copy outside the tree: it replays, git stays clean, and a changed prompt is a miss."""
    lines = list(Example(name).follow(tmp_path, binaries, installs=False))
    assert sum("0 live connections" in line for line in lines) == 2
