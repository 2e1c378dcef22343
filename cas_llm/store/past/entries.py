"""Which manifest entries of a place are about a request or a test; reads what can be read.

A tape that cannot be read is passed over: where something is to be brought back, the rest of the
store may be in any state.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cas_llm.errors import StoreError
from cas_llm.store import layout, tape
from cas_llm.store.manifest import parse_shared
from cas_llm.store.pick import Shared
from cas_llm.store.pruning.live import Entries
from cas_llm.store.pruning.trees import Tree
from cas_llm.store.tape import Tape


@dataclass(frozen=True)
class About:
    """What entries are looked for: those that name `key`, those of the scope `scope`, or all."""

    key: str = ""
    scope: str = ""

    def tape(self, one: Tape) -> bool:
        """Whether the tape is about it."""
        if self.scope:
            return one.scope == self.scope
        return not self.key or self.key in one.answers or self.key in one.inner

    def shared(self, key: str) -> bool:
        """Whether a shared entry of *key* is about it."""
        return not self.scope and self.key in {"", key}

    def may_be(self, data: bytes) -> bool:
        """Whether a tape with these bytes may be about it: quick, and never wrongly no."""
        return not self.key or self.key.encode("ascii") in data


def entries(tree: Tree, about: About, names: Collection[str] | None = None) -> Entries:
    """The entries of *tree* that are *about* it; only those among *names*, if they are given."""
    there = tree.names if names is None else tree.names.intersection(names)
    tapes = tapes_in(tree, _of_scope(there, about.scope), about)
    found = {name: one for name in there if (one := shared_at(name)) and about.shared(one.key)}
    return Entries(tapes, found)


def tapes_in(tree: Tree, names: Iterable[str], about: About) -> dict[str, Tape]:
    """The tapes of *tree* among *names* that are *about* it, by path."""
    found: dict[str, Tape] = {}
    wanted = sorted(name for name in names if is_tape(name))
    for name, data in tree.read(wanted):
        if about.may_be(data):
            with contextlib.suppress(StoreError):
                one = tape.decode(data, Path(name))
                if about.tape(one):
                    found[name] = one
    return found


def is_tape(name: str) -> bool:
    """Whether the store path *name* is that of a tape."""
    return name.startswith(f"{layout.TAPES}/") and layout.is_entry(name)


def shared_at(name: str) -> Shared | None:
    """The shared entry that the store path *name* is, or None."""
    words = name.split("/")
    if len(words) != 4 or not name.startswith(f"{layout.SHARED}/"):
        return None
    return parse_shared(words[2], words[3])


def _of_scope(names: Iterable[str], scope: str) -> Iterable[str]:
    """Of *names* those that may be tapes of *scope*, by where its tapes lie."""
    if not scope:
        return names
    folder, stem = layout.tape_folder_and_stem(scope)
    return (name for name in names if name.startswith(f"{folder}/{stem}."))


def paths(some: Entries) -> set[str]:
    """The store paths of *some* entries."""
    return some.tapes.keys() | some.shared.keys()


def joined(*several: Entries) -> Entries:
    """The entries of all; the first that has a path counts."""
    tapes: dict[str, Tape] = {}
    shared: Mapping[str, Shared] = {}
    for one in reversed(several):
        tapes = {**tapes, **one.tapes}
        shared = {**shared, **one.shared}
    return Entries(tapes, shared)
