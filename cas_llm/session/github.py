"""Text for GitHub Actions: workflow commands and Markdown that untrusted text cannot break out of.

Prompts, answers and test names come from whoever opened the pull request. Pure: prints nothing.
"""

from __future__ import annotations

import re
import unicodedata

_RUNS = re.compile(r"`+")
_BREAKS = {"\n": "⏎", "\r": "⏎", "\t": " ", "\u2028": "⏎", "\u2029": "⏎", "\x85": "⏎"}


def command(name: str, message: str, **properties: object) -> str:
    """The workflow command *name*; a property that is empty is left out."""
    listed = ",".join(
        f"{word}={_property(str(value))}" for word, value in properties.items() if value
    )
    return f"::{name}{' ' if listed else ''}{listed}::{_data(message)}"


def one_line(text: str) -> str:
    """*text* without anything that breaks, hides or reorders a line; what does is shown instead."""
    return "".join(_BREAKS.get(sign) or _visible(sign) for sign in text)


def code(text: str) -> str:
    """*text* as a code span: no link, no mention, no HTML, whatever stands in it."""
    line = one_line(text).strip() or "(empty)"
    fence = "`" * (1 + max((len(run) for run in _RUNS.findall(line)), default=0))
    # Of the spaces beside a fence one is taken away again.
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def fenced(text: str) -> str:
    """*text*, of several lines, as a block that no line of it can end."""
    lines = [one_line(line) for line in text.split("\n")]
    longest = max((len(run) for run in _RUNS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}text", *lines, fence])


def _visible(sign: str) -> str:
    if unicodedata.category(sign) in {"Cc", "Cf", "Cs"}:
        return f"\\u{ord(sign):04x}"
    return sign


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
