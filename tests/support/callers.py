"""One call through each HTTP library, in the library's own way, and what the program sees of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import aiohttp
import httpx
import requests
import urllib3

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@dataclass(frozen=True)
class Seen:
    """A response as its reader saw it; header names in lower case, the body in pieces."""

    status: int
    headers: Mapping[str, str]
    pieces: tuple[bytes, ...]
    url: str = ""

    @property
    def body(self) -> bytes:
        """All of the body that was read."""
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def told(self) -> tuple[int, str, bytes, tuple[bytes, ...]]:
        """What a replay must tell just as the call did: all but the headers that aren't kept."""
        return self.status, self.headers.get("content-type", ""), self.body, self.pieces


@dataclass(frozen=True)
class Call:
    """What to ask, and how many pieces of the answer to read (None: all)."""

    url: str
    body: Any = None
    headers: Mapping[str, str] | None = None
    take: int | None = None
    method: str = "POST"

    @property
    def data(self) -> bytes:
        """The body as bytes."""
        return json.dumps(BODY if self.body is None else self.body).encode()

    @property
    def sent(self) -> dict[str, str]:
        """The headers with the content type."""
        return {"content-type": "application/json", **(self.headers or {})}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def by_httpx(call: Call) -> Seen:
    with (
        httpx.Client(follow_redirects=True) as client,
        client.stream(call.method, call.url, content=call.data, headers=call.sent) as answer,
    ):
        pieces = tuple(islice(answer.iter_bytes(), call.take))
        return Seen(answer.status_code, _lower(answer.headers), pieces, str(answer.url))


def by_requests(call: Call, session: requests.Session | None = None) -> Seen:
    ask = session.request if session else requests.request
    with ask(
        call.method, call.url, data=call.data, headers=call.sent, stream=True, timeout=20
    ) as answer:
        pieces = tuple(islice(answer.iter_content(None), call.take))
        return Seen(answer.status_code, _lower(answer.headers), pieces, answer.url)


def by_urllib3(call: Call, pool: urllib3.PoolManager | None = None) -> Seen:
    with pool or urllib3.PoolManager() as manager:
        answer = manager.request(
            call.method, call.url, body=call.data, headers=call.sent, preload_content=False
        )
        pieces = tuple(islice(answer.stream(None, decode_content=True), call.take))
        url = answer.geturl() or ""
        if call.take is None:
            answer.release_conn()
        else:
            answer.close()
        return Seen(answer.status, _lower(answer.headers), pieces, url)


def by_urllib3_at_once(call: Call) -> Seen:
    with urllib3.PoolManager() as manager:
        answer = manager.request(call.method, call.url, body=call.data, headers=call.sent)
        pieces = (answer.data,) if answer.data else ()
        return Seen(answer.status, _lower(answer.headers), pieces, answer.geturl() or "")


async def with_aiohttp(call: Call, session: aiohttp.ClientSession | None = None) -> Seen:
    async with session or aiohttp.ClientSession() as client:
        asking = client.request(call.method, call.url, data=call.data, headers=call.sent)
        async with asking as answer:
            pieces = []
            async for piece in answer.content.iter_any():
                pieces.append(piece)
                if len(pieces) == call.take:
                    break
            return Seen(answer.status, _lower(answer.headers), tuple(pieces), str(answer.url))


def by_aiohttp(call: Call) -> Seen:
    return asyncio.run(with_aiohttp(call))


Caller = Callable[[Call], Seen]
STREAMING: dict[str, Caller] = {
    "requests": by_requests,
    "urllib3": by_urllib3,
    "aiohttp": by_aiohttp,
}
CALLERS: dict[str, Caller] = {**STREAMING, "urllib3 at once": by_urllib3_at_once}


def everyone() -> Iterator[Caller]:
    """Every caller there is, the recorded ones of long standing among them."""
    yield by_httpx
    yield from CALLERS.values()
