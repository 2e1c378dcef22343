"""`cas-llm init` adds what is missing and keeps every byte that is there."""

from __future__ import annotations

import tomllib
from importlib.util import find_spec

import pytest

from cas_llm.cli.init import plan

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


@pytest.mark.parametrize("name", ["test_b.yaml", "test_b.toml"])
def test_cassettes_that_are_there_are_named_first(project, name: str) -> None:
    """Who comes from another tool is told to bring its recordings along before paying again."""
    project.file(f"tests/it/cassettes/test_a/{name}", "version: 1\n")
    lines = project.cas_llm("init", "--no-pre-commit").stdout.splitlines()
    (named,) = [line for line in lines if line.startswith("next: ")]
    assert named.split()[1:5] == ["cas-llm", "import", "tests/it/cassettes", "--dry-run"]


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


SETUPTOOLS = """\
[project]
name = "bot"
version = "1"

[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
"""

BUILD = """
    import setuptools
    from setuptools.dist import Distribution
    found = setuptools.Distribution()
    found.parse_config_files()
    found.set_defaults()
    print("packs", sorted(found.packages or ()), sorted(found.py_modules or ()))
"""


def slow(*values):
    """A case for the slow suite: each starts setuptools, which takes a second."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("files", "packs"),
    [
        (["mypkg/__init__.py", "tests/__init__.py", "run.py"], "packs ['mypkg'] []"),
        slow(["mypkg/__init__.py", "mypkg/deep/__init__.py"], "packs ['mypkg', 'mypkg.deep'] []"),
        slow(["main.py", "conftest.py"], "packs [] ['main']"),
        slow(["notes.txt"], "packs [] []"),
        slow(["src/mypkg/__init__.py"], "packs ['mypkg'] []"),
    ],
)
def test_setuptools_packs_the_same_as_before(project, files: list[str], packs: str) -> None:
    """A store beside the code is no package to setuptools, whatever the layout."""
    if find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed")
    project.file("pyproject.toml", SETUPTOOLS)
    for name in files:
        project.file(name, "")
    assert packs in project.python(BUILD).stdout
    project.cas_llm("init")
    project.file("cache_store/objects/ab/x.json", "{}")
    after = project.python(BUILD)
    assert packs in after.stdout, after
    assert "build:" not in project.cas_llm("doctor").stdout
    project.commit()
    project.cas_llm("init")
    assert project.status == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", SETUPTOOLS + '[tool.setuptools]\npackages = ["mypkg"]\n'),
        ("setup.cfg", "[options]\npackages = find:\n"),
        ("setup.py", 'from setuptools import setup\nsetup(packages=["mypkg"])\n'),
    ],
)
def test_packages_that_are_named_stay_as_they_are(project, name: str, text: str) -> None:
    """init adds nothing where the project says what it packs."""
    project.file("pyproject.toml", SETUPTOOLS).file(name, text).file("mypkg/__init__.py", "")
    project.cas_llm("init")
    assert "packages.find" not in project.read("pyproject.toml")


def test_a_setuptools_table_is_left_to_a_person(project) -> None:
    """The lines are named, doctor names them too, and the file keeps what it has."""
    text = SETUPTOOLS + "[tool.setuptools]\ninclude-package-data = true\n"
    project.file("pyproject.toml", text).file("mypkg/__init__.py", "")
    said = project.cas_llm("init").stdout
    assert 'add include = ["mypkg", "mypkg.*"] in [tool.setuptools.packages.find]' in said
    assert "packages.find" not in project.read("pyproject.toml")
    doctor = project.cas_llm("doctor")
    assert (doctor.code, "setuptools takes cache_store for a package" in doctor.stdout) == (1, True)


@pytest.mark.parametrize(
    ("back_end", "names", "pattern"),
    [
        ("flit_core.buildapi", ("flit", "sdist", "exclude"), "cache_store/"),
        ("pdm.backend", ("pdm", "build", "excludes"), "cache_store/**"),
        ("uv_build", ("uv", "build-backend", "source-exclude"), "/cache_store"),
    ],
)
def test_other_back_ends_leave_the_store_out(project, back_end, names, pattern: str) -> None:
    """A back end without a table gets one, once."""
    text = SETUPTOOLS.replace("setuptools.build_meta", back_end)
    project.file("pyproject.toml", text).cas_llm("init")
    found = tomllib.loads(project.read("pyproject.toml"))["tool"]
    for name in names:
        found = found[name]
    assert found == [pattern]
    project.commit()
    project.cas_llm("init")
    assert project.status == ""


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    "tables",
    ["[tool]\nhatch = {}\ncas = 1\n", "tool = {black = {}}\n", "tool.hatch.build = {}\n"],
)
def test_a_pyproject_is_never_left_as_invalid_toml(project, tables: str, flags) -> None:
    """Where a table cannot be added at the end of the file, its lines are named instead."""
    text = tables + PYPROJECT.format(back_end="hatchling")
    result = project.file("pyproject.toml", text).cas_llm("init", *flags)
    assert result.code == 0, result
    assert "add it where it fits: [tool.hatch.build.targets.sdist]; exclude" in result.stdout
    tomllib.loads(project.read("pyproject.toml"))
    assert ("would do" in result.stdout) == bool(flags)


def test_a_stores_name_is_quoted(project) -> None:
    """A place with a quote in its name is written so that it reads back."""
    project.file("pyproject.toml", SETUPTOOLS).cas_llm("init", "--store", 'a "b"')
    table = tomllib.loads(project.read("pyproject.toml"))["tool"]["cas-llm"]
    assert table["store"] == 'a "b"'


def test_a_store_above_the_project_is_named_from_there(project) -> None:
    """What init writes into pyproject.toml holds in every clone, wherever that lies."""
    project.file("search/pyproject.toml", '[project]\nname = "search"\n')
    steps = plan(project.path / "search", project.path / "cache_store", hooks=False)
    (table,) = (step for step in steps if step.path.name == "pyproject.toml")
    assert tomllib.loads(table.text)["tool"]["cas-llm"] == {"store": "../cache_store"}
