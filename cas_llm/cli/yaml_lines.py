"""YAML in the block style people write by hand, read line by line: where each key stands.

Part of the command line; pure. A YAML library is no dependency, and would forget the places.
Nothing is guessed: what could mean something else raises `NotPlain`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LINE = re.compile(r"(?P<indent> *)(?P<dashes>(?:-(?: +|$))*)(?P<rest>.*)")
_KEY = re.compile(r"""(?P<key>[A-Za-z_.][\w.-]*|<<|'[^']*'|"[^"\\]*")\s*:(?: +(?P<value>.*))?\Z""")
_PROPERTIES = re.compile(r"(?:[&!]\S*(?: +|\Z))+")
_OPENED = re.compile(r"---\s*(?:\s#.*)?\Z")
_LITERAL = re.compile(r"(?P<style>[|>])(?P<chomp>-?)\s*(?:\s#.*)?\Z")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_QUOTED = {
    "'": re.compile(r"'((?:[^']|'')*)'"),
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"'),
}
# What ends a line for YAML and not here, or the other way round; a tab may stand for neither.
_ODD = re.compile("\r(?!\n)|[\t\x85\u2028\u2029]")


class NotPlain(ValueError):
    """The text is not written in the style that can be told from its lines; says which line."""


@dataclass(frozen=True)
class Entry:
    """A line that begins a key, a member of a list, or both.

    `dashes` are the columns of the members it begins, `column` is where the key or text stands.
    `value` is None where that is no plain, quoted or literal text and no list on one line;
    `empty` says that nothing stands on the line after the key. `last` is the value's last line.
    """

    line: int
    dashes: tuple[int, ...]
    column: int
    key: str | None
    value: str | None
    empty: bool
    last: int

    @property
    def start(self) -> int:
        """The column of its first sign."""
        return self.dashes[0] if self.dashes else self.column


def entries(lines: Sequence[str]) -> Iterator[Entry]:
    """What *lines*, which have no ends, begin one after the other.

    Raises:
        NotPlain: a line could mean something else.

    """
    number, opened = 0, False
    while number < len(lines):
        line = lines[number]
        if _ODD.search(line):
            raise _not_plain(number, "a tab, or a line break of another kind")
        if not line.strip() or line.lstrip().startswith("#"):
            number += 1
        elif not opened and _OPENED.match(line):
            number, opened = number + 1, True
        else:
            opened, entry = True, _entry(lines, number)
            yield entry
            number = entry.last + 1


def indent_of(line: str) -> int:
    """How many spaces *line* begins with."""
    return len(line) - len(line.lstrip(" "))


def _not_plain(number: int, what: str) -> NotPlain:
    return NotPlain(f"line {number + 1}: {what}")


def _entry(lines: Sequence[str], number: int) -> Entry:
    line = lines[number]
    match = _LINE.match(line)
    if match is None or line.startswith(("---", "...", "%")):
        raise _not_plain(number, "more than one document")
    first, column = match.start("dashes"), match.start("rest")
    dashes = tuple(first + at.start() for at in re.finditer("-", match["dashes"]))
    key = _KEY.match(match["rest"])
    if key:
        name, rest, inner = key["key"].strip("'\""), key["value"] or "", column
    else:
        name, rest, inner = None, match["rest"], dashes[-1] if dashes else column - 1
        if not dashes and rest[0] in "?:{[*":
            raise _not_plain(number, "not written key by key")
    value, empty, last = _value(lines, number, rest, inner)
    return Entry(number, dashes, column, name, value, empty, last)


def _value(
    lines: Sequence[str], number: int, rest: str, inner: int
) -> tuple[str | None, bool, int]:
    """A value as text, whether none stands on its line, and its last line.

    Its further lines are indented deeper than *inner*.
    """
    bare = _PROPERTIES.sub("", rest, count=1) if rest[:1] in {"&", "!"} else rest
    if not bare or bare.startswith("#"):
        return None, True, number
    if bare[0] in "|>":
        return _literal(lines, number, bare, inner)
    if bare[0] in _QUOTED:
        return _quoted(bare, number), False, number
    if bare[0] in "[{":
        return _bracketed(lines, number, bare)
    text = _COMMENT.sub("", bare).rstrip()
    if bare[0] in "*@`%?" or re.search(r":(\s|\Z)", text):
        if _KEY.match(text) or bare[0] != "*":
            raise _not_plain(number, "neither a key nor a text")
        return None, False, number
    last = number
    for at in _deeper(lines, number, inner):
        # A plain text goes on as long as lines are indented, and holds no key and no comment.
        if text != bare.rstrip() or "#" in lines[at] or re.search(r":(\s|\Z)", lines[at]):
            raise _not_plain(at, "goes on with a text")
        last = at
    return (text if last == number else None), False, last


def _deeper(lines: Sequence[str], number: int, inner: int) -> Iterator[int]:
    """The lines after *number* that are indented deeper than *inner*, without empty ones."""
    for at in range(number + 1, len(lines)):
        if lines[at].strip(" "):
            if indent_of(lines[at]) <= inner:
                return
            yield at


def _literal(
    lines: Sequence[str], number: int, head: str, inner: int
) -> tuple[str | None, bool, int]:
    match = _LITERAL.match(head)
    if match is None:
        raise _not_plain(number, "a text that keeps the empty lines after it")
    first = next(_deeper(lines, number, inner), None)
    if first is None:
        return None, False, number
    margin = indent_of(lines[first])
    last = list(_deeper(lines, number, margin - 1))[-1]
    text = "\n".join(line[margin:] for line in lines[number + 1 : last + 1])
    told = None if match["style"] == ">" else text + ("" if match["chomp"] else "\n")
    return told, False, last


def _quoted(text: str, number: int) -> str | None:
    """A quoted text; None where it holds an escape that JSON doesn't know."""
    match = _QUOTED[text[0]].match(text)
    if match is None or _COMMENT.sub("", text[match.end() :]).strip():
        raise _not_plain(number, "a quoted text that goes on")
    if text[0] == "'":
        return match[1].replace("''", "'")
    try:
        return str(json.loads(match[0]))
    except ValueError:
        return None


def _bracketed(lines: Sequence[str], number: int, text: str) -> tuple[str | None, bool, int]:
    """A list or mapping in brackets, over as many lines as it takes."""
    depth, last = _depth(text, 0, number), number
    while depth:
        last += 1
        if last == len(lines):
            raise _not_plain(number, "a bracket that is never closed")
        if _ODD.search(lines[last]):
            raise _not_plain(last, "a tab, or a line break of another kind")
        depth = _depth(lines[last], depth, last)
    return (_COMMENT.sub("", text).rstrip() if last == number else None), False, last


def _depth(text: str, depth: int, number: int) -> int:
    """How many brackets are open after *text*, of *depth* before it."""
    at, before = 0, ","
    while at < len(text):
        sign = text[at]
        if sign == "#" and (at == 0 or text[at - 1] == " "):
            break
        if depth == 0 and at and sign != " ":
            raise _not_plain(number, "goes on after a bracket")
        if sign in _QUOTED and before in "[{,:":
            found = _QUOTED[sign].match(text, at)
            if found is None:
                raise _not_plain(number, "a quoted text that goes on")
            at, before = found.end(), sign
            continue
        depth += (sign in "[{") - (sign in "]}")
        before = before if sign == " " else sign
        at += 1
    return depth
