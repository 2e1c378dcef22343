"""A project's ``.pre-commit-config.yaml``: its hooks, and where text may be added to it.

Part of the command line; pure. Reads no more of the file than that, and writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from cas_llm.cli.yaml_lines import Entry, NotPlain, entries, indent_of

__all__ = ["Hook", "HookConfig", "NotPlain", "read", "words"]

Keys = Mapping[str, str | None]


@dataclass(frozen=True)
class Hook:
    """A hook of the file: its `id`, the line of that (from 0), and the column of its keys.

    `keys` holds each key with its value as text; None where that can't be told.
    """

    id: str
    line: int
    column: int
    keys: Keys


@dataclass(frozen=True)
class HookConfig:
    """What the file says, and where it can be added to.

    `lines` keep their ends, `top` are the file's own keys. Another entry of ``repos`` goes before
    line `end`, its dash in column `dash` and its keys in column `column`. Hooks that are not
    written key by key are not among `hooks`.
    """

    lines: tuple[str, ...]
    hooks: tuple[Hook, ...]
    top: Keys
    end: int
    dash: int
    column: int

    def offset(self, line: int) -> int:
        """How many bytes stand before *line*."""
        return sum(len(text.encode()) for text in self.lines[:line])


def read(data: bytes) -> HookConfig:
    """The configuration that *data* says.

    Raises:
        NotPlain: what it says can't be told for certain from its lines.

    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotPlain(str(error)) from error
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    bare = [re.sub(r"\r?\n\Z", "", line) for line in lines]
    if bare:
        bare[0] = bare[0].removeprefix("\ufeff")
    found = list(entries(bare))
    if found and found[-1].last > found[-1].line and not lines[found[-1].last].endswith("\n"):
        raise NotPlain("ends within a text, which a line end would change")
    top = _keys([entry for entry in found if entry.start == 0 and not entry.dashes])
    inside, following = _repos(found, len(lines))
    hooks = tuple(hook for repo in _members(inside) for hook in _hooks(repo))
    dash, last = inside[0].start, inside[-1].last
    for at in range(last + 1, following):
        # An indented comment belongs to what stands above it.
        if bare[at].strip() and indent_of(bare[at]) > dash:
            last = at
    column = inside[0].column if inside[0].key else dash + 2
    return HookConfig(tuple(lines), hooks, top, last + 1, dash, column)


def words(value: str | None) -> list[str] | None:
    """The members of a list on one line such as ``[a, "b"]``, or None where it is no such thing."""
    match = re.fullmatch(r"\[(.*)\]", value or "")
    if match is None:
        return None
    found = [word.strip().strip("'\"") for word in match[1].split(",") if word.strip()]
    return found if all(re.fullmatch(r"[\w./-]+", word) for word in found) else None


def _repos(found: Sequence[Entry], count: int) -> tuple[list[Entry], int]:
    """The entries that the list ``repos`` consists of, and the line of what follows it."""
    top = [n for n, entry in enumerate(found) if entry.start == 0 and not entry.dashes]
    bounds = pairwise([*top, len(found)])
    first, stop = next(((a, b) for a, b in bounds if found[a].key == "repos"), (0, 0))
    inside = list(found[first + 1 : stop])
    if not inside or not found[first].empty or not inside[0].dashes:
        raise NotPlain("repos is no list of one line after the other")
    dash = inside[0].start
    for entry in inside:
        if entry.start <= dash and (entry.start < dash or len(entry.dashes) != 1):
            raise NotPlain(f"line {entry.line + 1}: not in line with the entries of repos")
    return inside, found[stop].line if stop < len(found) else count


def _members(inside: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """The entries of each member of the list that *inside* is."""
    dash = inside[0].start
    starts = [n for n, entry in enumerate(inside) if entry.dashes and entry.start == dash]
    for first, stop in pairwise([*starts, len(inside)]):
        yield inside[first:stop]


def _hooks(repo: Sequence[Entry]) -> Iterator[Hook]:
    own = _own(repo)
    _keys(own)
    listed = next((entry for entry in own if entry.key == "hooks"), None)
    if listed is None or not listed.empty:
        return
    after = repo[list(repo).index(listed) + 1 :]
    # Up to the next key of the repository, which may stand in one column with the hooks' dashes.
    inside = list(takewhile(lambda e: e.dashes or e.column > listed.column, after))
    for member in _members(inside) if inside and inside[0].dashes else ():
        told = _own(member)
        keys = _keys(told)
        named = next((entry for entry in told if entry.key == "id"), None)
        if named is not None and named.value is not None:
            yield Hook(named.value, named.line, named.column, keys)


def _own(member: Sequence[Entry]) -> list[Entry]:
    """The keys of the mapping that a member of a list is; none where it is no such thing."""
    first = member[0]
    # Its first key may stand on a line below the dash, as it does below an anchor.
    below = first.key is None and first.empty
    told = member[1:] if below else member
    if not told or told[0].key is None or len(told[0].dashes) != (not below):
        return []
    column = told[0].column
    return [e for e in told if e is told[0] or (not e.dashes and e.column == column)]


def _keys(own: Sequence[Entry]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for entry in own:
        if entry.key is None or entry.key in found:
            raise NotPlain(f"line {entry.line + 1}: no key, or one that is there already")
        found[entry.key] = entry.value
    return found
