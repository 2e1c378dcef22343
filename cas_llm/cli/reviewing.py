"""What there is to review: answers that wait, ties, and takes that are new.

Part of the command line; reads only. `deciding` does what is decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cas_llm.cli import held
from cas_llm.cli.diffing import waiting
from cas_llm.drift import Change, Compared, Sides, compared
from cas_llm.drift.comparing import by_scope, latest, of_pending, turns_of
from cas_llm.drift.sources import opened, uncommitted
from cas_llm.errors import CasLLMError
from cas_llm.session.scopes import SHARED
from cas_llm.store import Shared, Store, Tape, layout, pick
from cas_llm.store.answer import parse, pretty
from cas_llm.store.files import Writer, cannot_write
from cas_llm.store.past.memory import Memory
from cas_llm.store.tape import Turn

PENDING = "waiting"
TIE = "tie"
TAKE = "take"
SHARES = "shared"

FORMAT = "cas-llm/reviewed/1"
_HEX = frozenset("0123456789abcdef")
_SHORTEST = 4


@dataclass(frozen=True)
class Item:
    """One thing to decide: its `kind`, whose it is, and what it changes.

    `tapes` are those that tie, the one that is served first, or the new take after the one it
    follows; `entries` the new sequence of a shared request, after `before`. `committed` says that
    a new take is in HEAD. `seen` is what is noted of it once it is accepted.
    """

    kind: str
    name: str
    changes: tuple[Change, ...] = ()
    tapes: tuple[Tape, ...] = ()
    entries: tuple[Shared, ...] = ()
    before: tuple[str, ...] = ()
    waiting: tuple[held.Item, ...] = ()
    committed: bool = False
    take: int = 0
    seen: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to decide: a take may say what the one before it says."""
        return bool(self.changes or self.waiting or self.kind == TIE)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of its requests."""
        return frozenset(key for one in self.changes for key, _ in (one.old, one.new) if key)


def items(memory: Memory, commit: str, *, every: bool = False) -> tuple[Item, ...]:
    """What is to be reviewed since *commit*: what waits, then ties, then takes; the gravest first.

    What was accepted before, and takes that say what the one before says, only with *every*.
    """
    sides, shelf = opened(memory, commit)
    found, fresh = compared(sides, shelf), uncommitted(memory)
    store = Store(memory.root)
    # What a run that still works holds is its own until it is over.
    free = [one for one in held.items(store) if not one.worker]
    waits = of_pending(sides.after, waiting.turns(free), shelf)
    ties = (
        Item(TIE, scope, turns_of(scope, tied[0].turns, tied[1].turns, shelf), tied)
        for scope, tied in found.ties.items()
    )
    takes = [*_takes(memory.root, sides, found, fresh), *_shared(sides, found, fresh)]
    done = frozenset() if every else seen(memory.root)
    # Without a repository nobody knows what was there before.
    takes = [
        one
        for one in takes
        if memory.top and one.name not in found.ties and one.seen not in done
        if one.is_changed or every
    ]
    return (*_pending(free, waits), *map(_differing, ties), *sorted(takes, key=_gravity))


def narrowed(item: Item, word: str) -> Item | None:
    """*item* as far as *word* names it (``all``, a test, the start of a key), or None."""
    if word == "all" or item.name in {word, f"use::{word}"}:
        return item
    if item.name.startswith((f"{word}::", f"{word}[")) or item.name.endswith(f"::{word}"):
        return item
    text = word.casefold()
    if len(text) < _SHORTEST or not _HEX.issuperset(text):
        return None
    if item.kind == TIE and any(tape.digest.startswith(text) for tape in item.tapes):
        return item
    if not any(key.startswith(text) for key in item.keys):
        return None
    some = tuple(one for one in item.waiting if one.waiting.key.startswith(text))
    return replace(item, waiting=some) if some else item


def seen(root: Path) -> frozenset[str]:
    """What was accepted before; nothing where that cannot be read."""
    try:
        document = parse(_noted(root).read_bytes())
        return frozenset(document["accepted"]) if document["format"] == FORMAT else frozenset()
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def note(root: Path, names: Iterable[str]) -> None:
    """Note that the takes *names* were accepted, so that they are not asked about again.

    Raises:
        StoreError: it cannot be written.

    """
    accepted = sorted(seen(root).union(names) - {""})
    try:
        writer = Writer(root / layout.LOCAL / "tmp")
        writer.replace(_noted(root), pretty({"format": FORMAT, "accepted": accepted}))
    except OSError as error:
        raise cannot_write(_noted(root), error) from error


def forget(root: Path, names: Iterable[str]) -> None:
    """Ask about the takes *names* again."""
    left = seen(root) - set(names)
    if left != seen(root):
        Writer(root / layout.LOCAL / "tmp").replace(
            _noted(root), pretty({"format": FORMAT, "accepted": sorted(left)})
        )


def nothing(word: str) -> CasLLMError:
    """The error to raise where *word* names nothing that is to be reviewed."""
    return CasLLMError(
        f"nothing to review is called {word!r}; see what there is with: cas-llm review --list, "
        "and of what was committed since REV with: cas-llm review --base REV --list"
    )


def _noted(root: Path) -> Path:
    return root / layout.LOCAL / "reviewed.json"


def _pending(free: Sequence[held.Item], changes: Sequence[Change]) -> Iterator[Item]:
    scopes: dict[str, list[held.Item]] = {}
    for one in free:
        scopes.setdefault(one.waiting.scope, []).append(one)
    for scope, some in scopes.items():
        mine = tuple(c for c in changes if (c.scope or SHARED) == scope)
        yield Item(PENDING, scope, mine, waiting=tuple(some))


def _takes(root: Path, sides: Sides, found: Compared, fresh: frozenset[str]) -> Iterator[Item]:
    before, after = (by_scope(side.tapes.values()) for side in (sides.before, sides.after))
    for scope, tapes in after.items():
        new = latest(tapes)
        if new is not None and new != latest(before.get(scope)):
            mine = (one for one in found.changes if one.scope == scope)
            changes = found.added.get(scope) or tuple(sorted(mine, key=lambda one: one.turn))
            name = new.path(root).relative_to(root).as_posix()
            yield Item(
                TAKE,
                scope,
                changes,
                (new,),
                committed=name not in fresh,
                take=new.take,
                seen=new.digest,
            )


def _shared(sides: Sides, found: Compared, fresh: frozenset[str]) -> Iterator[Item]:
    keys: dict[str, list[Change]] = {}
    for change in found.changes:
        if not change.scope and change.new[0]:
            keys.setdefault(change.new[0], []).append(change)
    for key, changes in keys.items():
        mine = {one: name for name, one in sides.after.shared.items() if one.key == key}
        used = pick.leading_run(mine)
        new = tuple(one for one in used if mine[one] in fresh)
        held = pick.from_shared(one for one in sides.before.shared.values() if one.key == key)
        yield Item(
            SHARES,
            key,
            tuple(changes),
            entries=new,
            before=held.digests if held else (),
            committed=not new,
            take=used[0].take,
            seen=f"{key}.{used[0].take}.{used[0].run}",
        )


def _differing(item: Item) -> Item:
    return replace(item, changes=tuple(one for one in item.changes if one.old != one.new))


def _gravity(item: Item) -> tuple[tuple[int, float], str]:
    return min((one.gravity for one in item.changes), default=(99, 0.0)), item.name


def turns_with(tape: Tape, changes: Iterable[Change]) -> tuple[Turn, ...]:
    """The turns of *tape*, with the answers back that *changes* took the place of.

    Only an answer to the very same request can come back.
    """
    old = {one.new: one.old[1] for one in changes if one.old[0] == one.new[0] and one.old[1]}
    return tuple(
        replace(
            turn,
            digest=old.get((turn.key, turn.digest), turn.digest),
            within=tuple((k, old.get((k, d), d)) for k, d in turn.within),
        )
        for turn in tape.turns
    )
