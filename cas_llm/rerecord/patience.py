"""How long to wait before a call is made again, and when to stop: pure.

A server that names a time is believed, in seconds, milliseconds or as a date, up to a bound; else
the wait doubles. Both are spread, so that callers who were refused together do not return together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cas_llm.wire import Headers, header

AGAIN = frozenset({408, 409, 425, 429})


@dataclass(frozen=True)
class Patience:
    """How often a call is made at most, the first wait and the longest one, in seconds."""

    attempts: int = 8
    first: float = 0.5
    longest: float = 60.0
    timeout: float = 120.0

    def wait(self, attempt: int, named: float | None, chance: float) -> float | None:
        """Seconds to wait after the *attempt*-th call, or None where it is the last.

        *named* is what the server asked for, *chance* a number from 0 to 1. A server that wants
        more than the longest wait is not asked again: it means it.
        """
        if attempt >= self.attempts or (named is not None and named > self.longest):
            return None
        if named is not None:
            return min(named * (1 + chance / 10), self.longest)
        return float(min(self.first * 2 ** (attempt - 1), self.longest) * (0.5 + chance / 2))


def may_pass(status: int) -> bool:
    """Whether the same call may well succeed a little later."""
    return status in AGAIN or status >= 500


def retry_after(headers: Headers, now: Callable[[], datetime]) -> float | None:
    """The seconds that *headers* ask to wait, None where they say nothing that can be read."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        said = header(headers, name).strip()
        try:
            seconds = float(said) / unit
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    said = header(headers, "retry-after").strip()
    try:
        when = parsedate_to_datetime(said)
    except (ValueError, TypeError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - now()).total_seconds())
