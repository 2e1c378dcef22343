"""In which groups the files of a census are looked at: what is noted of a group is one file.

Reads nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import groupby

from cas_llm.store import layout
from cas_llm.store.proof.census import Census
from cas_llm.store.proof.checks import Task
from cas_llm.store.proof.facts import OBJECTS, REQUESTS, SHARED, TAPES, path_of

# Below, sixteen groups of a kind; above, 256: what is noted of a group is read and written at once.
_MANY = 50_000
_TAPE_GROUPS = 64


def tasks(census: Census, only: frozenset[str] | None = None) -> Iterator[Task]:
    """All files of *census*, or *only* those at these paths.

    The manifest comes first: what it names decides what an object is.
    """
    width = 2 if census.files >= _MANY else 1
    folders: dict[str, list[str]] = {}
    for name in _of(TAPES, census.tapes, only):
        place = name.rpartition("/")[0].encode("utf-8", "surrogateescape")
        group = f"{zlib.crc32(place) % _TAPE_GROUPS:02x}"
        folders.setdefault(group, []).append(name)
    for group in sorted(folders):
        yield Task(TAPES, group, tuple(folders[group]))
    for kind, names in (
        (SHARED, census.shared),
        (REQUESTS, census.requests),
        (OBJECTS, census.objects),
    ):
        for group, some in groupby(_of(kind, names, only), lambda name: name[:width]):
            yield Task(kind, group, tuple(some))


def shared_beside(census: Census, only: frozenset[str]) -> list[str]:
    """The shared entries for the keys that entries of *only* are for."""
    start = len(layout.SHARED) + 1
    keys = {path[start:].partition(".")[0] for path in only if path.startswith(layout.SHARED)}
    return [name for name in census.shared if name.partition(".")[0] in keys] if keys else []


def _of(kind: str, names: Iterable[str], only: frozenset[str] | None) -> Iterable[str]:
    if only is None:
        return names
    return (name for name in names if path_of(kind, name) in only)
