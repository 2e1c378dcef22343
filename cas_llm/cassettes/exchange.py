"""One recorded call, whichever tool recorded it, and the cassette it stands in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cas_llm.errors import CasLLMError
from cas_llm.wire import Headers, Request, header

ODD = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)
"""What reading a value raises that is not of the kind it should be."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class BadCassette(CasLLMError):
    """A file is a cassette, and something in it cannot be read."""


@dataclass(frozen=True)
class Exchange:
    """A request and the response it got; the response's body is as it was sent, codings and all.

    A `body` of None is one that the cassette left out. `recorded_at` is a date and time in
    ISO 8601 or empty, `seconds` how long the answer took, None where that is not known.

    Raises:
        ValueError: its URL or its status cannot be one.

    """

    method: str
    url: str
    headers: Headers = ()
    body: bytes | None = b""
    status: int = 200
    answer_headers: Headers = ()
    answer: bytes = b""
    recorded_at: str = ""
    seconds: float | None = None

    def __post_init__(self) -> None:
        _ = self.request.parts.port  # read here, where the file it stands in is known
        if not 100 <= self.status <= 999:
            raise ValueError(f"a status of {self.status}")
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds >= 0):
            object.__setattr__(self, "seconds", None)

    @property
    def request(self) -> Request:
        """The request as it goes over the wire."""
        return Request(self.method, self.url, self.headers, self.body or b"")


@dataclass(frozen=True)
class Cassette:
    """A file of another tool, its dialect, and its calls in the order they were made."""

    path: Path
    dialect: str
    exchanges: tuple[Exchange, ...] = field(default=())


def headers_of(value: Any) -> Headers:
    """The headers in *value*, a mapping of names to a value or several; names in lower case."""
    found: list[tuple[str, str]] = []
    for name, values in value.items() if isinstance(value, Mapping) else ():
        several = values if isinstance(values, (list, tuple)) else [values]
        found += [(text_of(name).lower(), text_of(one)) for one in several if one is not None]
    return tuple(found)


def without(headers: Headers, names: Iterable[str]) -> Headers:
    """*headers* less those called *names*."""
    left_out = frozenset(names)
    return tuple(pair for pair in headers if pair[0] not in left_out)


def text_of(value: Any) -> str:
    """A header's name or value as text, whatever a cassette wrote it as."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def was_left_out(method: str, headers: Headers, body: bytes) -> bool:
    """Whether a request had a body that its cassette does not hold: posted, and none is there."""
    return not body and method in _WITH_BODY and header(headers, "content-length") != "0"


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """*value*, which must be a mapping.

    Raises:
        BadCassette: it is none; says *what* is amiss.

    """
    if not isinstance(value, Mapping):
        raise BadCassette(f"its {what} is no mapping")
    return value
