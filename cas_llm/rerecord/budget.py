"""What may still be spent, where several calls are under way at once.

Pure but for a lock: no clock, no file.
"""

from __future__ import annotations

import threading


class Budget:
    """US dollars, of which calls under way hold back what they are expected to cost."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.spent = 0.0
        self.unknown = 0
        self._held = 0.0
        self._lock = threading.Lock()

    def begin(self, expected: float | None) -> bool:
        """Whether a call may begin; if so, what it is *expected* to cost is held back.

        Never once what was spent and is held back reaches the limit, unless the call is free.
        """
        amount = expected or 0.0
        with self._lock:
            if expected != 0 and self.spent + self._held >= self.limit:
                return False
            self._held += amount
            return True

    def end(self, expected: float | None, cost: float | None, *, made: bool = True) -> None:
        """The call is over, and cost so much; None where nobody knows, if it was *made* at all."""
        with self._lock:
            self._held -= expected or 0.0
            self.spent += cost or 0.0
            self.unknown += made and cost is None

    @property
    def is_out(self) -> bool:
        """Whether all of it is spent."""
        return self.spent >= self.limit
