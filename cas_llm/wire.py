"""What goes over the wire, as values: no HTTP library, no file, no clock.

Header names are lower case everywhere. Values are frozen, so that they can be shared between
threads and kept in logs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from urllib.parse import SplitResult, urlsplit

Headers = tuple[tuple[str, str], ...]


def header(headers: Headers, name: str) -> str:
    """The first value of header *name* (lower case), or an empty string."""
    for key, value in headers:
        if key == name:
            return value
    return ""


# A program asks few URLs, many times each, and a request's is looked at from a dozen places.
@lru_cache(maxsize=512)
def _parts(url: str) -> SplitResult:
    return urlsplit(url)


@lru_cache(maxsize=512)
def _host(url: str) -> str:
    return _parts(url).hostname or ""


@lru_cache(maxsize=512)
def _port(url: str) -> int | None:
    return _parts(url).port


@dataclass(frozen=True)
class Request:
    """One HTTP request: `method` in upper case, absolute `url`, `headers`, whole `body`."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    @property
    def parts(self) -> SplitResult:
        """The URL taken apart."""
        return _parts(self.url)

    @property
    def host(self) -> str:
        """Host name in lower case, without port."""
        return _host(self.url)

    @property
    def port(self) -> int | None:
        """The port the URL names, or None."""
        return _port(self.url)

    @property
    def path(self) -> str:
        """Path as sent, never empty."""
        return self.parts.path or "/"

    @cached_property
    def _first(self) -> dict[str, str]:
        return dict(reversed(self.headers))

    def header(self, name: str) -> str:
        """The first value of header *name* (lower case), or an empty string."""
        return self._first.get(name, "")

    def __str__(self) -> str:
        return f"{self.method} {self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed body: `length` in bytes, `at` in seconds after the request began."""

    length: int
    at: float


@dataclass(frozen=True)
class Response:
    """One HTTP response with its decoded body.

    `chunks` are the pieces of a streamed body as they arrived; their lengths sum up to
    ``len(body)``. They are empty for a body that came as a whole. `incomplete` says that the
    reader closed the stream before its end.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    chunks: tuple[Chunk, ...] = field(default=())
    incomplete: bool = False

    def header(self, name: str) -> str:
        """The first value of header *name* (lower case), or an empty string."""
        return header(self.headers, name)
