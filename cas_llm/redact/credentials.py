"""Which words of a request say who asks: they are secrets for that request and its answer.

A client may be handed a key that no variable of the environment holds, and a prompt or an answer
may repeat it. Pure; nothing here keeps what it finds.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from cas_llm.wire import Request

_HEADERS = frozenset(
    {
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "ocp-apim-subscription-key",
        "x-auth-token",
        "x-amz-security-token",
        "x-portkey-api-key",
        "authorization",
        "x-portkey-config",
    }
)
_PARAMETERS = frozenset({"key", "apikey", "api_key", "api-key", "subscription-key", "access_token"})
_CONFIGURED = re.compile(
    r'"(?:api_?key|aws_?secret_?access_?key|aws_?session_?token)"\s*:\s*"([^"\\]+)"', re.IGNORECASE
)


def credentials_of(request: Request) -> tuple[str, ...]:
    """The credentials *request* carries in headers and query, each once, in a fixed order.

    A signature made for one request is none: it opens nothing else, and every request has another.
    """
    found: set[str] = set()
    for name, value in [pair for pair in request.headers if pair[0] in _HEADERS]:
        if name == "authorization":
            words = value.split()
            if 0 < len(words) <= 2:
                found.add(words[-1])
        elif name == "x-portkey-config":
            found.update(_CONFIGURED.findall(value))
        else:
            found.add(value.strip())
    if "=" in request.parts.query:
        pairs = parse_qsl(request.parts.query)
        found.update(value for name, value in pairs if name.lower() in _PARAMETERS)
    return tuple(sorted(found))
