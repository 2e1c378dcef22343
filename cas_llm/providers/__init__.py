"""What is peculiar to each API family: its hosts, requests, answers, streams and errors.

Pure: values in, values out. Nothing in this package raises on what a client or a server sent;
`text.text_of`, which reads what a caller passes, is the one exception.
"""

from __future__ import annotations

from cas_llm.providers.base import Generic, Provider, Usage
from cas_llm.providers.families import provider_for
from cas_llm.providers.hosts import (
    BASE_URL_VARIABLES,
    KEY_VARIABLES,
    KNOWN_HOSTS,
    is_provider_host,
)
from cas_llm.providers.identify import (
    PYTHON,
    Api,
    identify,
    is_loopback,
    is_telemetry,
    looks_like_llm,
)

__all__ = [
    "BASE_URL_VARIABLES",
    "KEY_VARIABLES",
    "KNOWN_HOSTS",
    "PYTHON",
    "Api",
    "Generic",
    "Provider",
    "Usage",
    "identify",
    "is_loopback",
    "is_provider_host",
    "is_telemetry",
    "looks_like_llm",
    "provider_for",
]
