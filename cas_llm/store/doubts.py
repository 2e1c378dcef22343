"""What is legal in a store and still deserves a look: tied tapes, names that fit no answer.

Every finding here is a warning. Reads only through what it is given.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cas_llm.store import pick
from cas_llm.store.census import WARNING, Census, Finding
from cas_llm.store.pick import Shared
from cas_llm.store.tape import Tape

Named = tuple[str, Shared, Mapping[str, Any] | None]
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


def shared_names(
    census: Census, document: Callable[[str], Mapping[str, Any] | None]
) -> Iterator[Finding]:
    """Shared entries whose run or ordinal is not what their answers say of themselves.

    *document* gives the answer of a digest as JSON, or None where it cannot be read.
    """
    runs: dict[tuple[str, int, str], list[Named]] = {}
    for path, entry in census.shared.items():
        name = path.relative_to(census.root).as_posix()
        group = runs.setdefault((entry.key, entry.take, entry.run), [])
        group.append((name, entry, document(entry.digest)))
    for group in runs.values():
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
    if not known or any("edited" in said.get("marks", ()) for said in known):
        return
    why = "its name was changed, or another tool wrote it"
    first, entry, _ = group[0]
    # An appended answer keeps the run it was appended to, so one of them must be of that run.
    if len(known) == len(group) and all(said.get("run") != entry.run for said in known):
        what = f"says run {entry.run}, but none of its answers was recorded by that run"
        yield Finding("CAS035", WARNING, first, what, why)
    for name, own, said in group:
        if said is not None and said.get("ordinal") != own.ordinal:
            what = f"says ordinal {own.ordinal}, its answer says {said.get('ordinal')}"
            yield Finding("CAS036", WARNING, name, what, why)
