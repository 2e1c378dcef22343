"""Stand-ins for provider keys that are not set, so that a replay needs none.

The SDKs' constructors raise without a key, often at import. A stand-in never leaves the process:
a live call that carries one is refused and names the variable. The environment is the whole
process's, so the stand-ins stay until the last of those who wanted them is done.
"""

from __future__ import annotations

import os
import threading

from cas_llm.config import Settings
from cas_llm.modes import Mode
from cas_llm.providers import KEY_VARIABLES
from cas_llm.session.policy import PLACEHOLDER

# google-genai warns when both of its variables are set.
_TWINS = {"GOOGLE_API_KEY": "GEMINI_API_KEY"}

_lock = threading.Lock()
_names: set[str] = set()
_wanted_by = 0


class Placeholders:
    """The stand-ins that one pytest session or one block wants; only in replay."""

    def __init__(self, settings: Settings) -> None:
        self._wanted = settings.placeholder_keys and settings.mode is Mode.REPLAY
        self._put = False

    def put(self) -> None:
        """Set each key variable that is not set."""
        global _wanted_by  # noqa: PLW0603
        if not self._wanted or self._put:
            return
        with _lock:
            self._put = True
            _wanted_by += 1
            for name in KEY_VARIABLES:
                twin = _TWINS.get(name)
                if name not in os.environ and (twin is None or twin not in os.environ):
                    os.environ[name] = PLACEHOLDER
                    _names.add(name)

    def take_back(self) -> None:
        """Unset those that are still the stand-in, unless somebody else wants them."""
        global _wanted_by  # noqa: PLW0603
        if not self._put:
            return
        with _lock:
            self._put = False
            _wanted_by -= 1
            if _wanted_by:
                return
            for name in _names:
                if os.environ.get(name) == PLACEHOLDER:
                    del os.environ[name]
            _names.clear()
