"""Many executions of one check: documents that hypothesis draws, each bent a number of times.

Drawing is slow and shrinks well, bending is fast: a batch is one document and its mutants, told by
a seed that hypothesis draws too, so that a failure is repeated and made small as usual.
All fuzz tests together make a million executions under ``CAS_LLM_THOROUGH``; else they are few and
the same on every run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.extent import THOROUGH, extent

BATCH = 24
FEW, ALL = 6_000, 1_000_000

T = TypeVar("T")


def wanted(share: float) -> int:
    """How many executions a test with this *share* of all makes."""
    return max(BATCH, int(extent(FEW, ALL) * share))


def fuzz(
    check: Callable[[T], None],
    documents: st.SearchStrategy[T],
    bend: Callable[[T, random.Random], T],
    *,
    share: float,
    what: str,
) -> None:
    """Call *check* with drawn *documents* and with what *bend* makes of them; prints the count."""
    total = wanted(share)
    count = 0

    @settings(
        max_examples=-(-total // BATCH),
        deadline=None,
        database=None,
        derandomize=not THOROUGH,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(documents, st.integers(0, 2**32))
    def batch(document: T, seed: int) -> None:
        nonlocal count
        rng = random.Random(seed)
        check(document)
        for _ in range(BATCH - 1):
            check(bend(document, rng))
        count += BATCH

    batch()
    print(f"{count} executions: {what}")
    assert count >= total


def bent(data: bytes, rng: random.Random, tokens: Sequence[bytes]) -> bytes:
    """*data* with one to three small things done to it."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and data:
            at %= len(data)
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + data[at + rng.choice((1, 1, 2, 8)) :]
        elif kind == 2:
            data = data[:at] + rng.choice(tokens) + data[at:]
        elif kind == 3:
            data = data[:at] + rng.choice(tokens) + data[at + 1 :]
        elif kind == 4:
            end = at + rng.randrange(1, 12)
            data = data[:end] + data[at:end] + data[end:]
        else:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at:]
    return data
