"""Why requests differ: what was changed, told apart from what follows of it.

Pure. Every later turn of a conversation repeats the answers before it, so that one edited prompt
differs in ever more places; what merely repeats an answer of the same test is no cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cas_llm.drift.changes import Cause, Change
from cas_llm.drift.said import Said
from cas_llm.keys import Difference, cause
from cas_llm.keys.explain import ABSENT

# A shorter string may be in any answer by chance.
_QUOTED_FROM = 4
_ROLES = frozenset({"role", "type"})


def own(
    differences: Iterable[Difference], old: Sequence[Said], new: Sequence[Said]
) -> tuple[Difference, ...]:
    """Those of *differences* that do not merely repeat what was answered before in the test.

    *old* and *new* are the earlier answers of the test, before and after.
    """
    before, after = _voice(old), _voice(new)
    return tuple(
        one for one in differences if not (_repeats(one.old, before) and _repeats(one.new, after))
    )


def causes(changes: Iterable[Change]) -> tuple[Cause, ...]:
    """What requests of *changes* differ in, the commonest first."""
    groups: dict[str, list[Change]] = {}
    for change in changes:
        if change.cause:
            groups.setdefault(change.cause, []).append(change)
    found = [
        Cause(
            group[0].differences,
            tuple(dict.fromkeys(change.name for change in group)),
            len({change.new[0] for change in group}),
        )
        for group in groups.values()
    ]
    return tuple(sorted(found, key=lambda one: (-len(one.scopes), -one.requests)))


def named(differences: Iterable[Difference]) -> str:
    """Equal for differences that one edit brought about; empty where there are none."""
    return "\n".join(dict.fromkeys(map(cause, differences)))


def _voice(several: Sequence[Said]) -> str:
    """All that the answers said, in one text to look things up in."""
    return "\0".join(
        part
        for one in several
        for part in (one.text, one.refusal, *_strings([c.arguments for c in one.calls]))
    )


def _repeats(value: Any, voice: str) -> bool:
    if value is ABSENT:
        return True
    strings = [text for text in _strings(value) if len(text) >= _QUOTED_FROM]
    return bool(strings) and all(text in voice for text in strings)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        inside = (item for name, item in value.items() if name not in _ROLES)
        return [text for item in inside for text in _strings(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _strings(item)]
    return []
