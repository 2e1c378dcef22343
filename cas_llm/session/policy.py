"""Which requests count, and which of them may leave this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from cas_llm import config
from cas_llm.config import Settings
from cas_llm.providers import BASE_URL_VARIABLES, KEY_VARIABLES, is_provider_host, looks_like_llm
from cas_llm.wire import Headers, Request

PLACEHOLDER = "cas-llm-placeholder-no-key-needed-to-replay"
"""What stands in for a missing provider key in replay; it never leaves the process."""

MODE_HEADER = "x-cas-llm-mode"
REPEAT_HEADER = "x-cas-llm-repeat"
NAMESPACE_HEADER = "x-cas-llm-namespace"
CONTROL_HEADERS = frozenset({MODE_HEADER, REPEAT_HEADER, NAMESPACE_HEADER})

_LOOPBACK = frozenset({"localhost", "::1", "0.0.0.0"})  # noqa: S104 - a name, not a bind


def is_loopback(host: str) -> bool:
    """Whether *host* names this machine."""
    return host in _LOOPBACK or host.startswith("127.") or host.endswith(".localhost")


def netloc(request: Request) -> str:
    """Host with port where one is named."""
    return f"{request.host}:{request.port}" if request.port else request.host


def named_hosts(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """Hosts (with ports) that ``OPENAI_BASE_URL`` and its kin name."""
    environ = os.environ if environ is None else environ
    found = set()
    for variable in BASE_URL_VARIABLES:
        if value := environ.get(variable):
            found.add(urlsplit(value).netloc.rpartition("@")[2].lower())
    found.discard("")
    return frozenset(found)


def listed(request: Request, hosts: Mapping[str, str] | tuple[str, ...] | frozenset[str]) -> bool:
    """Whether *hosts* holds the request's host, with or without its port."""
    return bool(hosts) and (request.host in hosts or netloc(request) in hosts)


def counts(request: Request, settings: Settings, matched: set[str]) -> bool:
    """Whether *request* is one to record and replay; *matched* are hosts that had one before."""
    if listed(request, settings.ignore_hosts):
        return False
    if is_provider_host(request.host) or listed(request, settings.hosts):
        return True
    where = netloc(request)
    if where in matched:
        return True
    if where in named_hosts() or looks_like_llm(request):
        matched.add(where)
        return True
    return False


def may_count(request: Request, settings: Settings, matched: set[str]) -> bool:
    """Whether `counts` could say yes once the body is known; reads no body."""
    kind = request.header("content-type")
    return "json" in kind or counts(request, settings, matched)


def barred_from_leaving(request: Request, settings: Settings) -> bool:
    """Whether CI's rule forbids to call: CI is set, the host is not here, nobody allowed it."""
    return config.on_ci(os.environ) and not settings.live_on_ci and not is_loopback(request.host)


def placeholder_in(headers: Headers) -> bool:
    """Whether the request would be sent with the placeholder of a missing key."""
    return any(PLACEHOLDER in value for _, value in headers)


def key_variable(family: str) -> str:
    """The environment variable that holds the key of an API family."""
    return next((name for name, owner in KEY_VARIABLES.items() if owner == family), "the API key")
