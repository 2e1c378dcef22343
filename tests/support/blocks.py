"""The code blocks of a page, in order, with what the page says about running them.

Pure: reads text, runs nothing. A block is what stands between two fences, indented or not. An HTML
comment that starts with ``run:`` and stands above a block says how it is run; `docs/contributing.md`
explains the words.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import Literal

Kind = Literal["commands", "script", "file", "python", "settings", "data", "shown", "skipped"]

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})\s*([\w+-]*)(.*)$")
_MARKER = re.compile(r"<!-- run: (.+?)(?: -->)?$")
_SKIP = re.compile(r"skip: (.{10,})")
_EXITS = re.compile(r"command (\d+) exits (\d+)")
_TITLE = re.compile(r'title="([^"]+)"')
_NAMED = re.compile(r"`([\w./-]+\.\w+|\.[\w-]+)`[^`]*:$")
_KINDS: dict[str, Kind] = {
    "console": "commands",
    "bash": "script",
    "python": "python",
    "toml": "settings",
    "yaml": "data",
    "json": "data",
    "ini": "shown",
    "text": "shown",
    "diff": "shown",
    "mermaid": "shown",
}


class BadPage(Exception):
    """A page that can't be followed; says the line and what to write instead."""


@dataclass(frozen=True)
class Command:
    """One command; `output` is what the page shows below it, None where it shows nothing."""

    line: int
    text: str
    output: str | None = None
    code: int = 0


@dataclass(frozen=True)
class Block:
    """One block: `kind` is what is done with it, `name` the file it is written to."""

    line: int
    language: str
    text: str
    kind: Kind
    name: str = ""
    reason: str = ""
    adds: bool = False
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True)
class Direction:
    """A marker that stands for itself: ``answer PATTERN => TEXT``, ``local model``, ``new project``."""

    line: int
    word: str
    left: str = ""
    right: str = ""


def read_page(text: str) -> list[Block | Direction]:
    """The blocks and directions of a page, in order.

    Raises:
        BadPage: a fence that is not closed, a language nobody knows, a marker nobody understands.

    """
    return _Reader(text.splitlines()).read()


class _Reader:
    """One pass over the lines of a page."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.found: list[Block | Direction] = []
        self.marker = ""
        self.before: list[str] = []

    def read(self) -> list[Block | Direction]:
        numbers = iter(range(len(self.lines)))
        for number in numbers:
            line = self.lines[number]
            if fence := _FENCE.match(line):
                end = self._end(number, fence)
                self.found.append(self._block(number, fence, self.lines[number + 1 : end]))
                self.marker, self.before = "", []
                for _ in range(end - number):
                    next(numbers)
            elif said := _MARKER.match(line.strip()):
                self._mark(number + 1, said[1].strip())
            elif line.strip() and line.strip() != "-->":
                self.before = [*self.before, line.strip()] if self._goes_on(number) else [line]
        return self.found

    def _goes_on(self, number: int) -> bool:
        return number > 0 and bool(self.lines[number - 1].strip())

    def _end(self, start: int, fence: re.Match[str]) -> int:
        for number in range(start + 1, len(self.lines)):
            if self.lines[number].strip() == fence[2]:
                return number
        raise BadPage(f"line {start + 1}: the block is never closed")

    def _mark(self, line: int, said: str) -> None:
        if said in {"hidden", "new project", "local model"}:
            if said != "hidden":
                self.found.append(Direction(line, said))
        elif said.startswith("answer "):
            pattern, arrow, answer = said.removeprefix("answer ").partition(" => ")
            if not arrow:
                raise BadPage(f"line {line}: write  answer PATTERN => TEXT")
            self.found.append(Direction(line, "answer", pattern, answer))
        elif _SKIP.fullmatch(said) or said.startswith("file ") or _EXITS.match(said):
            self.marker = said
        else:
            raise BadPage(f"line {line}: no such marker {said!r}; docs/contributing.md names them")

    def _block(self, number: int, fence: re.Match[str], lines: list[str]) -> Block:
        language, info, line = fence[3], fence[4], number + 1
        text = textwrap.dedent("\n".join(lines)) + "\n"
        if language not in _KINDS:
            known = ", ".join(_KINDS)
            raise BadPage(f"line {line}: {language or 'no language'!r} is none of {known}")
        skipped = _SKIP.fullmatch(self.marker)
        if skipped:
            return Block(line, language, text, "skipped", reason=skipped[1])
        kind, name = _KINDS[language], self._name(info)
        if name and kind not in {"commands", "script"}:
            return Block(line, language, text, "file", name, adds=self._adds())
        commands = _commands(text, line) if kind == "commands" else ()
        exits = {int(nth): int(code) for nth, code in _EXITS.findall(self.marker)}
        if exits.keys() - set(range(1, len(commands) + 1)):
            raise BadPage(f"line {line}: the block has {len(commands)} commands")
        ended = tuple(
            Command(one.line, one.text, one.output, exits.get(nth, 0))
            for nth, one in enumerate(commands, 1)
        )
        return Block(line, language, text, kind, commands=ended)

    def _name(self, info: str) -> str:
        if title := _TITLE.search(info):
            return title[1]
        if self.marker.startswith("file "):
            return self.marker.removeprefix("file ")
        named = _NAMED.search(" ".join(self.before))
        return named[1] if named else ""

    def _adds(self) -> bool:
        return " ".join(self.before).lower().startswith("add ")


def _commands(text: str, line: int) -> list[Command]:
    """The commands of a console block; a line that starts with ``> `` continues one."""
    found: list[Command] = []
    for number, one in enumerate(text.splitlines(), line + 1):
        if one.startswith("$ "):
            found.append(Command(number, one[2:]))
            continue
        if not found:
            raise BadPage(f"line {number}: a console block starts with a line  $ COMMAND")
        last = found[-1]
        if last.output is None and (last.text.endswith("\\") or one.startswith("> ")):
            found[-1] = Command(last.line, f"{last.text}\n{one.removeprefix('> ')}")
        else:
            output = one if last.output is None else f"{last.output}\n{one}"
            found[-1] = Command(last.line, last.text, output)
    return found
