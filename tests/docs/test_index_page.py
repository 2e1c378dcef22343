"""The first page names every command there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cas_llm.cli import COMMANDS, main

PAGE = (Path(__file__).resolve().parents[2] / "docs/index.md").read_text("utf-8")


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
