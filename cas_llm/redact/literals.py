"""Where the strings and numbers of a JSON text stand, with their paths; nothing is decoded.

Editing a literal in place leaves every other byte of the text alone, which parsing and writing
back would not. The text must be valid JSON; on other text the answers mean nothing, but no
function raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Path = tuple[str | int, ...]

# A string that never ends is one to the end of the text: tried anew from each of its quotes, what
# is no JSON would take for ever.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[{}\[\]:,]|[^\s"{}\[\]:,]+', re.DOTALL)
_UNIT = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u.{4}|\\.|.", re.DOTALL
)
_PLAIN_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*\Z")


@dataclass(frozen=True, slots=True)
class Literal:
    """One value or name: `text[start:end]` without quotes; `role` says which sort."""

    path: Path
    start: int
    end: int
    role: str  # "string", "name", "scalar" or "array"


def literals(text: str) -> Iterator[Literal]:
    """Every string, member name, scalar and array of the JSON *text*; arrays when they end."""
    path: list[str | int] = []
    opened: list[int] = []  # offsets of "[", or -1 for "{"
    naming = False
    for token in _TOKEN.finditer(text):
        start, end = token.span()
        match text[start]:
            case "{":
                opened.append(-1)
                path.append("")
                naming = True
            case "[":
                opened.append(start)
                path.append(0)
                naming = False
            case "}" | "]":
                if not opened:
                    return
                began = opened.pop()
                path.pop()
                naming = False
                if began >= 0:
                    yield Literal(tuple(path), began, end, "array")
            case ",":
                naming = bool(opened) and opened[-1] < 0
                if path and isinstance(path[-1], int):
                    path[-1] += 1
            case ":":
                naming = False
            case '"' if naming:
                path[-1] = text[start + 1 : end - 1]
                yield Literal(tuple(path), start + 1, end - 1, "name")
            case '"':
                yield Literal(tuple(path), start + 1, end - 1, "string")
            case _:
                yield Literal(tuple(path), start, end, "scalar")


def offsets(raw: str) -> list[int]:
    """Where each character that the inside *raw* of a literal stands for starts; and the end."""
    if "\\" not in raw:
        return list(range(len(raw) + 1))
    return [unit.start() for unit in _UNIT.finditer(raw)] + [len(raw)]


def spell_path(path: Path) -> str:
    """The *path* as people write it: `$.choices[0].message.content`."""
    return "$" + "".join(
        f"[{step}]"
        if isinstance(step, int)
        else f".{step}"
        if _PLAIN_NAME.match(step)
        else f'["{step}"]'
        for step in path
    )


def paths_at(text: str, places: Iterable[int]) -> list[str]:
    """The path of the literal of the JSON *text* that holds each of *places*, else `$`.

    *places* are in ascending order; one pass serves them all.
    """
    found: list[str] = []
    single = (literal for literal in literals(text) if literal.role != "array")
    here = next(single, None)
    for place in places:
        while here is not None and here.end < place:
            here = next(single, None)
        held = here is not None and here.start <= place
        found.append(spell_path(here.path) if here is not None and held else "$")
    return found
