"""Walks over who imports whom: what a file needs, and who needs a file and by which way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping


def reachable(starts: Iterable[str], imports: Callable[[str], Iterable[str]]) -> set[str]:
    """*starts* and all that they import, however far away."""
    found = set(starts)
    waiting = list(found)
    while waiting:
        new = set(imports(waiting.pop())) - found
        found |= new
        waiting += new
    return found


def reversed_edges(edges: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Each file to those that import it."""
    found: dict[str, list[str]] = {}
    for path, targets in edges.items():
        for target in targets:
            found.setdefault(target, []).append(path)
    return found


def end_of(path: str, ways: Mapping[str, str]) -> str:
    """The goal that the way from *path* leads to."""
    while ways[path] != path:
        path = ways[path]
    return path


def ways_to(goals: Iterable[str], importers: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Everything that needs one of *goals*, with the next step on a shortest way there.

    A goal's own step is itself.
    """
    steps = {goal: goal for goal in goals}
    waiting = deque(steps)
    while waiting:
        path = waiting.popleft()
        for importer in importers.get(path, ()):
            if importer not in steps:
                steps[importer] = path
                waiting.append(importer)
    return steps
