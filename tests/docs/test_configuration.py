"""The configuration page and the table in the code say the same."""

from pathlib import Path

import pytest

from cas_llm.config import OPTIONS
from cas_llm.modes import SPELLINGS

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_setting_is_on_the_page_with_its_explanation(option):
    """A setting added, renamed or explained anew is added, renamed or explained there."""
    assert f"| `{option.name}` | {option.help} |" in PAGE


def test_the_page_names_no_other_setting():
    """A row for each setting and no more."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == len(OPTIONS)


def test_every_spelling_of_a_mode_is_on_the_page():
    """What other tools call the modes is accepted, and said."""
    assert [word for word in SPELLINGS if f"`{word}`" not in PAGE and word not in PAGE] == []
