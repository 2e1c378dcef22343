"""Which turn of one tape stands where in another: each turn of both exactly once.

Pure. Equal requests go together first; of those left, which were changed, the ones that ask the
same, and then the ones most alike, nearest in place where that does not decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from cas_llm.drift.wording import similarity
from cas_llm.store.tape import Turn

Weigh = Callable[[str, str], int | None]
"""In how many places two requests differ, by their keys; None where nobody knows."""

ALIKE = 0.3
"""The share of words two asks must have in common to be one request that was changed."""

# So many comparisons of whole requests one pair of tapes is worth.
_COMPARED = 150


class Pair(NamedTuple):
    """The numbers of a turn before and after, from 0; None where the other has no counterpart."""

    before: int | None
    after: int | None


def pair(before: Sequence[Turn], after: Sequence[Turn], weigh: Weigh) -> tuple[Pair, ...]:
    """All turns of both, paired, in the order of *after*; one that went stands where it stood."""
    found: dict[int, int] = {}
    _equal(before, after, found, lambda turn: turn.key)
    _equal(before, after, found, lambda turn: "\n".join(turn.ask), ordered=True)
    left = [n for n in range(len(before)) if n not in set(found.values())]
    new = [n for n in range(len(after)) if n not in found]
    found |= dict(_closest(before, after, left, new, weigh))
    return tuple(_in_order(len(before), len(after), found))


def _equal(
    before: Sequence[Turn],
    after: Sequence[Turn],
    found: dict[int, int],
    name: Callable[[Turn], str],
    *,
    ordered: bool = False,
) -> None:
    """Pair the k-th of a name with its k-th; *ordered*: only names that both have as often."""
    taken = set(found.values())
    old, new = (
        _by_name([(n, name(turn)) for n, turn in enumerate(side) if n not in without])
        for side, without in ((before, taken), (after, found.keys()))
    )
    for word in old.keys() & new.keys():
        if not ordered or (word and len(old[word]) == len(new[word])):
            found |= dict(zip(new[word], old[word], strict=False))


def _by_name(numbered: Sequence[tuple[int, str]]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for number, name in numbered:
        groups.setdefault(name, []).append(number)
    return groups


def _closest(
    before: Sequence[Turn],
    after: Sequence[Turn],
    left: Sequence[int],
    new: Sequence[int],
    weigh: Weigh,
) -> Iterator[tuple[int, int]]:
    """Pairs of what is left, the most alike first, as long as two are alike at all."""
    counts = len(before) == len(after)
    weighs = len(left) * len(new) <= _COMPARED
    ranked = []
    for n in new:
        for m in left:
            likeness = similarity("\n".join(before[m].ask), "\n".join(after[n].ask))
            if likeness < ALIKE and not (counts and m == n):
                continue
            differences = weigh(before[m].key, after[n].key) if weighs else None
            places = abs((m - len(before)) - (n - len(after))) + abs(m - n)
            ranked.append((-round(likeness, 1), differences or 0, places, n, m))
    taken: set[int] = set()
    done: set[int] = set()
    for _, _, _, n, m in sorted(ranked):
        if n not in done and m not in taken:
            done.add(n)
            taken.add(m)
            yield n, m


def _in_order(old: int, new: int, found: dict[int, int]) -> Iterator[Pair]:
    gone = iter([n for n in range(old) if n not in set(found.values())])
    waiting = next(gone, None)
    for n in range(new):
        m = found.get(n)
        while waiting is not None and m is not None and waiting < m:
            yield Pair(waiting, None)
            waiting = next(gone, None)
        yield Pair(m, n)
    while waiting is not None:
        yield Pair(waiting, None)
        waiting = next(gone, None)
