"""The OpenAI SDK as a program uses it, and an upstream that counts who reaches it.

A `Call` takes an entry's number and gives what the SDK gives. With a transport the client speaks
over that; without one over its own, whose every way to the network is counted and refused.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from typing import Any

from payloads import Kind, number_in

Call = Callable[[int], Any]
URL = "https://api.openai.com/v1"


class Upstream:
    """What lies behind a store. A benchmark of replay must leave `reached` at 0."""

    def __init__(self) -> None:
        self.reached = 0

    def bar_network(self) -> None:
        """Count and refuse look-ups and connections of this process."""

        def refuse(*_args: object, **_named: object) -> None:
            self.reached += 1
            raise ConnectionRefusedError("a benchmark never leaves its process")

        socket.getaddrinfo = refuse  # type: ignore[assignment]
        socket.socket.connect = refuse  # type: ignore[method-assign,assignment]
        socket.socket.connect_ex = refuse  # type: ignore[method-assign,assignment]

    def transport(self, kind: Kind) -> Any:
        """A transport that answers each request with its entry's bytes."""
        import httpx2

        def answer(request: Any) -> Any:
            self.reached += 1
            body = kind.answer(number_in(request.content))
            # What makes an answer fit to be kept, for the peers that heed HTTP's own caching.
            head = {"content-type": kind.content_type, "cache-control": "max-age=31536000"}
            return httpx2.Response(200, headers=head, content=body)

        return httpx2.MockTransport(answer)


UPSTREAM = Upstream()


def credential() -> str:
    """A key as long as a real one, so that looking for it in texts costs what it costs."""
    return "sk-" + hashlib.sha256(b"benchmark").hexdigest()[:48]


def sdk(kind: Kind, transport: Any = None, *, is_async: bool = False) -> Call:
    """What asks through the SDK for one entry; an async one gives an awaitable."""
    import httpx2
    import openai

    made = httpx2.AsyncClient if is_async else httpx2.Client
    options: dict[str, Any] = {
        "base_url": URL,
        "api_key": os.environ.get("OPENAI_API_KEY") or credential(),
        "http_client": made(transport=transport) if transport is not None else None,
        "max_retries": 0,
    }
    client: Any = openai.AsyncOpenAI(**options) if is_async else openai.OpenAI(**options)
    resource = client.embeddings if kind.path == "/embeddings" else client.chat.completions

    def ask(number: int) -> Any:
        return resource.create(**kind.arguments(number))

    if not kind.chunked:
        return ask
    return _read_async(ask) if is_async else _read(ask)


def _read(ask: Call) -> Call:
    def read(number: int) -> Any:
        chunks = list(ask(number))
        return chunks[-1] if len(chunks) == 200 else None

    return read


def _read_async(ask: Call) -> Call:
    async def read(number: int) -> Any:
        chunks = [chunk async for chunk in await ask(number)]
        return chunks[-1] if len(chunks) == 200 else None

    return read


def number_of(result: Any) -> int | None:
    """Which entry's answer *result* is, or None where it is nobody's."""
    name = getattr(result, "id", None)
    if isinstance(name, str) and name.rpartition("-")[2].isdigit():
        return int(name.rpartition("-")[2])
    data = getattr(result, "data", None)
    return round(data[0].embedding[0]) if data else None


def captured(kind: Kind) -> tuple[str, tuple[tuple[str, str], ...], bytes]:
    """URL, headers and body of what the SDK really sends for entry 0."""
    import httpx2

    seen: list[Any] = []

    def keep(request: Any) -> Any:
        seen.append(request)
        head = {"content-type": kind.content_type}
        return httpx2.Response(200, headers=head, content=kind.answer(0))

    sdk(kind, httpx2.MockTransport(keep))(0)
    request = seen[0]
    headers = tuple((name.lower(), value) for name, value in request.headers.multi_items())
    return str(request.url), headers, request.content
