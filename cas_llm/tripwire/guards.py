"""Who is asked about an attempt, what was answered, and which name an address belongs to.

Holds the one state of the tripwire; the modules beside it only call `check`. Patches are
process-wide, so this state is too. Knows no library and never raises anything but the refusal.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from cas_llm.errors import LiveCallBlocked

LOG_LENGTH = 1000
NAMES_LENGTH = 4096
NAMES_PER_ADDRESS = 8

LOOK_UP = "name look-up"
CONNECT = "connect"
TLS_SET_UP = "TLS set-up"
TLS_WRITE = "TLS write"
HTTP_REQUEST = "HTTP request"


@dataclass(frozen=True)
class Attempt:
    """One attempt to reach `host`; `refusal` is the explanation, empty if it was let through.

    `how` is ``name look-up``, ``connect``, ``TLS set-up``, ``TLS write`` or ``HTTP request``.
    """

    host: str
    how: str
    thread: str
    refusal: str = ""

    def __str__(self) -> str:
        verdict = "refused" if self.refusal else "let through"
        return f"{self.how} to {self.host} in thread {self.thread}: {verdict}"


class Guard(Protocol):
    """Decides whether a host may be reached.

    `judge` returns None to let the attempt through, else the text that explains the refusal. It may
    be called from any thread and from inside an event loop, and must not open a connection itself.
    `host` is a name or an IP literal, in lower case; `port` is None where it isn't known.
    """

    def judge(self, host: str, port: int | None, how: str) -> str | None:
        """The explanation of a refusal, or None."""


guards: tuple[Guard, ...] = ()
"""The armed guards, innermost first; replaced, never changed, so that readers need no lock."""

# An answer nobody closed may be collected, and its host let go, while this very thread holds it.
_lock = threading.RLock()
_held: defaultdict[str, int] = defaultdict(int)
_log: deque[Attempt] = deque(maxlen=LOG_LENGTH)
_passed: set[tuple[str, str, str]] = set()
_names: dict[str, tuple[str, ...]] = {}


def _renew_lock() -> None:
    """A lock that another thread held at the fork is held for ever in the child."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def push(guard: Guard, install: Callable[[], None]) -> None:
    """Put *guard* innermost; call *install* and forget the last log if it is the first."""
    global guards  # noqa: PLW0603
    with _lock:
        if any(armed is guard for armed in guards):
            return
        if not guards:
            _log.clear()
            _passed.clear()
            install()
        guards = (guard, *guards)


def drop(guard: Guard, remove: Callable[[], None]) -> None:
    """Take *guard* off, wherever it is in the stack; call *remove* if it was the last."""
    global guards  # noqa: PLW0603
    with _lock:
        left = tuple(armed for armed in guards if armed is not guard)
        if left == guards:
            return
        guards = left
        if not left:
            remove()
            _names.clear()


@contextmanager
def allowed(host: str) -> Iterator[None]:
    """Let *host* through without asking any guard, as long as the block runs.

    Counts, so blocks may overlap; holds for the whole process, because look-ups run in threads of
    their own. An adapter keeps it until the answer has been read or closed: HTTP/2 writes while it
    reads.
    """
    name = plain_host(host)
    with _lock:
        # In one step, with no call in it that lets the collector in: a count that came out too
        # high would leave the host open for good.
        _held[name] += 1
    try:
        yield
    finally:
        with _lock:
            _held[name] -= 1
            if not _held[name]:
                del _held[name]


def attempts() -> tuple[Attempt, ...]:
    """The last 1000 attempts since the first guard was armed, oldest first.

    Every refusal is an entry; what was let through is one entry per host, way and thread.
    """
    return tuple(_log)


def check(host: object, port: int | None, how: str) -> None:
    """Ask the guards about *host*; anything that isn't a host is let through.

    Raises:
        LiveCallBlocked: a guard refuses; the attempt is in the log by then, so that a library
            which swallows the exception doesn't hide it.

    """
    if not guards:
        return
    name = plain_host(host)
    if not name:
        return
    refusal = _verdict(name, port, how)
    if refusal is None:
        _note_passed(name, how)
        return
    _refuse(name, how, refusal)


def check_address(host: object, port: int | None) -> None:
    """Ask about a connection to *host*, by the names whose look-up gave that address.

    Hosts of one content network share addresses, so that it is refused only if all of these names
    are; TLS set-up then asks about the one that is meant.
    """
    if not guards:
        return
    address = plain_host(host)
    names = _names.get(address)
    if names is None:
        check(address, port, CONNECT)
        return
    verdicts = [(name, _verdict(name, port, CONNECT)) for name in reversed(names)]
    for name, refusal in verdicts:
        if refusal is None:
            _note_passed(name, CONNECT)
            return
    name, refusal = verdicts[0]
    _refuse(name, CONNECT, refusal or "")


def remember(host: object, addresses: Iterable[object]) -> None:
    """Note that a look-up of *host* gave these *addresses*; loopback belongs to everybody."""
    name = plain_host(host)
    if not name or not guards:
        return
    for found in addresses:
        address = plain_host(found)
        if not address or address == name or address.startswith("127.") or address == "::1":
            continue
        known = _names.get(address, ())
        if name in known:
            continue
        if len(_names) >= NAMES_LENGTH:
            _names.clear()
        _names[address] = (*known, name)[-NAMES_PER_ADDRESS:]


def plain_host(host: object) -> str:
    """*host* in lower case, without brackets, zone and final dot; empty if it isn't a host."""
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii", "replace")
    if not isinstance(host, str):
        return ""
    return host.strip("[]").partition("%")[0].rstrip(".").lower()


def _verdict(name: str, port: int | None, how: str) -> str | None:
    if name in _held:
        return None
    for guard in guards:
        refusal = guard.judge(name, port, how)
        if refusal is not None:
            return refusal
    return None


def _note_passed(name: str, how: str) -> None:
    seen = (name, how, threading.current_thread().name)
    if seen not in _passed and len(_passed) < LOG_LENGTH:
        _passed.add(seen)
        _log.append(Attempt(*seen))


def _refuse(name: str, how: str, refusal: str) -> None:
    _log.append(Attempt(name, how, threading.current_thread().name, refusal))
    raise LiveCallBlocked(refusal, host=name, how=how)
