"""The reference of the command line, read from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from html import escape
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo

from cas_llm import cli
from cas_llm.cli import COMMANDS, load

_EXAMPLE = re.compile(r"\s*Examples?: (.+?)\s*\Z", re.DOTALL)
_CODE_ROW = re.compile(r"^(\d+)\s+(.+)$", re.MULTILINE)


def commands() -> str:
    """Every command: what it does, how it is called, its arguments and options, an example."""
    groups: dict[str, list[str]] = {}
    for name, command in COMMANDS.items():
        groups.setdefault(command.group, []).append(name)
    lines = []
    for group, names in groups.items():
        lines += [f"## {group}", ""]
        for name in names:
            lines += _command(name)
    return "\n".join(lines).rstrip()


def overview() -> str:
    """One line for each command."""
    rows = [
        f"| [`{name}`](#{name}) | {command.group} | {command.help} |"
        for name, command in COMMANDS.items()
    ]
    return "\n".join(["| Command | Kind | What it does |", "| --- | --- | --- |", *rows])


def exit_codes() -> str:
    """The table in the docstring of the command line."""
    rows = _CODE_ROW.findall(cli.__doc__ or "")
    return "\n".join(
        ["| Code | Meaning |", "| --- | --- |", *(f"| `{code}` | {said} |" for code, said in rows)]
    )


def _command(name: str) -> Iterator[str]:
    command = load(name)
    text = inspect.cleandoc(command.help or COMMANDS[name].help).replace("\b\n", "")
    example = _EXAMPLE.search(text)
    text = _EXAMPLE.sub("", text)
    switches = list(_switches(command))
    yield from (f"### {name}", "", *_escaped(text), "")
    words = [_bracketed(one.word, one.optional) for one in switches if not one.flags]
    yield from ("```text", " ".join(["cas-llm", name, "[OPTIONS]", *words]), "```", "")
    if switches:
        yield from ("| Argument or option | What it says | Default |", "| --- | --- | --- |")
        yield from (one.row for one in switches)
        yield ""
    if example:
        yield from (f"For example: `{' '.join(example[1].split()).rstrip('.')}`", "")


def _several(kind: Any) -> bool:
    return any(get_origin(one) is list for one in (kind, *get_args(kind)))


def _bracketed(word: str, optional: bool) -> str:
    if not optional:
        return word
    return f"[{word.removesuffix('...')}]{'...' if word.endswith('...') else ''}"


def _escaped(text: str) -> list[str]:
    """A docstring for Markdown: no line starts what it doesn't mean."""
    return [re.sub(r"([<*_])", r"\\\1", line) for line in text.splitlines()]


@dataclass(frozen=True)
class Switch:
    """One argument or option; an argument has no `flags`, a yes-or-no option no `word`."""

    flags: tuple[str, ...]
    word: str
    help: str
    default: str
    optional: bool

    @property
    def row(self) -> str:
        """Its line of the table."""
        flags = ", ".join(f"`{flag}`" for flag in self.flags)
        word = _code(self.word) if self.word else ""
        said = " ".join(_escaped(self.help)).replace("|", _BAR)
        cells = (" ".join(filter(None, (flags, word))), said, self.default)
        return f"| {' | '.join(cells)} |".replace("|  |", "| |")


_BAR = "&#124;"


def _code(word: str) -> str:
    """A word as code; between backticks a bar would end the cell, or keep its backslash."""
    return f"<code>{escape(word).replace('|', _BAR)}</code>" if "|" in word else f"`{word}`"


def _switches(command: Any) -> Iterator[Switch]:
    """What the function behind a command takes, arguments first."""
    function = inspect.unwrap(command.callback)
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, *said = get_args(hints[name]) or (hints[name],)
        info = next((one for one in said if hasattr(one, "param_decls")), None)
        if info is None or info.hidden:  # typer's own context has no flag
            continue
        # In `Annotated`, typer takes the first flag for a default and sorts it out later.
        said = (info.default, *(info.param_decls or ()))
        flags = tuple(one for one in said if isinstance(one, str) and one.startswith("-"))
        if isinstance(info, ArgumentInfo):
            flags = ()
        elif not flags:
            flags = (f"--{name.replace('_', '-')}",)
        text = " ".join((info.help or "").split())
        word = info.metavar or _word(kind, name, argument=not flags)
        if not flags and _several(kind):
            word += "..."
        yield Switch(flags, word, text, *_default(parameter.default, kind))


def _word(kind: Any, name: str, *, argument: bool) -> str:
    """What stands for the value, where the command doesn't say."""
    if argument:
        return name.upper()
    kinds = {one for one in (get_args(kind) or (kind,)) if one is not type(None)}
    for one in kinds:
        if isinstance(one, type) and issubclass(one, Enum):
            return "|".join(str(member.value) for member in one)
    names = {bool: "", int: "N", float: "X", Path: "PATH"}
    return next((names[one] for one in kinds if one in names), "TEXT")


def _default(value: Any, kind: Any) -> tuple[str, bool]:
    """The default as a reader sees it, and whether there is one."""
    if value is inspect.Parameter.empty or value is ...:
        return "required", False
    if kind is bool:
        return ("on" if value else "off"), True
    value = getattr(value, "value", value)
    return ("none" if value in (None, "", (), []) else f"`{value}`"), True
