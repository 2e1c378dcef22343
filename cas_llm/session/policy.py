"""Which requests count, and which of them may leave this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from cas_llm import config
from cas_llm.config import Settings
from cas_llm.providers import BASE_URL_VARIABLES, KEY_VARIABLES, is_provider_host, looks_like_llm
from cas_llm.providers import is_loopback as is_loopback  # noqa: PLC0414 - asked here, too
from cas_llm.wire import Request

PLACEHOLDER = "cas-llm-placeholder-no-key-needed-to-replay"
"""What stands in for a missing provider key in replay; it never leaves the process."""

MODE_HEADER = "x-cas-llm-mode"
REPEAT_HEADER = "x-cas-llm-repeat"
NAMESPACE_HEADER = "x-cas-llm-namespace"
CONTROL_HEADERS = frozenset({MODE_HEADER, REPEAT_HEADER, NAMESPACE_HEADER})

# Where the variable is not the provider's name and `_API_KEY`.
_ODD_VARIABLES = {
    "azure": "AZURE_OPENAI_API_KEY",
    "cohere": "CO_API_KEY",
    "bedrock": "AWS_BEARER_TOKEN_BEDROCK",
    "huggingface": "HF_TOKEN",
    "alibaba": "DASHSCOPE_API_KEY",
    "zhipu": "ZHIPUAI_API_KEY",
}


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
    """Whether CI's rule forbids to call the request's host."""
    return is_barred_host(request.host, settings)


def is_barred_host(host: str, settings: Settings) -> bool:
    """Whether CI's rule forbids to reach *host*: CI is set, it is not here, nobody allowed it."""
    return config.on_ci(os.environ) and not settings.live_on_ci and not is_loopback(host)


def placeholder_in(request: Request) -> bool:
    """Whether the request would be sent with the placeholder of a missing key."""
    return PLACEHOLDER in request.url or any(PLACEHOLDER in value for _, value in request.headers)


def key_variable(api: str) -> str:
    """The environment variable that holds the key of the API named *api*.

    Its provider's own; where that has none, the one the SDK of its family reads.
    """
    family, _, provider = api.partition("@")
    for name in (provider, family):
        # Azure serves other families with keys of their own.
        variable = _ODD_VARIABLES.get(name, f"{name.upper()}_API_KEY")
        if variable in KEY_VARIABLES and (name != "azure" or KEY_VARIABLES[variable] == family):
            return variable
    return "the API key"
