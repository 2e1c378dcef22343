"""Installs the patches with the first guard and removes them with the last."""

from __future__ import annotations

from cas_llm.patching import Patches
from cas_llm.tripwire import guards, libraries, sockets, tls
from cas_llm.tripwire.guards import Guard

PATCHES = Patches(
    {
        "socket": sockets.patch_socket,
        "asyncio.base_events": sockets.patch_event_loop,
        "uvloop": sockets.patch_uvloop,
        "ssl": tls.patch_ssl,
        "asyncio.sslproto": tls.patch_asyncio_transport,
        "http.client": libraries.patch_http_client,
        "pycares": libraries.patch_pycares,
        "aiohttp.connector": libraries.patch_aiohttp,
    }
)


def arm(guard: Guard) -> None:
    """Ask *guard* about every attempt from now on, before the guards armed earlier.

    All armed guards must agree to an attempt. Arming a guard that is armed already changes nothing.
    """
    guards.push(guard, PATCHES.install)


def disarm(guard: Guard) -> None:
    """Ask *guard* no more; after the last one every patched attribute is what it was.

    Disarming a guard that isn't armed changes nothing.
    """
    guards.drop(guard, PATCHES.remove)
