"""The guard as a project gets it: init, pre-commit's own environments, real commits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import pytest
from support.projects import TREE, Project, Result

from cas_llm.cli import hooking

pytestmark = pytest.mark.slow

TEST = """
from openai import OpenAI

def test_a_question():
    client = OpenAI(base_url={url!r}, api_key="x", max_retries=0)
    messages = [{{"role": "user", "content": "Hello"}}]
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    assert answer.choices[0].message.content
"""
SECONDS = 600
# Which index pip asks is the machine's business, and passes through.
_PIP = re.compile(r"PIP_.*|(HTTPS?|ALL|NO)_PROXY", re.IGNORECASE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "-qq",
        "wheel",
        "--no-deps",
        "-w",
        str(folder),
        str(TREE),
    ]
    subprocess.run(command, check=True, env=_environment(), timeout=SECONDS)
    return next(folder.glob("cas_llm-*.whl"))


def _environment() -> dict[str, str]:
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.fixture
def guarded(project: Project, tmp_path: Path) -> Project:
    """A project whose children have pip's settings, and environments of their own."""
    kept = {name: value for name, value in os.environ.items() if _PIP.fullmatch(name)}
    # The environment that runs this test is none of the project's.
    own = str(Path(sys.executable).parent)
    path = [place for place in os.environ["PATH"].split(os.pathsep) if place != own]
    home = str(tmp_path / "environments")
    project.env(**kept, PATH=os.pathsep.join(path), PRE_COMMIT_HOME=home)
    project.file(".gitignore", "__pycache__/\n.venv/\n")
    return project


def _installed(project: Project, wheel: Path) -> None:
    """Give the project an environment of its own: the wheel, and what this one has besides."""
    folder = project.path / ".venv"
    venv.create(folder, with_pip=False)
    place = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as file:
        file.extractall(place)
    (place / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")


def _without_tree(project: Project, *command: str) -> Result:
    """Run a command that finds no package of this tree but where one was installed."""
    return project.run(*command, env={"PYTHONPATH": ""}, timeout=SECONDS)


def test_a_fresh_project_is_guarded(guarded: Project, provider, wheel: Path) -> None:
    """init, install, record, commit: the environment is made once and the commit goes through."""
    said = guarded.cas_llm("init")
    assert hooking.INSTALL in said.stdout
    config = guarded.read(hooking.CONFIG)
    pinned = re.sub(r'\["cas-llm[^"]*"\]', f'["{wheel}"]', config)
    guarded.file(hooking.CONFIG, pinned)
    started = time.perf_counter()
    installed = _without_tree(
        guarded, sys.executable, "-m", "pre_commit", *hooking.INSTALL.split()[1:]
    )
    assert installed.code == 0, installed.text
    print(f"pre-commit's first environment: {time.perf_counter() - started:.1f} s")
    assert hooking.not_installed(guarded.path) == []

    guarded.file("test_bot.py", TEST.format(url=provider.url))
    recorded = guarded.pytest("--cas-llm=fallback")
    assert recorded.outcomes == {"passed": 1}, recorded
    _installed(guarded, wheel)
    guarded.git("add", "-A")
    started = time.perf_counter()
    committed = _without_tree(guarded, "git", "commit", "-m", "First test")
    print(f"the commit: {time.perf_counter() - started:.1f} s")
    assert committed.code == 0, committed.text
    for name in hooking.HOOKS:
        assert re.search(rf"cas-llm {name}\.+Passed", committed.text), committed
    assert guarded.status == ""

    answer = next((guarded.path / "cache_store" / "objects").rglob("*.json"))
    answer.chmod(0o644)
    answer.write_bytes(answer.read_bytes().replace(b'"', b"'", 1))
    refused = _without_tree(guarded, "git", "commit", "-a", "-m", "An edit by hand")
    assert refused.code == 1
    assert re.search(r"cas-llm verify\.+Failed", refused.text), refused
    assert answer.name in refused.text


def test_this_tree_is_a_repository_of_hooks(guarded: Project, tmp_path: Path) -> None:
    """`pre-commit try-repo` builds it from source and starts what the manifest names."""
    source = tmp_path / "source"
    listed = subprocess.run(
        ["git", "-C", str(TREE), "ls-files", "-co", "--exclude-standard", "-z"],
        capture_output=True,
        check=True,
        encoding="utf-8",
    ).stdout
    for name in filter(None, listed.split("\0")):
        if name.startswith(("cas_llm", ".pre-commit", "README", "LICENSE", "pyproject")):
            place = source / name
            if (TREE / name).is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(TREE / name, place)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "The tree"]):
        subprocess.run(["git", "-C", str(source), *words], check=True)
    guarded.cas_llm("init", "--no-pre-commit")
    guarded.commit()
    started = time.perf_counter()
    tried = _without_tree(
        guarded,
        sys.executable,
        "-m",
        "pre_commit",
        "try-repo",
        str(source),
        "cas-llm-verify",
        "--all-files",
    )
    print(f"try-repo, from source: {time.perf_counter() - started:.1f} s")
    assert tried.code == 0, tried.text
    assert re.search(r"cas-llm verify\.+Passed", tried.stdout), tried
