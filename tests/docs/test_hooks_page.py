"""The page on the git hooks names all there is, and nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from cas_llm.config.options import HOOKS, STALE
from cas_llm.guard.codes import CODES
from cas_llm.hook import NAMES

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/hooks.md").read_text("utf-8")


def test_every_code_is_on_the_page_with_its_meaning():
    """The table is the code's own, row by row."""
    rows = re.findall(r"^\| `(CAS\d+)` \| (\w+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert {code: (severity, meaning) for code, severity, meaning in rows} == CODES


def test_every_hook_is_on_the_page():
    """By the name pre-commit knows it under."""
    assert set(re.findall(r"^\| `cas-llm-(\w+)` ", PAGE, re.MULTILINE)) == set(NAMES)


def test_the_settings_shown_are_those_there_are():
    """Each can be read, and none is left out."""
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    tables = [
        tomllib.loads(re.sub(r"^# (?=\w+ = )", "", block, flags=re.MULTILINE)) for block in blocks
    ]
    shown = {name: table for one in tables for name, table in one["tool"]["cas-llm"].items()}
    assert shown["hooks"].keys() == HOOKS.keys()
    assert shown["stale"].keys() == STALE.keys()
    for readers, name in ((HOOKS, "hooks"), (STALE, "stale")):
        for member, value in shown[name].items():
            readers[member](value)
