"""What builds the pages: tables taken from the code, spelling, scripts of other people."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest
from support.projects import TREE

from cas_llm.cli import COMMANDS

BUILD = TREE / "docs" / "_build"


@pytest.fixture(scope="module")
def build():
    """A module that builds the pages, by its name."""
    sys.path.insert(0, str(BUILD))
    before = set(sys.modules)
    yield import_module
    sys.path.remove(str(BUILD))
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(BUILD)):
            del sys.modules[name]


def test_the_pages_say_what_the_code_says(build):
    """After a change of a command, an option, a setting or a code:  make reference."""
    stale = build("reference").stale_pages()
    assert [page.name for page in stale] == [], "write them anew with:  make reference"


def test_every_table_is_on_a_page(build):
    """Nothing is taken from the code that no reader sees."""
    text = "".join(page.read_text("utf-8") for page in (TREE / "docs").rglob("*.md"))
    sections = build("reference").SECTIONS
    assert [name for name in sections if f"<!-- from the code: {name} -->" not in text] == []


def test_a_page_keeps_what_stands_between_two_tables(build):
    """Only what lies between the comments is written; an empty section is filled."""
    begin, end = "<!-- from the code: exit-codes -->", "<!-- end -->"
    page = f"a\n{begin}\n{end}\nb\n{begin}\nold\n{end}\nc\n"
    new = build("reference").renewed(page)
    table = build("reference").SECTIONS["exit-codes"]()
    assert new == f"a\n{begin}\n\n{table}\n\n{end}\nb\n{begin}\n\n{table}\n\n{end}\nc\n"


def test_help_is_shown_as_it_was_written(build):
    """Stars and underscores don't become slopes; a bar neither ends a cell nor grows a backslash."""
    switch = build("commands").Switch(("--map",), "A|B", "'a_*.yaml|b*'", "none", optional=True)
    assert switch.row == (r"| `--map` <code>A&#124;B</code> | 'a\_\*.yaml&#124;b\*' | none |")


@pytest.mark.parametrize(
    ("name", "usage"), [("rerecord", "[KEY|TEST|FILE|FOLDER]..."), ("report", "FILE...")]
)
def test_what_may_be_given_several_times_is_told_once(build, name, usage):
    """In the brackets and dots of ``--help`` itself."""
    assert f"cas-llm {name} [OPTIONS] {usage}" in list(build("commands")._command(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_on_its_page(build, name, capsys):
    """By the words of ``--help`` itself, which another program writes."""
    import re

    from cas_llm.cli import main

    with pytest.raises(SystemExit):
        main([name, "--help"])
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    section = "\n".join(build("commands")._command(name))
    assert [flag for flag in said if f"{flag}" not in section] == []


def test_the_spelling_is_british(build):
    """In prose; code is spelt as it is."""
    spelling = build("spelling")
    found = {
        page.name: list(spelling.american(page.read_text("utf-8"))) for page in spelling.pages()
    }
    assert {page: words for page, words in found.items() if words} == {}


def test_american_spelling_is_found_outside_code_only(build):
    """Line by line; names between backticks or in a block are left alone."""
    text = "It is normalized.\n`normalize`\n```python\ncolor = 1\n```\nthe behavior\nthe size\n"
    assert list(build("spelling").american(text)) == [(1, "normalized"), (6, "behavior")]


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example.com/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.com/css">',
        '<link href="https://fonts.example.com" rel="preconnect">',
        '<img alt="x" src="http://example.com/x.png">',
        "@font-face { src: url('https://example.com/f.woff2') }",
        '@import "https://example.com/x.css";',
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(build, text):
    """Scripts, styles, fonts, pictures, with and without a scheme."""
    assert len(build("foreign").foreign(text)) == 1


def test_a_link_to_elsewhere_is_no_load(build):
    """Readers may follow it; nothing does so by itself."""
    text = '<a href="https://example.com">x</a><link rel="canonical" href="https://example.com">'
    assert build("foreign").foreign(text) == []


def test_scripts_of_others_are_pinned_by_digest(build, tmp_path):
    """Another archive than the one that was looked at is refused."""
    packages = build("packages")
    archive = tmp_path / "x.tgz"
    archive.write_bytes(b"another")
    with pytest.raises(packages.Missing, match="has the digest"):
        packages._unpack(archive, "A" * 86 + "==", tmp_path)
    assert all(len(digest) == 88 for _, digest in packages.PACKAGES.values())


def test_without_npm_the_reason_is_told(build, tmp_path, monkeypatch):
    """The site is then built without drawn diagrams, and a line says why."""
    packages = build("packages")
    monkeypatch.setattr(packages, "PLACE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(packages.Missing, match="npm, which is not installed"):
        packages.package("mermaid")
