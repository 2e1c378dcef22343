"""A pytest that is started for some tests runs these and no others, whatever stands in between."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.inner import Inner
from support.projects import Project
from support.provider import ScriptedProvider

from cas_llm.rerecord import testing
from cas_llm.rerecord.project import folder_of
from cas_llm.rerecord.testing import FAILED, MISSING, Batch, Running, left_in

TESTS = """
def test_a():
    assert ask("a")

def test_b():
    assert ask("b")
"""


def ended(folder: Path, code: int, *lines: object, printed: str = "") -> Running:
    """A pytest that wrote *lines* and is over."""
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "results.jsonl").write_text(text)
    (folder / "output.txt").write_text(printed)
    words = [sys.executable, "-c", f"raise SystemExit({code})"]
    process = subprocess.Popen(words)
    process.wait()
    batch = Batch(("t.py::test_a",), "capture", folder, 1.0)
    running = Running(batch, process, folder)
    assert len([*running.news()]) == len(lines)
    return running


def test_a_python_without_cas_llm_is_no_missing_test(tmp_path: Path) -> None:
    """It ends with 1, as a pytest with a failing test does; it has begun no run."""
    said = "ModuleNotFoundError: No module named 'cas_llm'"
    (one,) = ended(tmp_path / "a", 1, printed=said).outcomes()
    assert (one.outcome, said in one.text) == (FAILED, True)
    (one,) = ended(tmp_path / "b", 5, {"run": "0a", "folder": "x"}).outcomes()
    assert (one.outcome, one.text) == (MISSING, "pytest finds no such test")


def test_a_test_that_an_option_leaves_out_says_so(tmp_path: Path) -> None:
    """It is there, and the settings of pytest are in the way."""
    lines = ({"run": "0a", "folder": "x"}, {"left_out": "t.py::test_a"})
    (one,) = ended(tmp_path / "a", 5, *lines).outcomes()
    assert one.outcome == MISSING
    assert "-k" in one.text


def test_only_what_a_test_came_to_in_the_end_counts(tmp_path: Path) -> None:
    """A rerun that failed after all has not passed; and no folder but a bench is ever removed."""
    told = [("a", "passed"), ("b", "passed"), ("a", "failed")]
    lines = [json.dumps({"test": f"t.py::test_{name}", "outcome": how}) for name, how in told]
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "results.jsonl").write_text("\n".join(lines))
    assert left_in(tmp_path) == ([], {"t.py::test_b"})
    assert tmp_path.is_dir()
    bench = tmp_path / f"{testing._PREFIX}x"
    bench.mkdir()
    left_in(bench)
    assert not bench.exists()


def test_tests_are_found_below_the_repositorys_top(tmp_path: Path) -> None:
    """A pytest.ini in a folder makes it the one that its tests are named from."""
    project = Project(tmp_path).file("sub/test_s.py", "").file("pyproject.toml", "")
    store = project.path / "cache_store"
    assert folder_of(store, project.path, ["test_s.py::test_s"]) == project.path / "sub"
    assert folder_of(store, project.path, ["gone.py::test_s"]) == project.path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the script is a shell's")
def test_a_script_that_starts_python_changes_nothing(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    """Under uv run the process above pytest is not the one that wants the tests."""
    inner = Inner(Project(tmp_path), provider)
    inner.tests(TESTS)
    inner.run("--cas-llm=capture", passed=2)
    script = tmp_path / "python.sh"
    script.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    script.chmod(0o755)
    provider.clear()
    result = inner.project.cas_llm("rerecord", "test_a", "--apply", "--python", str(script))
    assert result.code == 0, str(result)
    assert provider.count == 1
