"""The hooks are the same ones wherever they are listed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pre_commit.clientlib import load_config, load_manifest

from cas_llm.cli import hooking
from cas_llm.hook import NAMES

TREE = Path(__file__).resolve().parents[2]
MANIFEST = TREE / ".pre-commit-hooks.yaml"
CONFIG = TREE / ".pre-commit-config.yaml"
PROGRAMS = sorted((TREE / "hooks").glob("*.py"))
SHARED = {
    "always_run": True,
    "pass_filenames": False,
    "require_serial": True,
    "stages": ["pre-commit", "pre-push", "manual"],
}


def manifest() -> list[dict]:
    return yaml.safe_load(MANIFEST.read_text())


def own() -> list[dict]:
    config = yaml.safe_load(CONFIG.read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    return [hook for hook in hooks if hook["id"].startswith("cas-llm-")]


def test_every_list_names_the_same_hooks() -> None:
    """Programs, manifest, this repository's configuration, the page and `init` agree."""
    names = [f"cas-llm-{name}" for name in NAMES]
    assert [hook["id"] for hook in manifest()] == names
    assert [hook["id"] for hook in own()] == names
    assert [f"cas-llm-{path.stem}" for path in PROGRAMS] == sorted(names)
    page = (TREE / "hooks" / "README.md").read_text()
    rows = re.findall(r"^\| `(cas-llm-\w+)` \| \[(\w+)\.py\]\(\2\.py\) \|", page, re.MULTILINE)
    assert [f"cas-llm-{program}" for _, program in rows] == [row[0] for row in rows] == names
    block = yaml.safe_load(hooking.block(0, 2))
    assert [hook["id"] for hook in block[0]["hooks"]] == names


def test_pre_commit_takes_both_files() -> None:
    """The manifest and the configuration are valid to pre-commit itself."""
    assert len(load_manifest(MANIFEST)) == len(NAMES)
    assert load_config(CONFIG)["repos"]


def test_no_hook_needs_file_names() -> None:
    """Deletions are never passed and names come in shards, so every hook looks for itself."""
    block = yaml.safe_load(hooking.block(0, 2))[0]["hooks"]
    for hook in [*manifest(), *own(), *block]:
        assert {name: hook[name] for name in SHARED} == SHARED, hook["id"]
    assert all(hook["minimum_pre_commit_version"] == "3.2.0" for hook in manifest())


def test_what_is_only_warned_of_is_heard_though_the_hook_passes() -> None:
    """pre-commit hides what a passing hook says, unless it is told otherwise."""
    block = yaml.safe_load(hooking.block(0, 2))[0]["hooks"]
    for hook in [*manifest(), *own(), *block]:
        heard = hook["id"] in {"cas-llm-replayable", "cas-llm-stale"}
        assert hook.get("verbose", False) == heard


def test_init_writes_what_the_manifest_says() -> None:
    """A project that takes the block starts the same programs as one that names a git host."""
    block = yaml.safe_load(hooking.block(0, 2))[0]["hooks"]
    same = ("id", "name", "entry", "language", *SHARED)
    assert [[hook[key] for key in same] for hook in block] == [
        [hook[key] for key in same] for hook in manifest()
    ]
    for hook, name in zip(manifest(), NAMES, strict=True):
        assert hook["entry"] == f"python -P -m cas_llm.hook {name}"
        assert hook["language"] == "python"


def test_this_repository_starts_its_own_programs() -> None:
    """Its configuration runs the files in hooks/ with the environment its other tools come from."""
    for hook, name in zip(own(), NAMES, strict=True):
        assert hook["entry"] == f".venv/bin/python hooks/{name}.py"


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_names_its_hook_and_holds_no_rule(path: Path) -> None:
    """It calls the hook of its own name, from this tree, and is a few lines long."""
    text = path.read_text()
    assert f'main(["{path.stem}", *sys.argv[1:]])' in text
    assert len(text.splitlines()) <= 15
    # An option no hook knows: wrong usage comes from the tree's own package, whatever the path.
    command = [sys.executable, "-I", str(path), "--no-such"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "cas_llm.hook" in done.stderr) == (2, True), done.stderr


def test_a_program_does_not_stand_in_for_a_standard_module(tmp_path: Path) -> None:
    """What a hook imports gets Python's `secrets`, though a hook's file is called that."""
    text = (TREE / "hooks" / "secrets.py").read_text()
    program = tmp_path / "hooks" / "secrets.py"
    program.parent.mkdir()
    program.write_text(text)
    package = tmp_path / "cas_llm" / "hook.py"
    package.parent.mkdir()
    # Whole, so that one that is installed does not come before it.
    (package.parent / "__init__.py").touch()
    package.write_text("def main(_):\n    import secrets\n    return len(secrets.token_hex(3))\n")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, check=False)
    assert done.returncode == 6, done.stderr
