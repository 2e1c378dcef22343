"""Stand-ins for provider keys that are not set, so that a replay needs none.

The SDKs' constructors raise without a key, often at import. A stand-in never leaves the process:
a live call that carries one is refused and names the variable.
"""

from __future__ import annotations

import os

from cas_llm.config import Settings
from cas_llm.modes import Mode
from cas_llm.providers import KEY_VARIABLES
from cas_llm.session.policy import PLACEHOLDER

# google-genai warns when both of its variables are set.
_TWINS = {"GOOGLE_API_KEY": "GEMINI_API_KEY"}


class Placeholders:
    """The stand-ins of one pytest session."""

    def __init__(self, settings: Settings) -> None:
        self._wanted = settings.placeholder_keys and settings.mode is Mode.REPLAY
        self._put: list[str] = []

    def put(self) -> None:
        """Set each key variable that is not set."""
        if not self._wanted:
            return
        for name in KEY_VARIABLES:
            twin = _TWINS.get(name)
            if name not in os.environ and (twin is None or twin not in os.environ):
                os.environ[name] = PLACEHOLDER
                self._put.append(name)

    def take_back(self) -> None:
        """Unset those that are still the stand-in."""
        for name in self._put:
            if os.environ.get(name) == PLACEHOLDER:
                del os.environ[name]
        self._put.clear()
