"""Short display lines: how a tape shows what was asked and what was answered.

Pure and total. The lines are derived data that `verify` computes again, so equal input must give
equal lines in every release: a change here changes tapes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from cas_llm.providers.reading import mapping, parse, string

WIDTH = 100
"""The longest line, in characters."""

HEIGHT = 12
"""The most lines one ask or answer takes."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n|\r|\n")

TOOL = "tool: "
"""What the lines of a tool's result begin with."""


def encodable(text: str) -> str:
    """*text* with U+FFFD for each lone surrogate, which UTF-8 can't say."""
    return _SURROGATES.sub("\ufffd", text)


def clean(text: str) -> str:
    """*text* on one line, without control characters: safe to print and to encode."""
    return encodable(_UNPRINTABLE.sub(" ", text))


def display(blocks: Iterable[str]) -> tuple[str, ...]:
    """At most `HEIGHT` lines of at most `WIDTH` characters that show all of *blocks*.

    A block that begins with `TOOL` has each of its lines marked so. Where lines are left out,
    the last line of the block says how many.
    """
    full = [block for block in blocks if block.strip()]
    if not full:
        return ()
    share = max(2, HEIGHT // len(full))
    shown = [line for block in full for line in _block(block, share)]
    return _cut(shown, HEIGHT)


def _block(block: str, limit: int) -> tuple[str, ...]:
    prefix = TOOL if block.startswith(TOOL) else ""
    raw = [line for line in _LINE_END.split(block[len(prefix) :]) if line.strip()]
    wrapped: list[str] = []
    for line in raw[:HEIGHT]:
        wrapped += _wrap(clean(line).strip(), WIDTH - len(prefix))
    wrapped += raw[HEIGHT:]
    return tuple(prefix + line for line in _cut(wrapped, limit))


def _cut(lines: Sequence[str], limit: int) -> tuple[str, ...]:
    if len(lines) <= limit:
        return tuple(lines)
    left_out = len(lines) - limit + 1
    return (*lines[: limit - 1], f"… {left_out} more lines")


def _wrap(text: str, width: int) -> list[str]:
    wrapped: list[str] = []
    start = 0
    while len(text) - start > width:
        space = text.rfind(" ", start + 1, start + width + 1)
        end = space if space > start else start + width
        wrapped.append(text[start:end].rstrip())
        start = end + 1 if end == space else end
    if start < len(text):
        wrapped.append(text[start:])
    return [line for line in wrapped if line]


def compact(value: Any) -> str:
    """*value* as JSON on one line; an ellipsis where JSON can't say it."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return "…"


def call(name: Any, arguments: Any) -> str:
    """A tool call as ``name(arg=value, …)``; *arguments* is an object or its JSON text.

    Always one line: a call longer than `WIDTH` is cut, with an ellipsis in its place.
    """
    value = parse(arguments) if isinstance(arguments, str) else arguments
    if isinstance(value, dict):
        inside = ", ".join(f"{key}={compact(item)}" for key, item in value.items())
    else:
        inside = arguments if isinstance(arguments, str) else compact(value) if value else ""
    text = clean(f"{string(name) or '?'}({inside})")
    return text if len(text) <= WIDTH else text[: WIDTH - 2] + "…)"


def tool_result(value: Any) -> str:
    """The block of a tool's result: text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else compact(value) if value is not None else ""
    return TOOL + text if text.strip() else TOOL + "(empty)"


def media(kind: str, *names: Any) -> str:
    """A stand-in for media: its *kind* and the first of *names* that is short and no data."""
    for name in names:
        text = string(name)
        if text and len(text) <= WIDTH and not text.startswith("data:"):
            return f"[{kind} {text}]"
    return f"[{kind}]"


def failure(message: Any) -> str:
    """What an error answer says, or an empty string for any other answer."""
    body = mapping(message)
    error = body.get("error")
    found = string(error) or string(mapping(error).get("message")) or string(body.get("detail"))
    if not found and "error" in {string(body.get("object")), string(body.get("type"))}:
        found = string(body.get("message"))
    return f"error: {found}" if found else ""
