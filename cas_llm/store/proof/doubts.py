"""What is legal in a store and still deserves a look: tied tapes, names that fit no answer.

Every finding here is a warning. Reads only through what it is given.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from cas_llm.store import layout, pick
from cas_llm.store.manifest import parse_shared
from cas_llm.store.pick import Shared
from cas_llm.store.proof.census import WARNING, Finding
from cas_llm.store.tape import Tape


class Said(NamedTuple):
    """What an answer says of itself; None where it says nothing that can be meant."""

    run: str | None
    ordinal: int | None
    edited: bool


Named = tuple[str, Shared, Said | None]
"""A shared entry's path, what its name says, and what its answer says of itself."""


def ties(root: Path, tapes: Mapping[Path, Tape]) -> Iterator[Finding]:
    """Tapes of one scope that are equal in source and take; the first of each group is used."""
    scopes: dict[str, dict[str, Tape]] = {}
    places = {tape.digest: path for path, tape in tapes.items()}
    for tape in tapes.values():
        scopes.setdefault(tape.scope, {})[tape.digest] = tape
    for scope, own in scopes.items():
        for group in pick.ties(list(own.values())):
            used, *others = (places[tape.digest] for tape in group)
            yield Finding(
                "CAS040",
                WARNING,
                used.relative_to(root).as_posix(),
                f"ties with {', '.join(path.name for path in others)}",
                f"two branches recorded {scope}; this one is used, on every machine",
                f"pytest {shlex.quote(scope)} --cas-llm=capture, or delete the unwanted one",
                (scope,),
            )


def shared_names(names: Iterable[str], said: Callable[[str], Said | None]) -> Iterator[Finding]:
    """Shared entries, sorted, whose run or ordinal is not what their answers say of themselves.

    *said* gives what the answer in the object of a name says, or None where it cannot be read.
    """
    # In order of key, take and run, as sorted names are: one group is looked at at a time.
    for _, alike in groupby(names, lambda name: name.rsplit(".", 2)[0]):
        group: list[Named] = []
        for name in alike:
            entry = parse_shared(name[:2], name[3:])
            if entry is not None:
                said_of_it = said(f"{entry.digest}.json")
                group.append((f"{layout.SHARED}/{name}", entry, said_of_it))
        yield from _shared_run(group)
        yield from _shared_ties(group)


def _shared_ties(group: list[Named]) -> Iterator[Finding]:
    ordinals: dict[int, list[str]] = {}
    for name, entry, _ in sorted(group, key=lambda named: named[1]):
        ordinals.setdefault(entry.ordinal, []).append(name)
    for ordinal, (used, *others) in ordinals.items():
        if others:
            what = f"ties with {', '.join(name.rpartition('/')[2] for name in others)}"
            why = f"two branches recorded answer {ordinal}; this one is used, on every machine"
            yield Finding("CAS040", WARNING, used, what, why, "delete the unwanted one")


def _shared_run(group: list[Named]) -> Iterator[Finding]:
    known = [said for _, _, said in group if said is not None]
    if not known or any(said.edited for said in known):
        return
    why = "its name was changed, or another tool wrote it"
    first, entry, _ = group[0]
    # An appended answer keeps the run it was appended to, so one of them must be of that run.
    if len(known) == len(group) and all(said.run != entry.run for said in known):
        what = f"says run {entry.run}, but none of its answers was recorded by that run"
        yield Finding("CAS035", WARNING, first, what, why)
    for name, own, said in group:
        if said is not None and said.ordinal != own.ordinal:
            what = f"says ordinal {own.ordinal}, its answer says {said.ordinal}"
            yield Finding("CAS036", WARNING, name, what, why)
