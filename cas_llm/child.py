"""What a Python child of a session does first: the line in ``cas_llm.pth`` imports this module.

Reads ``CAS_LLM_SESSION`` (JSON: ``mode``, ``hosts``, and what the session's own code needs to
join). In REPLAY a guard stands before anything else is imported, and goes only once the session's
own has taken its place. Never ends the child: what goes wrong here is one line on standard error.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from cas_llm import tripwire

VARIABLE = "CAS_LLM_SESSION"


@dataclass(frozen=True)
class RefuseHosts:
    """A guard that refuses the hosts matching one of `patterns` (``*`` stands for any text)."""

    patterns: tuple[str, ...]

    def judge(self, host: str, port: int | None, how: str) -> str | None:  # noqa: ARG002
        """The explanation if *host* matches, else None."""
        if not any(fnmatchcase(host, pattern) for pattern in self.patterns):
            return None
        return (
            f"cas-llm: replay: {how} to {host} refused in process {os.getpid()}, a child of a "
            "session that replays: no recorder sees this connection, so it has no recording to "
            "serve. Use a client that cas-llm records, or run the parent with "
            "CAS_LLM_MODE=disabled to let it call."
        )


def start(text: str) -> None:
    """Join the session that *text* describes; in REPLAY, refuse its hosts if that fails."""
    try:
        about = json.loads(text)
        guard = RefuseHosts(tuple(host.lower() for host in about.get("hosts", ())))
        replays = str(about.get("mode", "")).lower() == "replay"
    except (AttributeError, TypeError, ValueError) as problem:
        _say(f"{VARIABLE} can't be read ({problem}); this child is not guarded")
        return
    if replays:
        tripwire.arm(guard)
    try:
        _join(text)
    except Exception as problem:  # noqa: BLE001 - the child must live, whatever is broken
        rest = "its provider hosts are refused" if replays else "its calls are not recorded"
        _say(f"a child couldn't join the session ({type(problem).__name__}: {problem}); {rest}")
        return
    tripwire.disarm(guard)


def _join(text: str) -> Any:
    from cas_llm.transports import install

    return install.join(text)


def _say(what: str) -> None:
    line = " ".join(what.split())
    print(f"cas-llm: process {os.getpid()}: {line}", file=sys.stderr)  # noqa: T201


if VARIABLE in os.environ:
    start(os.environ[VARIABLE])
