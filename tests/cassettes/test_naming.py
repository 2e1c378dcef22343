"""Which test a cassette belongs to."""

import sys
from pathlib import Path

import pytest
from support.cassettes import write

from cas_llm.cassettes.naming import Mapped, Naming
from cas_llm.cassettes.suite import Suite, root_of
from cas_llm.errors import ConfigError
from cas_llm.session.sources import source_digest

MODULE = b"""
import pytest

def test_plain(): pass

@pytest.mark.parametrize("model", ["openai:gpt-4o", "b"])
@pytest.mark.vcr
def test_many(model): pass

class TestChat:
    async def test_in(self): pass
    class TestDeep:
        def test_deeper(self): pass

class Base:
    def test_shared(self): pass

class TestSub(Base):
    pass

@pytest.mark.vcr("named.yaml")
def test_marked(): pass

def test_opens():
    with use_cassette("fixtures/vcr/opened.yaml"): pass
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "pyproject.toml", b"[tool.pytest.ini_options]\n")
    write(tmp_path / "tests/test_bot.py", MODULE)
    write(tmp_path / "tests/deep/test_bot.py", b"def test_plain(): return 1\n")
    return tmp_path


def owner(root: Path, name: str, *mapped: str):
    return Naming(Suite(root), [Mapped.parse(one) for one in mapped]).owner(root / name)


@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("tests/cassettes/test_bot/test_plain.yaml", "tests/test_bot.py::test_plain"),
        ("tests/deep/cassettes/test_bot/test_plain.yaml", "tests/deep/test_bot.py::test_plain"),
        ("tests/cassettes/test_bot/TestChat.test_in.yaml.gz", "tests/test_bot.py::TestChat::test_in"),
        (
            "tests/cassettes/test_bot/TestDeep.test_deeper.yaml",
            "tests/test_bot.py::TestChat::TestDeep::test_deeper",
        ),
        ("tests/cassettes/test_bot/TestSub.test_shared.yaml", "tests/test_bot.py::TestSub::test_shared"),
        (
            "tests/cassettes/test_bot/test_many[openai-gpt-4o].yaml",
            "tests/test_bot.py::test_many[openai:gpt-4o]",
        ),
        ("tests/cassettes/test_many[b].json", "tests/test_bot.py::test_many[b]"),
        ("tests/cassettes/TestChat.test_in.yml", "tests/test_bot.py::TestChat::test_in"),
        ("tests/cassettes/test_bot/named.yaml", "tests/test_bot.py::test_marked"),
        ("fixtures/vcr/opened.yaml", "tests/test_bot.py::test_opens"),
        ("fixtures/vcr/test_opens.yaml", "tests/test_bot.py::test_opens"),
    ],
)  # fmt: skip
def test_a_cassettes_place_and_name_tell_its_test(root, name, test):
    """Every common layout leads to the one test that exists and fits."""
    found = owner(root, name)
    assert (found.scope, found.is_test) == (test, True)
    assert len(found.source) == 64


@pytest.mark.parametrize(
    "name",
    [
        "tests/cassettes/test_bot/test_gone.yaml",
        "tests/cassettes/test_gone/test_marked.yaml",
        "elsewhere/test_bot/test_plain.yaml",
    ],
)
def test_what_fits_no_test_or_two_stays_without_one(root, name):
    """A deleted test, a deleted module and a name that two modules have are no guess."""
    found = owner(root, name)
    assert not found.is_test
    assert found.scope == f"use::{name.removesuffix('.yaml')}"


def test_a_mapping_goes_first_and_must_name_a_test(root):
    """A pattern's stars stand for the test's, and a test that is not there is an error."""
    rule = "elsewhere/*/test_*.yaml=tests/deep/*.py::test_*"
    assert owner(root, "elsewhere/test_bot/test_plain.yaml", rule).scope == (
        "tests/deep/test_bot.py::test_plain"
    )
    with pytest.raises(ConfigError, match="there is no test tests/deep/test_bot.py::test_no"):
        owner(root, "elsewhere/test_bot/test_no.yaml", rule)
    for bad in ("x", "x=y", "=tests/a.py::b"):
        with pytest.raises(ConfigError, match="PATTERN=TEST"):
            Mapped.parse(bad)


def test_the_source_is_the_one_that_the_plugin_computes(root, monkeypatch):
    """The digest is that of the function's own text from its first decorator on."""
    monkeypatch.syspath_prepend(str(root / "tests"))
    monkeypatch.delitem(sys.modules, "test_bot", raising=False)
    namespace: dict = {}
    path = root / "tests/test_bot.py"
    exec(
        compile(
            MODULE.replace(b'with use_cassette("fixtures/vcr/opened.yaml"): pass', b"pass"),
            str(path),
            "exec",
        ),
        namespace,
    )
    code = namespace["test_many"].__code__
    digest = source_digest(str(path), code.co_firstlineno)
    assert owner(root, "tests/cassettes/test_bot/test_many[b].yaml").source == digest


def test_ids_are_relative_to_pytests_own_root(tmp_path):
    """The nearest ini file that is pytest's decides, then a pyproject, then the folder itself."""
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    write(tmp_path / "a/pyproject.toml", b"[project]\n")
    assert root_of(inner) == tmp_path / "a"
    write(tmp_path / "setup.cfg", b"[tool:pytest]\n")
    assert root_of(inner) == tmp_path
    write(inner / "pytest.ini", b"")
    assert root_of(inner) == inner
