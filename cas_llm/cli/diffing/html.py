"""The page as one HTML file that needs nothing else: no script, no font, no other address.

Part of the command line; prints nothing. All that was recorded is escaped, and what would reorder
or hide text is shown instead.
"""

from __future__ import annotations

import html as escaping
import re
from collections.abc import Iterable, Iterator

from cas_llm.cli.diffing.blocks import Block, blocks
from cas_llm.cli.diffing.page import Page
from cas_llm.drift.wording import Row
from cas_llm.session.github import one_line

_STYLE = """\
:root { color-scheme: light dark; --ink: #1c2128; --soft: #59636e; --paper: #fff; --line: #d1d9e0;
  --card: #f6f8fa; --minus: #ffebe9; --plus: #dafbe1; --cut: #ffc1bc; --put: #9be9a8;
  --grave: #9a1c22; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --paper: #0d1117;
  --line: #3d444d; --card: #151b23; --minus: #3c1618; --plus: #12311c; --cut: #8e2a2a;
  --put: #1f6f36; --grave: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.125rem; margin: 2rem 0 .5rem; }
.soft, .note { color: var(--soft); } .note { font-size: .875rem; margin: .25rem 0; }
p, ul { margin: .5rem 0; } ul { padding-left: 1.25rem; }
code, .rows { font: .875rem/1.5 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace;
  overflow-wrap: anywhere; unicode-bidi: isolate; }
.rows { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; overflow: hidden; }
.row { display: flex; white-space: pre-wrap; padding: 0 .75rem; } .row > span:first-child {
  flex: 0 0 1.25rem; color: var(--soft); user-select: none; }
.row > span:last-child { min-width: 0; }
.minus { background: var(--minus); } .plus { background: var(--plus); }
del { background: var(--cut); text-decoration: none; border-radius: 3px; }
ins { background: var(--put); text-decoration: none; border-radius: 3px; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .75rem 0; }
summary { cursor: pointer; padding: .5rem .75rem; background: var(--card); border-radius: 6px;
  font-weight: 600; } summary:focus-visible { outline: 2px solid var(--ink); outline-offset: 2px; }
article { padding: .75rem; border-top: 1px solid var(--line); } article ul { list-style: none;
  padding: 0; margin: 0; } .first li { margin: .25rem 0; }
.grave { color: var(--grave); font-weight: 600; }
"""
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)
_SIGNS = {"-": ("minus", "del"), "+": ("plus", "ins"), " ": ("", "")}


def html(page: Page) -> str:
    """*page* as a whole document."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        _POLICY,
        f"<title>cas-llm diff: {_text(str(page.title))}</title><style>{_STYLE}</style></head>",
        "<body><main>",
        f'<h1>What changed in the answers</h1><p class="soft">{_text(str(page.title))}</p>',
        *_head(page),
        *_folds(page),
        *(f'<p class="soft">{_ticked(text)}</p>' for text in page.last),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _head(page: Page) -> Iterator[str]:
    if page.is_empty:
        yield "<p>No recording differs.</p>"
    for why in page.why:
        yield f"<p>{_text(why.heading)} {_code(why.path) if why.path else ''}</p>"
        if why.rows:
            yield _rows(why.rows)
    for fact in page.facts:
        yield f"<p>{_dotted(fact)}</p>"
    if page.first:
        items = [
            f"<li>{_code(one.name)} {_grave(one.word)} {_code(one.told)}</li>" for one in page.first
        ]
        if page.more:
            items.append(f"<li>and {page.more:,} more as grave</li>")
        yield f'<h2>Look at first</h2><ul class="first">{"".join(items)}</ul>'


def _folds(page: Page) -> Iterator[str]:
    if page.folds:
        yield "<h2>All of it</h2>"
    for fold in page.folds:
        yield f"<details><summary>{_text(fold.title)}</summary>"
        yield from map(_block, blocks(fold.changes))
        yield "</details>"


def _block(block: Block) -> str:
    names = "".join(f"<li>{_code(name)}</li>" for name in block.listed)
    asked = f'<p class="note">asked: {_code(block.ask)}</p>' if block.ask else ""
    facts = f'<p class="note">{_dotted(block.facts)}</p>' if block.facts else ""
    rows = _rows(block.rows) if block.rows else ""
    return (
        f'<article><ul>{names}</ul><p class="note">{_dotted(block.note)}</p>{asked}{rows}{facts}'
        "</article>"
    )


def _rows(rows: Iterable[Row]) -> str:
    return f'<div class="rows">{"".join(map(_row, rows))}</div>'


def _row(one: Row) -> str:
    kind, tag = _SIGNS[one.sign]
    inside = "".join(
        f"<{tag}>{_text(text)}</{tag}>" if marked and tag else _text(text)
        for text, marked in one.spans
    )
    return f'<div class="row {kind}"><span>{_text(one.sign)}</span><span>{inside}</span></div>'


def _grave(word: str) -> str:
    return f'<span class="grave">{_text(word)}</span>'


def _dotted(parts: Iterable[str]) -> str:
    return " · ".join(map(_text, parts))


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _ticked(text: str) -> str:
    """What stands between two backticks is a command."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(text))


def _text(text: str) -> str:
    return escaping.escape(one_line(text), quote=True)
