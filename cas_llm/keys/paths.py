"""JSON paths: ``$.a.b[0]["odd name"].c``, ``[*]`` for each item or member.

Pure. A path goes on into a string that holds a JSON object or list, as tool results and tool
arguments do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from cas_llm.errors import ConfigError
from cas_llm.keys.canonical import NotCanonical, parse

EACH: Final = "[*]"
"""The step that stands for every item or member."""

DROP: Final = object()
"""What a change returns to take the value out."""

Step = tuple[str, str | int]
Steps = tuple[Step, ...]

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]"'\s]+)|\[(?P<index>\d+)\]|(?P<each>\[\*\])|\[(?P<quoted>"[^"]+"|'[^']+')\]"""
)
_NAME = re.compile(r"[A-Za-z_][\w-]*\Z")


def steps_of(path: str) -> Steps:
    """The steps of *path*, each a kind (``name``, ``index`` or ``each``) and its value.

    Raises:
        ConfigError: not a path; shows what one looks like.

    """
    steps: list[Step] = []
    at = 1
    while path.startswith("$") and at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            break
        if found["index"] is not None:
            steps.append(("index", int(found["index"])))
        elif found["each"] or found["name"] == "*":
            steps.append(("each", EACH))
        else:
            steps.append(("name", found["name"] or found["quoted"][1:-1]))
        at = found.end()
    if not path.startswith("$") or at < len(path):
        raise ConfigError(
            f"{path!r} is not a JSON path: it can't be read from {path[at - 1 :]!r} on; "
            "write one like $.messages[*].content"
        )
    return tuple(steps)


def member(path: str, name: str) -> str:
    """The path of member *name* of the object at *path*."""
    return f"{path}.{name}" if _NAME.match(name) else f"{path}[{json.dumps(name)}]"


def inner(text: str) -> Any:
    """The object or list that *text* holds as JSON; None for any other text."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return parse(text.encode())
    except (NotCanonical, UnicodeEncodeError):
        return None


def edit(value: Any, steps: Steps, change: Callable[[Any], Any]) -> Any:
    """*value* with everything at *steps* changed; the same object where nothing was.

    A string whose JSON was changed inside is written compactly again.
    """
    if not steps:
        return change(value)
    if isinstance(value, str):
        old = inner(value)
        new = value if old is None else edit(old, steps, change)
        if old is None or new is old:
            return value
        return json.dumps(new, ensure_ascii=False, separators=(",", ":"))
    (kind, step), rest = steps[0], steps[1:]
    if isinstance(value, dict) and kind != "index":
        return _edit_members(value, None if kind == "each" else str(step), rest, change)
    if isinstance(value, list) and kind != "name":
        return _edit_items(value, None if kind == "each" else int(step), rest, change)
    return value


def _edit_members(
    value: dict[str, Any], only: str | None, rest: Steps, change: Callable[[Any], Any]
) -> Any:
    members = dict(value)
    for name in list(value) if only is None else [only]:
        if name in value:
            members[name] = edit(value[name], rest, change)
            if members[name] is DROP:
                del members[name]
    same = len(members) == len(value) and all(members[n] is value[n] for n in members)
    return value if same else members


def _edit_items(
    value: list[Any], only: int | None, rest: Steps, change: Callable[[Any], Any]
) -> Any:
    items = [
        edit(item, rest, change) if only is None or only == index else item
        for index, item in enumerate(value)
    ]
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    return [item for item in items if item is not DROP]


def strings(value: Any, change: Callable[[str], str]) -> Any:
    """*value* with *change* applied to every string in it; names stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [strings(item, change) for item in value]
    if isinstance(value, dict):
        return {name: strings(item, change) for name, item in value.items()}
    return value
