"""How long a replayed stream waits before each chunk.

Pure: computes the pauses; the transport that sends the chunks does the waiting.
"""

from __future__ import annotations

import math

from cas_llm.errors import ConfigError
from cas_llm.wire import Chunk


def delays(chunks: tuple[Chunk, ...], pace: str | float) -> tuple[float, ...]:
    """The seconds to wait before each of *chunks*.

    *pace* is ``"instant"`` (no pauses), ``"recorded"`` (the pauses of the recording, the first
    one being the time to the first byte) or a factor: 2.0 is twice as fast. Pauses are never
    negative, whatever the recording's clock did.

    Raises:
        ConfigError: *pace* is none of these.

    """
    factor = _factor(pace)
    if factor is None:
        return (0.0,) * len(chunks)
    pauses: list[float] = []
    now = 0.0
    for chunk in chunks:
        pause = chunk.at - now
        pauses.append(pause / factor if pause > 0 else 0.0)
        now = max(now, chunk.at)
    return tuple(pauses)


def _factor(pace: str | float) -> float | None:
    """What recorded pauses are divided by; None for no pauses."""
    if pace == "instant":
        return None
    if pace == "recorded":
        return 1.0
    try:
        factor = math.nan if isinstance(pace, bool) else float(pace)
    except (TypeError, ValueError, OverflowError):
        factor = math.nan
    if not 0 < factor < math.inf:
        raise ConfigError(
            f"unknown pace {pace!r}: a stream replays as 'instant', as 'recorded', or by a factor"
            " above zero; write for example 2.0 for twice as fast",
        )
    return factor
