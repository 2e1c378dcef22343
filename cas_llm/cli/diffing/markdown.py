"""The page as Markdown, for a pull request or a job's summary: the rest folded, of a limited size.

Part of the command line; prints nothing. What was recorded stands in code alone, which no line of
it can end, so that it is no link, no mention and no HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cas_llm.cli.diffing.blocks import Block, blocks
from cas_llm.cli.diffing.page import Fold, Page
from cas_llm.drift.wording import Row
from cas_llm.session.github import code, one_line

COMMENT = 60_000
"""How many bytes a comment may have: GitHub's limit is 65,536 characters."""

SUMMARY = 1_000_000
"""How many bytes a job's summary may have: GitHub's limit is 1 MiB."""

_ROOM = 2_000
# Plain words cannot be Markdown, and a name of a host would become a link.
_PLAIN = re.compile(r"(?!.*(?:www\.|://))[A-Za-z0-9 ,.:;$%()'/+-]*\Z")
_BACKTICKS = re.compile(r"`+")


def markdown(page: Page, *, most: int, more: str, heading: str = "") -> str:
    """*page* in at most *most* bytes; *more* is the command that shows what is left out."""
    head = [f"### {heading or 'cas-llm diff'}", "", _plain(str(page.title)), ""]
    if page.is_empty:
        head += ["No recording differs.", ""]
    for why in page.why:
        head += [f"{why.heading} {code(why.path) if why.path else ''}".rstrip(), ""]
        if why.rows:
            head += [fence(why.rows), ""]
    for fact in page.facts:
        head += [" · ".join(map(_plain, fact)), ""]
    if page.first:
        head += ["**Look at first**", ""]
        head += [f"- {code(one.name)} {one.word} {code(one.told)}" for one in page.first]
        head += [f"- and {page.more:,} more as grave"] * bool(page.more) + [""]
    last = [line for text in page.last for line in (_told(text), "")]
    start, end = ("\n".join(lines) + "\n" for lines in (head, last))
    room = most - _size(start) - _size(end) - _ROOM
    return start + "".join(_folded(page.folds, room, more)) + end


def fence(rows: Iterable[Row]) -> str:
    """*rows* as a block of code that no row can end."""
    texts = [f"{one.sign} {one_line(one.text)}" for one in rows]
    longest = max((len(run) for text in texts for run in _BACKTICKS.findall(text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return "\n".join([f"{ticks}diff", *texts, ticks])


def _folded(folds: Iterable[Fold], room: int, more: str) -> Iterator[str]:
    """The folds, each diff whole or left out; what is left out is counted."""
    folds = tuple(folds)
    if folds:
        yield "Then:\n\n"
    for fold in folds:
        # The name of a class and a number: nobody's words but ours.
        parts = [f"<details><summary>{fold.title}</summary>\n\n"]
        left = 0
        for block in blocks(fold.changes):
            text = _block(block)
            if left or _size(text) > room:
                left += 1
                continue
            room -= _size(text)
            parts.append(text)
        if left:
            parts.append(f"and {left:,} more: {code(more)}\n\n")
        yield "".join([*parts, "</details>\n\n"])


def _block(block: Block) -> str:
    names = "\n".join(f"- {code(name)}" for name in block.listed)
    told = [
        " · ".join(map(_plain, block.note)),
        *([f"asked: {code(block.ask)}"] if block.ask else []),
    ]
    parts = [names, "  \n".join(told)]
    parts += [fence(block.rows)] if block.rows else []
    parts += [" · ".join(map(_plain, block.facts))] if block.facts else []
    return "\n\n".join(parts) + "\n\n"


def _told(text: str) -> str:
    """A line of ours in which a command stands in backticks, and maybe a test's name."""
    return text if re.fullmatch(r"[A-Za-z0-9 ,.`-]*", text) else code(text.replace("`", ""))


def _plain(text: str) -> str:
    return text if _PLAIN.match(text) else code(text)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))
