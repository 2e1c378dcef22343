"""`cas-llm init` adds what is missing and keeps every byte that is there."""

from __future__ import annotations

import tomllib

import pytest

PYPROJECT = """\
# A comment that stays.
[project]
name = "bot"   # and this one
version = "1"

[build-system]
requires = ["{back_end}"]
build-backend = "{back_end}.build_meta"
"""


def test_a_bare_repository_gets_a_store(project) -> None:
    """The store explains itself, and the next command is named."""
    result = project.cas_llm("init")
    assert result.code == 0, result
    names = {path.name for path in (project.path / "cache_store").iterdir()}
    assert {"format", ".gitattributes", ".gitignore", "README.md"} <= names
    assert "pytest --cas-llm=fallback" in result.stdout
    assert project.git("status", "--short", "-uall").count("cache_store/") == 4


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_pyproject_keeps_every_byte(project, end: str) -> None:
    """The table is appended; all else stays byte for byte, line ends included."""
    before = PYPROJECT.format(back_end="hatchling").replace("\n", end).encode()
    project.file("pyproject.toml", before).cas_llm("init")
    after = (project.path / "pyproject.toml").read_bytes()
    assert after.startswith(before)
    assert (b"\r\n" in after) == (end == "\r\n")
    tool = tomllib.loads(after.decode())["tool"]
    assert tool["cas-llm"] == {}
    assert tool["hatch"]["build"]["targets"]["sdist"]["exclude"] == ["/cache_store"]


def test_a_file_without_a_last_line_end_is_closed_first(project) -> None:
    """Appending never joins two lines."""
    project.file("pyproject.toml", b'[project]\nname = "bot"').cas_llm("init")
    assert tomllib.loads(project.read("pyproject.toml"))["project"]["name"] == "bot"


def test_a_second_run_changes_nothing(project) -> None:
    """init is idempotent."""
    project.file("pyproject.toml", PYPROJECT.format(back_end="setuptools"))
    project.cas_llm("init")
    project.commit()
    result = project.cas_llm("init")
    assert result.code == 0
    assert project.status == ""
    assert "done" not in result.stdout


def test_a_dry_run_writes_nothing(project) -> None:
    """--dry-run says what would be done and does none of it."""
    project.file("pyproject.toml", PYPROJECT.format(back_end="setuptools")).commit()
    result = project.cas_llm("init", "--dry-run")
    assert "would do" in result.stdout
    assert project.status == ""


def test_setuptools_prunes_the_store(project) -> None:
    """MANIFEST.in gains one line and keeps those it has."""
    project.file("pyproject.toml", PYPROJECT.format(back_end="setuptools"))
    project.file("MANIFEST.in", "include LICENSE\n").cas_llm("init")
    assert project.read("MANIFEST.in") == "include LICENSE\nprune cache_store\n"


def test_poetry_excludes_the_store(project) -> None:
    """A poetry project without a table of its own gets one."""
    project.file("pyproject.toml", PYPROJECT.format(back_end="poetry.core")).cas_llm("init")
    tool = tomllib.loads(project.read("pyproject.toml"))["tool"]
    assert tool["poetry"]["exclude"] == ["cache_store/**"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('[tool.poetry]\nname = "x"\n', "[tool.poetry]"),
        ("[tool.hatch.build.targets.sdist]\nexclude = []\n", "[tool.hatch.build.targets.sdist]"),
    ],
)
def test_a_table_that_is_there_is_left_to_a_person(project, more: str, told: str) -> None:
    """Where a table would have to be edited, init names the line and edits nothing."""
    back_end = "poetry.core" if "poetry" in more else "hatchling"
    text = PYPROJECT.format(back_end=back_end) + more
    result = project.file("pyproject.toml", text).cas_llm("init")
    assert told in result.stdout
    assert "by hand" in result.stdout
    assert tomllib.loads(project.read("pyproject.toml"))["tool"]["cas-llm"] == {}


def test_a_fixer_that_rewrites_json_is_named(project) -> None:
    """The exact exclude line is told where a pre-commit hook would rewrite recordings."""
    project.file(".pre-commit-config.yaml", "repos:\n- hooks:\n  - id: pretty-format-json\n")
    assert "exclude: ^cache_store/" in project.cas_llm("init").stdout


def test_a_broken_pyproject_is_one_clear_error(project) -> None:
    """TOML that cannot be read is wrong usage, named with its file."""
    result = project.file("pyproject.toml", "[project\n").cas_llm("init")
    assert result.code == 2
    assert "pyproject.toml" in result.stderr
    assert "Traceback" not in result.text


def test_a_newer_store_is_left_alone(project) -> None:
    """A store of a later version is refused with the command to upgrade."""
    project.file("cache_store/format", "cas-llm/store/9\n")
    result = project.cas_llm("init")
    assert result.code == 1
    assert "pip install -U cas-llm" in result.stderr
