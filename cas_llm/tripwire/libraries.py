"""Libraries that reach a host past the socket module, or keep connections open.

pycares resolves with a DNS client of its own; http.client (urllib, requests, urllib3) and aiohttp
reuse connections, also plain-text ones, and hand a proxy the name instead of looking it up.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any

from cas_llm.patching import Ledger
from cas_llm.tripwire.guards import CONNECT, HTTP_REQUEST, check
from cas_llm.tripwire.sockets import look_up

Call = Callable[..., Any]


def patch_http_client(module: ModuleType, ledger: Ledger) -> None:
    """Patch requests and tunnels of *module* (`http.client`)."""
    ledger.wrap(module.HTTPConnection, "putrequest", _putrequest)
    ledger.wrap(module.HTTPConnection, "set_tunnel", _set_tunnel)


def patch_pycares(module: ModuleType, ledger: Ledger) -> None:
    """Patch the look-ups of *module* (`pycares`), on which aiodns rests, of any version."""
    for name in ("getaddrinfo", "gethostbyname", "query", "search"):
        ledger.wrap(module.Channel, name, _pycares_look_up)


def patch_aiohttp(module: ModuleType, ledger: Ledger) -> None:
    """Patch where *module* (`aiohttp.connector`) hands out a connection, old or new."""
    ledger.wrap(module.BaseConnector, "connect", _aiohttp_connect)


def _putrequest(original: Call) -> Call:
    def putrequest(self: Any, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
        # A plain-text proxy is sent the whole URL.
        check(_host_of(url) or self._tunnel_host or self.host, None, HTTP_REQUEST)
        return original(self, method, url, *args, **kwargs)

    return putrequest


def _set_tunnel(original: Call) -> Call:
    def set_tunnel(self: Any, host: Any, *args: Any, **kwargs: Any) -> Any:
        check(_host_of(f"http://{host}"), None, CONNECT)
        return original(self, host, *args, **kwargs)

    return set_tunnel


def _host_of(url: Any) -> str:
    """The host an absolute *url* names, or an empty string; http.client says what is wrong."""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return ""
    from urllib.parse import urlsplit

    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _pycares_look_up(original: Call) -> Call:
    def query(self: Any, name: Any, *args: Any, **kwargs: Any) -> Any:
        look_up(name)
        return original(self, name, *args, **kwargs)

    return query


def _aiohttp_connect(original: Callable[..., Coroutine[Any, Any, Any]]) -> Call:
    async def connect(self: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        check(req.url.host, req.url.port, HTTP_REQUEST)
        return await original(self, req, *args, **kwargs)

    return connect
