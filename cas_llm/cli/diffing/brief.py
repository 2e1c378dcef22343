"""One change in a line: what it was and what it is now, cut to what differs.

Part of the command line; prints nothing.
"""

from __future__ import annotations

from itertools import zip_longest

from cas_llm.drift.calls import ToolCall
from cas_llm.drift.changes import GONE, NEW, Change
from cas_llm.drift.classes import (
    CUT_OFF,
    ERROR,
    MODEL,
    REFUSAL,
    SCHEMA,
    TOOL_CALL,
    VALUE,
    differing,
    where,
)
from cas_llm.drift.said import Said
from cas_llm.keys import short, shorten_pair

_LIMIT = 48


def told(change: Change) -> str:
    """*change* in a line; of one side alone what it says."""
    old, new = change.before, change.after
    if change.drift in {NEW, GONE} or old is None or new is None:
        one = new or old
        return _quoted(_says(one)) if one else "cannot be read"
    tellers = {ERROR: _statuses, TOOL_CALL: _calls, REFUSAL: _declining, MODEL: _models}
    tellers |= {SCHEMA: _structures, VALUE: _structures, CUT_OFF: _endings}
    return tellers.get(change.drift, _words)(old, new)


def _statuses(old: Said, new: Said) -> str:
    return f"status {old.status} -> {new.status}  {_quoted(_says(new))}"


def _calls(old: Said, new: Said) -> str:
    """The first call that differs, on both sides; how many more do."""
    pairs = list(zip_longest(old.calls, new.calls))
    differ = [(a, b) for a, b in pairs if not (a and b) or a.identity != b.identity]
    before, after = differ[0]
    more = f"  and {len(differ) - 1} more" if len(differ) > 1 else ""
    return f"{_call(before, after, old)} -> {_call(after, before, new)}{more}"


def _call(mine: ToolCall | None, other: ToolCall | None, said: Said) -> str:
    if mine is not None:
        return mine.beside(other if other and other.name == mine.name else None)
    if not said.text.strip() or said.calls:
        return "(none)"
    return "(none; asks back)" if said.text.rstrip().endswith("?") else "(none; answers in words)"


def _declining(old: Said, new: Said) -> str:
    before = "declined" if old.declines else _quoted(_says(old))
    after = f"declines: {_quoted(_says(new))}" if new.declines else _quoted(_says(new))
    return f"{before} -> {after}"


def _models(old: Said, new: Said) -> str:
    return f"{old.model} -> {new.model or '(not said)'}"


def _structures(old: Said, new: Said) -> str:
    differ = differing(old, new)
    if not differ:
        return _words(old, new)
    more = f"  and {len(differ) - 1} more" if len(differ) > 1 else ""
    return f"{where(differ[0])}{more}"


def _endings(old: Said, new: Said) -> str:
    before, after = (said.finish or "incomplete" for said in (old, new))
    return f"ended by {before} -> {after}"


def _words(old: Said, new: Said) -> str:
    before, after = shorten_pair(_says(old), _says(new), _LIMIT)
    return f'"{before}" -> "{after}"'


def _says(said: Said) -> str:
    text = said.refusal or said.words or " ".join(map(str, said.calls)) or "(nothing)"
    return " ".join(text.split())


def _quoted(text: str) -> str:
    return f'"{short(text, _LIMIT)}"'
