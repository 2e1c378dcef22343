"""How the value of a setting is read: each gives the value, or ValueError says what is wrong.

Knows no setting by name.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from cas_llm.streams.pacing import delays


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {value!r}")  # noqa: TRY004 - a bad setting
    return value


def path(value: Any) -> str:
    """The path of a folder, as text."""
    place = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(place, str) or not place.strip():
        raise ValueError(f"must be the path of a folder, not {value!r}")
    return place


def pace(value: Any) -> str:
    """How fast a replayed stream is, as `streams.pacing` takes it."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    word = str(value) if number else text(value)
    delays((), word)
    return word


def texts(value: Any) -> tuple[str, ...]:
    """Several texts: a list, or one text with commas."""
    if isinstance(value, str):
        return tuple(item for item in (part.strip() for part in value.split(",")) if item)
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f"must be a list of texts, not {value!r}")


def flag(value: Any) -> bool:
    """True or false, in the words people use for them."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError(f"must be true or false, not {value!r}")


def money(value: Any) -> float:
    """An amount of US dollars."""
    try:
        amount = float(value)
    except (TypeError, ValueError):
        amount = -1.0
    if isinstance(value, bool) or not 0 <= amount < float("inf"):
        raise ValueError(f"must be an amount of US dollars, not {value!r}")
    return amount


def one_of(*words: str) -> Callable[[Any], str]:
    """A reader for one of *words*."""

    def choose(value: Any) -> str:
        if value in words:
            return str(value)
        raise ValueError(f"must be one of {', '.join(map(repr, words))}, not {value!r}")

    return choose


def hosts(value: Any) -> dict[str, str]:
    """Host to API name; a list names hosts whose API is told from their requests."""
    if isinstance(value, Mapping):
        if all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
            return {host.lower(): name for host, name in value.items()}
        raise ValueError(f"must map host names to API names, not {value!r}")
    pairs = (item.partition("=") for item in texts(value))
    return {host.strip().lower(): name.strip() for host, _, name in pairs}


def redact_rules(value: Any) -> tuple[tuple[str, str], ...]:
    """Pairs of class name and pattern; from a table, or from ``name=pattern`` texts."""
    if isinstance(value, Mapping):
        value = [f"{name}={pattern}" for name, pattern in value.items()]
    if isinstance(value, str):
        value = [value]
    pairs = [item.partition("=") for item in texts(value)]
    if any(not name.strip() or not pattern for name, _, pattern in pairs):
        raise ValueError("each rule must read name=pattern")
    for name, _, pattern in pairs:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"has no valid pattern for {name.strip()!r}: {error}") from error
    return tuple((name.strip(), pattern) for name, _, pattern in pairs)


def error_statuses(value: Any) -> frozenset[int] | str:
    """Statuses from 400 to 599, or ``all``."""
    if value == "all":
        return "all"
    items = value if isinstance(value, (list, tuple, frozenset)) else texts(value)
    try:
        statuses = frozenset(int(item) for item in items)
    except (TypeError, ValueError):
        statuses = frozenset({0})
    if any(not 400 <= status <= 599 for status in statuses):
        raise ValueError(f"must be 'all' or statuses from 400 to 599, not {value!r}")
    return statuses


def table(value: Any) -> Mapping[str, Any]:
    """A table of anything."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table, not {value!r}")  # noqa: TRY004 - a bad setting
    return dict(value)


def seconds(value: Any) -> float:
    """A positive number of seconds."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < float("inf"):
        raise ValueError(f"must be a number of seconds above 0, not {value!r}")
    return float(value)


def days(value: Any) -> float:
    """A number of days."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value < float("inf"):
        raise ValueError(f"must be a number of days, not {value!r}")
    return float(value)


def dates(value: Any) -> Mapping[str, date]:
    """A table of names, each with a day: ``2026-01-31``, with quotation marks or without."""
    found = {}
    for name, day in table(value).items():
        try:
            found[name] = date.fromisoformat(str(day))
        except ValueError:
            raise ValueError(f"must give {name!r} a day like 2026-01-31, not {day!r}") from None
    return found


def table_of(members: Mapping[str, Callable[[Any], Any]]) -> Callable[[Any], Mapping[str, Any]]:
    """A reader for a table with some of *members*, each read by its own reader."""

    def read(value: Any) -> Mapping[str, Any]:
        found = {}
        for name, raw in table(value).items():
            if name not in members:
                near = difflib.get_close_matches(name, members, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(members)}"
                raise ValueError(f"has no {name!r}; {hint}")
            try:
                found[name] = members[name](raw)
            except ValueError as error:
                raise ValueError(f"{name} {error}") from None
        return found

    return read
