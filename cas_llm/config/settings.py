"""The settings as they hold, and who may change which of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from cas_llm.config.options import BY_NAME, read_option
from cas_llm.config.places import folder
from cas_llm.modes import Mode, parse_mode

COMMAND_LINE = "the command line"
"""The source of what the command line says."""


class Rank(IntEnum):
    """Who said it; the smallest wins."""

    COMMAND_LINE = 0
    ENVIRONMENT = 1
    CALL = 2
    MARKER = 3
    USE = 4
    TABLE = 5
    DEFAULT = 6


@dataclass(frozen=True, slots=True)
class Said:
    """A mode, who asked for it, and the words to say where."""

    rank: Rank
    mode: Mode
    source: str


@dataclass(frozen=True)
class Settings:
    """All settings, resolved; `sources` names where each one that is not a default came from."""

    said: tuple[Said, ...]
    store: Path
    hosts: Mapping[str, str] = field(default_factory=dict)
    ignore_hosts: tuple[str, ...] = ()
    block_network: str = "providers"
    normalise: tuple[str, ...] = ()
    redact: tuple[tuple[str, str], ...] = ()
    namespace: str = ""
    repeat: str | None = None
    exhausted: str = "miss"
    record_errors: frozenset[int] | str = frozenset()
    max_cost: float = 5.0
    durable: bool = False
    pace: str = "instant"
    placeholder_keys: bool = True
    live_on_ci: bool = False
    vcr: str = "keep"
    stale: Mapping[str, Any] = field(default_factory=dict)
    hooks: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def mode_said(self) -> Said:
        """The mode that wins, and who asked for it."""
        return min(self.said, key=lambda said: said.rank)

    @property
    def mode(self) -> Mode:
        """The mode that wins."""
        return self.mode_said.mode

    def says(self, mode: Mode | str | None, rank: Rank, source: str) -> Settings:
        """These settings with one more voice on the mode; None says nothing."""
        if mode is None:
            return self
        said = Said(rank, parse_mode(mode, source=source), source)
        kept = tuple(other for other in self.said if other.rank != rank)
        return replace(self, said=(*kept, said))

    def but(self, source: str, **values: Any) -> Settings:
        """These settings with *values* read and put in place; None leaves one as it is.

        What the command line or the environment said stays, unless *source* is the command line.
        Hosts are added to those there are.
        """
        given = {name: value for name, value in values.items() if value is not None}
        new = {name: read_option(name, value, source) for name, value in given.items()}
        if "store" in new:
            new["store"] = folder(Path(new["store"]), source)
        fixed = {name for name in new if source != COMMAND_LINE and self._is_fixed(name)}
        if "hosts" in new:
            ours, theirs = dict(self.hosts), new["hosts"]
            new["hosts"] = {**theirs, **ours} if "hosts" in fixed else {**ours, **theirs}
        new = {name: value for name, value in new.items() if name == "hosts" or name not in fixed}
        named = dict.fromkeys(new.keys() - fixed, source)
        return replace(self, **new, sources={**self.sources, **named})

    def _is_fixed(self, name: str) -> bool:
        """Whether the run said it, so that nothing in the code may change it."""
        source = self.sources.get(name)
        return source == COMMAND_LINE or source == BY_NAME[name].variable
