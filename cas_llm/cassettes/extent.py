"""How deep and how large YAML is once its aliases are followed, told before a value is made of it.

PyYAML goes down level by level in C, where too many of them end the process, and what a file names
ten times can hold what it names ten times. Reads events only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cas_llm.cassettes.exchange import BadCassette

_DEEPEST = 400
_LARGEST = 10_000_000
# A long text counts as that many of its characters each.
_WORD = 64


@dataclass
class _Extent:
    """A collection under way: its anchor, and the values and levels in it so far."""

    anchor: str | None
    size: int = 1
    levels: int = 1

    def take(self, size: int, levels: int) -> None:
        self.size += size
        self.levels = max(self.levels, levels + 1)


def refuse_boundless(data: bytes, loader: Any) -> None:
    """Refuse *data* where reading it would not end well; *loader* gives its events.

    Raises:
        BadCassette: it lies too deep, or its aliases make too much of it, or a value holds itself.
        yaml.YAMLError: it is not YAML.

    """
    import yaml

    open_ones = [_Extent(None)]
    known: dict[str, tuple[int, int]] = {}
    for event in yaml.parse(data, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append(_Extent(event.anchor))
            size, levels = 0, 0
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = open_ones.pop()
            size, levels = ended.size, ended.levels
            if ended.anchor is not None:
                known[ended.anchor] = (size, levels)
        elif isinstance(event, yaml.AliasEvent):
            if any(one.anchor == event.anchor for one in open_ones):
                raise BadCassette(f"a value holds itself, by its alias *{event.anchor}")
            size, levels = known.get(event.anchor or "", (1, 0))
        elif isinstance(event, yaml.ScalarEvent):
            size, levels = 1 + len(event.value) // _WORD, 0
            if event.anchor is not None:
                known[event.anchor] = (size, levels)
        else:
            continue
        open_ones[-1].take(size, levels)
        if len(open_ones) + levels > _DEEPEST:
            raise BadCassette(f"it lies more than {_DEEPEST} levels deep")
        if open_ones[-1].size > _LARGEST:
            raise BadCassette(f"its aliases make more than {_LARGEST:,} values of it")
