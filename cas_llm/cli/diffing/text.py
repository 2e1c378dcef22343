"""The page for a terminal, a log or a file: lines with styles, never wider than asked.

Part of the command line; prints nothing. Answers are anybody's text: what would move a cursor,
hide or reorder a line is shown instead, and no line of a log is a workflow command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cas_llm.cli.diffing.blocks import Block, blocks
from cas_llm.cli.diffing.page import Page
from cas_llm.drift.wording import Row, Span, row
from cas_llm.session.github import one_line

Line = tuple[tuple[str, str], ...]
"""Pieces of a line, each with its style."""

FITS = 30
"""The diffs of a page of so few lines are shown without being asked for."""

_STYLES = {"-": "red", "+": "green", " ": "dim"}
_WORD = re.compile(r"\S+\s*|\s+")
_LEAST = 40


def lines(page: Page, width: int, *, full: bool | None, more: str) -> list[Line]:
    """*page* in lines of at most *width*; *more* is the command that shows what is folded.

    The folded diffs are there if *full* says so, and if it does not say, where they fit a screen.
    """
    width = max(width, _LEAST)
    head = list(_head(page, width))
    count = sum(len(fold.changes) for fold in page.folds)
    may_fit = full is None and count <= FITS
    folded = [line(), *_full(page, width)] if count and (full or may_fit) else []
    if folded and (full or len(folded) <= FITS):
        return [*head, *folded, *_last(page, width)]
    return [*head, *_then(page, more, width), *_last(page, width)]


def plain(found: Iterable[Line]) -> str:
    """*found* without styles, as a file or a pipe has it."""
    return "".join("".join(text for text, _ in one).rstrip() + "\n" for one in found)


def block_lines(block: Block, width: int, *, named: bool = True) -> Iterator[Line]:
    """One change in full; *named*: under the tests it is in."""
    for name in block.listed if named else ():
        yield line(name, "bold")
    yield from _wrapped(row(" ", "   ".join(block.note)), width, "  ", "dim")
    if block.ask:
        yield from _wrapped(row(">", block.ask), width, "  ", "dim")
    for one in block.rows:
        yield from _wrapped(one, width, "  ", _STYLES[one.sign])
    if block.facts:
        yield from _wrapped(row(" ", "   ".join(block.facts)), width, "  ", "dim")


def _head(page: Page, width: int) -> Iterator[Line]:
    yield from _folded(f"cas-llm diff: {page.title}", width, "bold")
    if page.is_empty:
        yield line("No recording differs.")
    for why in page.why:
        yield line(f"{why.heading}  {why.path}".rstrip())
        for one in why.rows:
            yield from _wrapped(one, width, "  ", _STYLES[one.sign])
    for fact in page.facts:
        yield from _filled(fact, width)
    if page.first:
        yield line("Look at first", "bold")
        yield from _first(page, width)


def _first(page: Page, width: int) -> Iterator[Line]:
    names, words = (max(len(one) for one in side) for side in zip(*_columns(page), strict=True))
    longest = max(len(one.told) for one in page.first)
    wide = names + words + longest + 7 > width
    for one in page.first:
        if wide:
            yield line(f"  {one.name}")
            yield from _folded(f"    {one.word}  {one.told}", width)
        else:
            yield line(f"  {one.name:<{names}}   {one.word:<{words}}  {one.told}")
    if page.more:
        yield line(f"  and {page.more:,} more as grave")


def _columns(page: Page) -> list[tuple[str, str]]:
    return [(one.name, one.word) for one in page.first]


def _then(page: Page, more: str, width: int) -> Iterator[Line]:
    shown = {one.word for one in page.first} if not page.more else set()
    titles = [fold.title for fold in page.folds if fold.name.replace("-", " ") not in shown]
    if page.folds:
        listed = (f"Then: {titles[0]}", *titles[1:]) if titles else ()
        yield from _filled((*listed, f"(expand: {more})"), width)


def _full(page: Page, width: int) -> Iterator[Line]:
    for fold in page.folds:
        yield line(f"{fold.title}:", "bold")
        for block in blocks(fold.changes):
            yield from block_lines(block, width)
        yield line()


def _last(page: Page, width: int) -> Iterator[Line]:
    for text in page.last:
        yield from _folded(text, width)


def _filled(parts: Iterable[str], width: int) -> Iterator[Line]:
    """*parts* beside each other, as many as fit a line."""
    current = ""
    for part in parts:
        joined = f"{current}   {part}" if current else part
        if current and len(joined) > width:
            yield from _folded(current, width)
            joined = f"  {part}"
        current = joined
    if current:
        yield from _folded(current, width)


def _folded(text: str, width: int, style: str = "") -> Iterator[Line]:
    """*text* over several lines, where it is too long for one; its own margin stays."""
    margin = " " * (len(text) - len(text.lstrip()))
    current = ""
    for piece in _pieces(one_line(text), width - len(margin) - 2):
        if current and len(current) + len(piece.rstrip()) > width:
            yield line(current.rstrip(), style)
            current = f"{margin}  "
        current += piece
    yield line(current, style)


def _wrapped(one: Row, width: int, margin: str, style: str) -> Iterator[Line]:
    """A row under its sign, in as many lines as it takes, with its marks."""
    room = width - len(margin) - 3
    spans: list[Span] = []
    used, first = 0, True
    for text, marked in one.spans:
        for piece in _pieces(one_line(text), room):
            if used and used + len(piece.rstrip()) > room:
                spans[-1] = (spans[-1][0].rstrip(), spans[-1][1])
                yield _styled(margin, one.sign if first else " ", spans, style)
                spans, used, first = [], 0, False
            spans.append((piece, marked))
            used += len(piece)
    yield _styled(margin, one.sign if first else " ", spans, style)


def _pieces(text: str, room: int) -> Iterator[str]:
    for word in _WORD.findall(text):
        yield from (word[n : n + room] for n in range(0, len(word), room))


def _styled(margin: str, sign: str, spans: Iterable[Span], style: str) -> Line:
    pieces = tuple((text, f"{style} bold underline" if mark else style) for text, mark in spans)
    return _guarded((margin + sign + "  ", style), *pieces)


def line(text: str = "", style: str = "") -> Line:
    """One line of anybody's *text*, safe to show."""
    return _guarded((one_line(text), style))


def _guarded(*pieces: tuple[str, str]) -> Line:
    """A line that is no workflow command, wherever it is printed."""
    whole = "".join(text for text, _ in pieces)
    if whole.lstrip().startswith("::") or "##[" in whole:
        return ((whole.replace("##[", "## [").replace("::", r"\::", 1), pieces[0][1]),)
    return pieces
