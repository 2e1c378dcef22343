"""From a request to its key, and from two requests to what differs.

Pure: no I/O, no clock, no environment. `key_record` is the way in; `compare` explains a miss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cas_llm.keys.canonical import NotCanonical, canonical, parse
from cas_llm.keys.parts import Part, parts_of, restore
from cas_llm.keys.record import KeyRecord, key_record, load_record, rederive
from cas_llm.keys.rules import KEY_VERSION, REDACT_VERSION, Rules

if TYPE_CHECKING:
    from cas_llm.keys.explain import Difference, cause, compare, short, shorten_pair
    from cas_llm.keys.normalise import normaliser

__all__ = [
    "KEY_VERSION",
    "REDACT_VERSION",
    "Difference",
    "KeyRecord",
    "NotCanonical",
    "Part",
    "Rules",
    "canonical",
    "cause",
    "compare",
    "key_record",
    "load_record",
    "normaliser",
    "parse",
    "parts_of",
    "rederive",
    "restore",
    "short",
    "shorten_pair",
]

_LATER = dict.fromkeys(("Difference", "cause", "compare", "short", "shorten_pair"), "explain") | {
    "normaliser": "normalise"
}


def __getattr__(name: str) -> Any:
    """Import what only a miss or a normaliser needs when it is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value
