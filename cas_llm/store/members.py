"""Members of a document that was read: of the type they must have, or refused.

Pure. A reader that lets a number pass for a text fails later and elsewhere, where nobody knows the
file any more.
"""

from __future__ import annotations

import re
from typing import Any

from cas_llm.digest import is_digest

_MOST = 2**53  # beyond, JSON's readers differ, and SQLite's integers end soon after
_EXTENSION = re.compile(r"[a-z0-9]{1,10}\Z")


def text(value: Any) -> str:
    """*value*, which must be a text; raises `ValueError` where it is none."""
    if type(value) is not str:
        raise ValueError(f"{value!r:.60} stands where a text must")
    return value


def count(value: Any) -> int:
    """*value*, which must be a whole number that is not negative; raises `ValueError`."""
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(f"{value!r:.60} stands where a count must")
    return value


def lines(value: Any) -> tuple[str, ...]:
    """*value*, which must be a list of texts; raises `ValueError` where it is none."""
    if type(value) is not list:
        raise ValueError(f"{value!r:.60} stands where a list of texts must")
    for item in value:
        if type(item) is not str:
            text(item)
    return tuple(value)


def digest(value: Any) -> str:
    """*value*, which must be 64 hex digits; raises `ValueError` where it is none."""
    if not is_digest(text(value)):
        raise ValueError(f"{value!r:.80} is not 64 hex digits")
    return str(value)


def extension(value: Any) -> str:
    """*value*, which must be what the name of a part's file may end in; raises `ValueError`."""
    if not _EXTENSION.match(text(value)):
        raise ValueError(f"{value!r:.60} is not the end of a part's file name")
    return str(value)
