"""Sees a connection to a provider that no adapter knows of, and refuses it.

An adapter of the lowest kind: it patches the standard library (and uvloop, pycares and aiohttp
once they are imported) at name look-up, connect, TLS set-up, TLS write, and where an HTTP client
picks a connection. It rests on `cas_llm.errors` alone, never decides by itself (a `Guard` does),
never reads or changes what is sent, and leaves nothing behind when the last guard is disarmed.

It can't see a library with sockets or TLS of its own (gRPC, curl, Rust clients), and it knows a
plain-text connection made before it was armed only through http.client and aiohttp.
"""

from cas_llm.tripwire.arming import arm, disarm
from cas_llm.tripwire.guards import Attempt, Guard, allowed, attempts

__all__ = ["Attempt", "Guard", "allowed", "arm", "attempts", "disarm"]
