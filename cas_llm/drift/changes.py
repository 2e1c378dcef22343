"""What a comparison of two states of a store found, as values.

Pure; `comparing` finds them, the command line tells them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cas_llm.drift.classes import CLASSES, GRAVE, SAME, kinds
from cas_llm.drift.said import Said
from cas_llm.drift.wording import similarity
from cas_llm.keys import Difference
from cas_llm.store import Tape
from cas_llm.store.pruning.live import Entries

NEW = "new"
GONE = "gone"


@dataclass(frozen=True)
class Sides:
    """The manifests that are compared, and how the earlier one is called.

    `damaged` are tapes that cannot be read; verify says what is amiss with them.
    """

    before: Entries
    after: Entries
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """One answer before and after; `old` or `new` is empty where there was or is none.

    `scope` is empty for a shared recording. `turn` counts from 1 on the tape it is on now, else on
    the one it was on; `turns` is how many that has. `before` and `after` are None, too, where the
    answer cannot be read. `differences` are those of the requests, less what merely repeats an
    earlier answer of the test: if nothing else differs, it `follows`.
    """

    scope: str
    turn: int
    turns: int
    old: tuple[str, str] = ("", "")
    new: tuple[str, str] = ("", "")
    before: Said | None = None
    after: Said | None = None
    differences: tuple[Difference, ...] = ()
    cause: str = ""
    follows: bool = False
    ask: tuple[str, ...] = ()
    kinds: tuple[str, ...] = field(default=())

    @property
    def is_moved(self) -> bool:
        """Whether the very same answer is under another key, as ``cas-llm rekey`` puts it there."""
        return self.old[1] == self.new[1] and self.old[0] != self.new[0]

    @property
    def drift(self) -> str:
        """The class it is of; ``new`` or ``gone`` where one side has no such turn."""
        if not self.old[1] or not self.new[1]:
            return NEW if self.new[1] else GONE
        return self.kinds[0] if self.kinds else SAME

    @property
    def gravity(self) -> tuple[int, float]:
        """What changes are sorted by: the class, then how little is alike."""
        order = [*CLASSES, NEW, GONE]
        return order.index(self.drift), 0.0 if self.drift in GRAVE else self.likeness

    @property
    def likeness(self) -> float:
        """The share of words in common."""
        if self.before is None or self.after is None:
            return 0.0
        return similarity(self.before.words, self.after.words)

    @property
    def name(self) -> str:
        """Whose it is: the test, else the shared request's key."""
        return self.scope or f"shared request {(self.new[0] or self.old[0])[:12]}"


def kinds_of(before: Said | None, after: Said | None) -> tuple[str, ...]:
    """The classes of a change; none where an answer cannot be read."""
    return kinds(before, after) if before and after else ()


@dataclass(frozen=True)
class Cause:
    """One difference that requests of several tests have in common."""

    differences: tuple[Difference, ...]
    scopes: tuple[str, ...]
    requests: int


@dataclass(frozen=True)
class Compared:
    """Everything that differs. `changes` are of what is on both sides, the gravest first.

    `added` are tests without a tape before and `removed` those without one now, with their turns;
    `ties` the scopes of which several tapes lead. `recorded` are the answers that were nowhere
    before; `superseded` counts those left for `prune`, `moved` those that got another key and say
    what they said.
    """

    changes: tuple[Change, ...] = ()
    causes: tuple[Cause, ...] = ()
    added: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    removed: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    ties: Mapping[str, tuple[Tape, ...]] = field(default_factory=dict)
    recorded: tuple[Said, ...] = ()
    superseded: int = 0
    moved: int = 0
    damaged: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[Change, ...]:
        """The changes, each pair of answers once, whoever was served them."""
        found: dict[tuple[str, str], Change] = {}
        for change in self.changes:
            found.setdefault((change.old[1], change.new[1]), change)
        return tuple(found.values())

    @property
    def counts(self) -> Mapping[str, int]:
        """How many answers changed, by class, the gravest first; those that apply."""
        found = [change.drift for change in self.answers]
        return {name: found.count(name) for name in (*CLASSES, NEW, GONE) if name in found}

    @property
    def tests(self) -> tuple[str, ...]:
        """The scopes whose recordings differ, each once, new ones too."""
        names = [change.scope for change in self.changes if change.scope]
        return tuple(dict.fromkeys((*sorted(names), *self.added)))
