"""Reading JSON that somebody else wrote, without trusting its shape.

Pure, and total: each function answers with an empty value of its type where the wanted thing is
missing or of another type. Nothing here knows an API family.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


def parse(data: bytes | str) -> Any:
    """The JSON value of *data*, or None; accepts what only the standard library reads (NaN)."""
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def mapping(value: Any) -> dict[str, Any]:
    """*value* if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """*value* if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects in the list *value*, in order."""
    return [item for item in items(value) if isinstance(item, dict)]


def string(value: Any) -> str:
    """*value* if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> int:
    """*value* as a count: a whole number of zero or more, else 0."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and value > 0 else 0


def at(value: Any, *names: str) -> Any:
    """What lies under *names*, one object inside the other, or None."""
    for name in names:
        value = mapping(value).get(name)
    return value
