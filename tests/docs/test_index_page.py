"""The first pages name every command there is and every promise's tests, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cas_llm.cli import COMMANDS, main

TREE = Path(__file__).resolve().parents[2]
PAGE = (TREE / "docs/how-to/index.md").read_text("utf-8")
FRONT = (TREE / "docs/index.md").read_text("utf-8")


def test_every_command_is_on_the_page_and_no_other():
    """Whoever meets a case finds the word to type."""
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| "))
    assert set(re.findall(r"\bcas-llm ([a-z]+)", rows)) == COMMANDS.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_prints_json(command, capsys):
    """As the page says."""
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_every_promise_names_tests_that_are_there():
    """Seven promises, each with the files that hold it."""
    promises = re.findall(r"^\d\. \*\*.+?(?=^\d\. |^What cannot)", FRONT, re.MULTILINE | re.DOTALL)
    assert len(promises) == 7
    for promise in promises:
        named = re.findall(r"`(tests/[\w/.]+)`", promise)
        assert named, promise
        assert [name for name in named if not (TREE / name).is_file()] == []
