"""Refuses every connection and name look-up that would leave this machine.

Imported by the test process and, through `sitecustomize` beside it, by the children that tests
start. A refusal is a `LeftLoopback`, not an OSError, so that no HTTP library retries or hides it.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

_LOCAL_NAMES = frozenset(
    {"localhost", "localhost.localdomain", "ip6-localhost", "", "0.0.0.0", "::"}
)


class LeftLoopback(Exception):
    """A test tried to reach a host that is not this machine."""


def is_loopback(host: object) -> bool:
    """Whether *host*, a name or an address, can only mean this machine."""
    if host is None:
        return True
    name = host.decode("latin-1") if isinstance(host, bytes) else str(host)
    name = name.strip("[]").partition("%")[0].lower()
    if name in _LOCAL_NAMES or name == socket.gethostname().lower():
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _check(host: object, how: str) -> None:
    if not is_loopback(host):
        raise LeftLoopback(
            f"{how} {host!r}: tests may only talk to loopback; "
            "start a ScriptedProvider and use its url"
        )


def enforce() -> None:
    """Put the guard in place for the rest of this process; a second call changes nothing."""
    if getattr(socket.socket.connect, "loopback_only", False):
        return
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo, gethostbyname = socket.getaddrinfo, socket.gethostbyname

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _check(address[0], "connect to")
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _check(address[0], "connect to")
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        _check(host, "look up")
        return getaddrinfo(host, *args, **kwargs)

    def guarded_gethostbyname(host: str) -> str:
        _check(host, "look up")
        return gethostbyname(host)

    guarded_connect.loopback_only = True  # type: ignore[attr-defined]
    socket.socket.connect = guarded_connect  # type: ignore[assignment, method-assign]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[assignment, method-assign]
    socket.getaddrinfo = guarded_getaddrinfo
    socket.gethostbyname = guarded_gethostbyname
