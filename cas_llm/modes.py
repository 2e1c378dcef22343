"""What to do on a hit and on a miss: the one table, as a pure function.

==============  =====================  ===================
mode            hit                    miss
==============  =====================  ===================
``REPLAY``      serve                  refuse
``FALLBACK``    serve                  call, store
``CAPTURE``     call, store anew       call, store
``DISABLED``    call, store nothing    call, store nothing
==============  =====================  ===================
"""

from __future__ import annotations

import difflib
from enum import Enum

from cas_llm.errors import ConfigError


class Mode(Enum):
    """How a session treats a request: what is served, refused, called and stored."""

    REPLAY = "replay"
    FALLBACK = "fallback"
    CAPTURE = "capture"
    DISABLED = "disabled"

    def __str__(self) -> str:
        return self.value

    @property
    def records(self) -> bool:
        """Whether the mode may write to the store."""
        return self is Mode.FALLBACK or self is Mode.CAPTURE

    @property
    def live(self) -> bool:
        """Whether the mode may call a provider."""
        return self is not Mode.REPLAY


class Act(Enum):
    """What happens to one request."""

    SERVE = "serve"
    REFUSE = "refuse"
    CALL_AND_STORE = "call and store"
    CALL = "call"


_SPELLINGS = {
    "replay": Mode.REPLAY,
    "hit_cache_or_abort": Mode.REPLAY,
    "none": Mode.REPLAY,
    "fallback": Mode.FALLBACK,
    "normal": Mode.FALLBACK,
    "record": Mode.FALLBACK,
    "new_episodes": Mode.FALLBACK,
    "capture": Mode.CAPTURE,
    "refresh_cache": Mode.CAPTURE,
    "refresh": Mode.CAPTURE,
    "all": Mode.CAPTURE,
    "disabled": Mode.DISABLED,
    "disable_cache": Mode.DISABLED,
    "off": Mode.DISABLED,
}

SPELLINGS = tuple(_SPELLINGS)
"""Every accepted spelling, lower case."""


def parse_mode(value: str | Mode, *, source: str = "") -> Mode:
    """The mode that *value* names, whatever its case and with ``-`` for ``_``.

    Raises:
        ConfigError: no mode has that name; says the nearest one and names *source*.

    """
    if isinstance(value, Mode):
        return value
    if not isinstance(value, str):
        raise ConfigError(f"mode must be text, not {value!r}", source=source)
    word = value.strip().lower().replace("-", "_")
    if word in _SPELLINGS:
        return _SPELLINGS[word]
    near = difflib.get_close_matches(word, SPELLINGS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(
        f"unknown mode {value!r}: {hint}modes are replay, fallback, capture, disabled",
        source=source,
    )


def decide(mode: Mode, *, hit: bool) -> Act:
    """What to do with a request in *mode*: the table of this module."""
    match mode:
        case Mode.REPLAY:
            return Act.SERVE if hit else Act.REFUSE
        case Mode.FALLBACK:
            return Act.SERVE if hit else Act.CALL_AND_STORE
        case Mode.CAPTURE:
            return Act.CALL_AND_STORE
        case Mode.DISABLED:
            return Act.CALL
