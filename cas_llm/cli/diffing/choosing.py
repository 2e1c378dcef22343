"""A comparison narrowed to what somebody asked for: classes of drift, tests by name.

Part of the command line; prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from cas_llm.drift.changes import GONE, NEW, Cause, Change, Compared
from cas_llm.drift.classes import CLASSES
from cas_llm.errors import ConfigError


def classes_of(text: str, option: str) -> tuple[str, ...]:
    """The classes that a comma-separated *text* names, ``tool call`` as well as ``tool-call``.

    Raises:
        ConfigError: a word is no class; lists them.

    """
    words = (word.strip().casefold() for word in text.split(","))
    names = tuple(word.replace(" ", "-").replace("_", "-") for word in words if word)
    known = (*CLASSES, NEW, GONE)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"{option}: {unknown[0]!r} is none of {', '.join(known)}", source="diff")
    return names


def only(found: Compared, classes: Sequence[str], words: Sequence[str]) -> Compared:
    """*found*, of the *classes* alone and of scopes that contain one of *words*; all if empty."""

    def wanted(change: Change) -> bool:
        of_class = not classes or change.drift in classes
        return of_class and (not words or any(word in change.name for word in words))

    changes = tuple(filter(wanted, found.changes))
    names = {change.name for change in changes}
    return Compared(
        changes=changes,
        causes=tuple(_of(found.causes, names)),
        added=_kept(found.added, wanted),
        removed=_kept(found.removed, wanted),
        recorded=tuple(one.after for one in changes if one.after and one.after in found.recorded),
        damaged=found.damaged,
    )


def _of(causes: Sequence[Cause], names: set[str]) -> Iterator[Cause]:
    for cause in causes:
        if scopes := tuple(scope for scope in cause.scopes if scope in names):
            yield Cause(cause.differences, scopes, cause.requests)


def _kept(
    tests: Mapping[str, tuple[Change, ...]], wanted: Callable[[Change], bool]
) -> dict[str, tuple[Change, ...]]:
    chosen = {scope: tuple(filter(wanted, some)) for scope, some in tests.items()}
    return {scope: some for scope, some in chosen.items() if some}
