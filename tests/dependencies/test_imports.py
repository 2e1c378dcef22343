"""What a file's text says it imports, and which files that may be."""

import pytest

from cas_llm.dependencies.imports import imports_of
from cas_llm.dependencies.places import Roots, conftests_of, is_own, packages_of

FILES = {
    *("app/__init__.py", "app/bot.py", "app/deep/__init__.py", "app/deep/words.py"),
    *("src/shop/__init__.py", "src/shop/menu.py", "space/inner/name.py", "tests/conftest.py"),
    *("conftest.py", "tests/unit/conftest.py", "tests/unit/test_a.py", "tests/helper.py"),
}


def files(source, importer="tests/unit/test_a.py", roots=(".", "src", "tests")):
    text = imports_of(source.encode())
    return set(Roots(roots).files(importer, (*text.names, *text.hints), FILES.__contains__))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import app.bot", {"app/__init__.py", "app/bot.py"}),
        ("import app.bot as b, os", {"app/__init__.py", "app/bot.py"}),
        ("from app import bot", {"app/__init__.py", "app/bot.py"}),
        ("from app import something", {"app/__init__.py"}),
        ("from app.deep import *", {"app/__init__.py", "app/deep/__init__.py"}),
        ("def f():\n    import shop.menu", {"src/shop/__init__.py", "src/shop/menu.py"}),
        ("try:\n    import shop\nexcept ImportError:\n    pass", {"src/shop/__init__.py"}),
        ("if TYPE_CHECKING:\n    import shop", {"src/shop/__init__.py"}),
        ("import space.inner.name", {"space/inner/name.py"}),
        ("from space.inner import name", {"space/inner/name.py"}),
        ("import helper", {"tests/helper.py"}),
        ("import importlib\nimportlib.import_module('app.bot')", {"app/__init__.py", "app/bot.py"}),
        ("__import__('app')", {"app/__init__.py"}),
        ("pytest.importorskip(modname='app')", {"app/__init__.py"}),
        ("pytest_plugins = ['app.bot']", {"app/__init__.py", "app/bot.py"}),
        ("pytest_plugins = 'helper'", {"tests/helper.py"}),
        ("patch('app.bot.ask')", {"app/__init__.py", "app/bot.py"}),
        ("ENTRY = 'app.bot:main'", {"app/__init__.py", "app/bot.py"}),
        ("import os, json", set()),
        ("x = 'no.such.module'", set()),
    ],
)
def test_every_way_to_import_is_seen(source, found):
    """Wherever the statement stands; a name that may be several things is all of them."""
    assert files(source) == found


@pytest.mark.parametrize(
    ("source", "importer", "found"),
    [
        ("from . import bot", "app/other.py", {"app/__init__.py", "app/bot.py"}),
        (
            "from .deep import words",
            "app/bot.py",
            {"app/__init__.py", "app/deep/__init__.py", "app/deep/words.py"},
        ),
        ("from ..bot import ask", "app/deep/words.py", {"app/__init__.py", "app/bot.py"}),
        ("from .. import bot", "app/deep/__init__.py", {"app/__init__.py", "app/bot.py"}),
        ("import_module('.bot', __package__)", "app/other.py", {"app/__init__.py", "app/bot.py"}),
        ("from ..... import bot", "app/other.py", set()),
    ],
)
def test_relative_imports_start_at_the_importer(source, importer, found):
    """By as many folders as there are dots; too many lead nowhere."""
    assert files(source, importer) == found


@pytest.mark.parametrize(
    "source",
    [
        "import_module(name)",
        "importlib.import_module('a' + b)",
        "__import__(name)",
        "runpy.run_path('x.py')",
        "spec_from_file_location('x', 'x.py')",
        "pkgutil.iter_modules(path)",
        "exec(text)",
        "def broken(:",
        "\0",
    ],
)
def test_what_cannot_be_known_is_said(source):
    """A name made at run time, and a text that is no Python."""
    assert imports_of(source.encode()).dynamic


def test_plain_files_are_not_dynamic():
    """Nor is one without a line."""
    assert not imports_of(b"import os\nos.listdir('.')\n").dynamic
    assert imports_of(b"") == imports_of(b"# nothing\n")


def test_a_module_stands_in_packages():
    """Which run before it, up to the first folder that is none."""
    assert packages_of("app/deep/words.py", FILES.__contains__) == [
        "app/deep/__init__.py",
        "app/__init__.py",
    ]
    assert packages_of("app/deep/__init__.py", FILES.__contains__) == ["app/__init__.py"]
    assert packages_of("space/inner/name.py", FILES.__contains__) == []


def test_every_conftest_above_holds():
    """The nearest first."""
    assert conftests_of("tests/unit/test_a.py", FILES.__contains__) == [
        "tests/unit/conftest.py",
        "tests/conftest.py",
        "conftest.py",
    ]
    assert conftests_of("tests/conftest.py", FILES.__contains__) == ["conftest.py"]


@pytest.mark.parametrize("path", [".venv/lib/x.py", "a/node_modules/b.js", "x/__pycache__/y.pyc"])
def test_some_folders_are_not_the_projects_own(path):
    """Whatever lies in them."""
    assert not is_own(path)
    assert is_own(path.replace("/", "-"))
