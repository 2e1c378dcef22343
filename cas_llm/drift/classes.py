"""How grave it is that an answer changed: the table of classes, and which one a change is of.

Pure. The order of the table is the order of gravity: a change is of the first class that applies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from cas_llm.drift.said import Said
from cas_llm.drift.wording import similarity
from cas_llm.keys import Difference, compare, short
from cas_llm.keys.explain import ABSENT

ERROR = "error"
TOOL_CALL = "tool-call"
REFUSAL = "refusal"
SCHEMA = "schema"
CUT_OFF = "cut-off"
MODEL = "model"
VALUE = "value"
REWRITTEN = "rewritten"
SHORTER = "shorter"
LONGER = "longer"
WORDING = "wording"
SAME = "same"

CLASSES: Final[Mapping[str, str]] = {
    ERROR: "one of the two is an error, or another error",
    TOOL_CALL: "other tools are called, or with other arguments, or in another order",
    REFUSAL: "one of the two declines to answer",
    SCHEMA: "the answer is JSON of another shape, or no longer JSON",
    CUT_OFF: "one of the two ends before it is whole",
    MODEL: "another model answered, though the same one was asked",
    VALUE: "the same shape of JSON, or the same kind of data, with other values",
    REWRITTEN: "fewer than three in ten words are the same",
    SHORTER: "less than half as long",
    LONGER: "more than twice as long",
    WORDING: "other words, about as long",
    SAME: "the same but for spaces",
}
"""Every class, the gravest first, and when it applies."""

GRAVE: Final = (ERROR, TOOL_CALL, REFUSAL, SCHEMA, CUT_OFF, MODEL)
"""The classes that a reviewer looks at first."""

ALIKE = 0.3
"""The share of words in common below which a text says something else."""

HALF = 0.5
"""A text of less than this share of the other's length is much shorter."""

NOTICED = 20
"""How many characters two lengths must differ by before that says anything."""

_ITEMS = 50


def kinds(old: Said, new: Said) -> tuple[str, ...]:
    """Every class that the change from *old* to *new* is of, the gravest first; never none."""
    found = set(_kinds(old, new))
    return tuple(name for name in CLASSES if name in found) or (SAME,)


def differing(old: Said, new: Said) -> tuple[Difference, ...]:
    """Where two structured answers differ; nothing unless both are structured."""
    if old.structured is None or new.structured is None:
        return ()
    return compare({"body": old.structured}, {"body": new.structured}, lambda _: None)


def _kinds(old: Said, new: Said) -> Iterator[str]:
    if old.status != new.status and max(old.status, new.status) >= 400:
        yield ERROR
    if [call.identity for call in old.calls] != [call.identity for call in new.calls]:
        yield TOOL_CALL
    if old.declines != new.declines:
        yield REFUSAL
    if old.is_cut != new.is_cut:
        yield CUT_OFF
    same_asked = old.requested_model == new.requested_model
    if same_asked and old.model and new.model and old.model != new.model:
        yield MODEL
    if old.structured is not None or new.structured is not None:
        yield from _structures(old, new)
    elif old.words.split() != new.words.split():
        # Where tools are called in place of words, that is said already.
        if (old.words and new.words) or bool(old.calls) == bool(new.calls):
            yield _length(old.words, new.words)
    elif old.other != new.other:
        yield VALUE


def _structures(old: Said, new: Said) -> Iterator[str]:
    if not (old.words and new.words) and (old.calls or new.calls or old.declines or new.declines):
        return  # said already: it calls a tool, or declines, in its place
    if not same_shape(old.structured, new.structured, at_top=True):
        yield SCHEMA
    elif old.structured != new.structured:
        yield VALUE


def same_shape(old: Any, new: Any, *, at_top: bool = False) -> bool:
    """Whether two JSON values have the same members of the same types, whatever their values.

    A null fits any type and an empty list any list, but for what is compared as a whole.
    """
    if old is None or new is None:
        return not at_top
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(same_shape(old[n], new[n]) for n in old)
    if isinstance(old, list) and isinstance(new, list):
        if not old or not new:
            return True
        known = list(islice(old, _ITEMS))
        return all(any(same_shape(a, b) for a in known) for b in islice(new, _ITEMS))
    return _type(old) is _type(new)


def _type(value: Any) -> type:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float if number else type(value)


def _length(old: str, new: str) -> str:
    """How two texts differ that differ."""
    if old and new and similarity(old, new) < ALIKE:
        return REWRITTEN
    shorter, longer = sorted((len(old), len(new)))
    if longer - shorter >= NOTICED and shorter < HALF * longer:
        return SHORTER if len(new) < len(old) else LONGER
    return WORDING


def where(difference: Difference) -> str:
    """Where two structured answers differ, in a few words."""
    if difference.old is ABSENT:
        return f"{difference.path}  added: {short(difference.new, 30)}"
    if difference.new is ABSENT:
        return f"{difference.path}  gone (was {short(difference.old, 30)})"
    return f"{difference.path}  {short(difference.old, 30)} -> {short(difference.new, 30)}"
