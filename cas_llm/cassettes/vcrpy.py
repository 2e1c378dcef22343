"""vcrpy's cassettes, and what is written in their manner: pytest-recording's, the simulator's.

A request's body is a text, bytes, or `parsed_body` (a JSON value that pydantic-ai's serializer
puts in its place); an answer's stands under `string`. Bytes are `!!binary` in YAML.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from cas_llm.cassettes.exchange import (
    ODD,
    BadCassette,
    Exchange,
    headers_of,
    mapping,
    was_left_out,
    without,
)
from cas_llm.wire import header

VCRPY = "vcrpy"
SIMULATOR = "simulator"
# The simulator stores paths; its clients speak Azure's dialect to whatever host it runs on.
_SIMULATED = "https://simulated.openai.azure.com"


def read(document: Any) -> tuple[str, tuple[Exchange, ...]] | None:
    """The dialect and the calls of *document*, None where it is nothing of this kind.

    Raises:
        BadCassette: a call lacks what every call has.

    """
    calls = _calls(document)
    if calls is None:
        return None
    simulated = any("context_values" in one or "body_hash" in one["request"] for one in calls)
    dialect = SIMULATOR if simulated else VCRPY
    return dialect, tuple(_exchange(one, number) for number, one in enumerate(calls, 1))


def _calls(document: Any) -> list[Mapping[str, Any]] | None:
    calls = document.get("interactions") if isinstance(document, Mapping) else None
    if not isinstance(calls, list):
        return None
    for one in calls:
        request = one.get("request") if isinstance(one, Mapping) else None
        if not isinstance(request, Mapping) or "response" not in one:
            return None
        if "uri" not in request and "url" not in request:
            return None
    return calls


def _exchange(call: Mapping[str, Any], number: int) -> Exchange:
    try:
        request, response = call["request"], mapping(call["response"], "response")
        method, body = str(request["method"]).upper(), _bytes(request)
        url = str(request.get("uri", request.get("url")))
        headers = headers_of(request.get("headers"))
        answer_headers = headers_of(response.get("headers"))
        answer, decoded = _answer(response)
        if decoded:
            # It is text by now, though the header may still tell how it came.
            answer_headers = without(answer_headers, ["content-encoding"])
        took = call.get("duration_ms", response.get("duration_ms"))
        return Exchange(
            method=method,
            url=url if "://" in url else f"{_SIMULATED}{url}",
            headers=headers,
            body=None if was_left_out(method, headers, body) else body,
            status=_status(response),
            answer_headers=answer_headers,
            answer=answer,
            recorded_at=date_of(answer_headers),
            seconds=took / 1000 if isinstance(took, (int, float)) else None,
        )
    except ODD as error:
        raise BadCassette(f"its call {number} cannot be read ({error!r})") from error


def _bytes(request: Mapping[str, Any]) -> bytes:
    if request.get("parsed_body") is not None:
        return json.dumps(request["parsed_body"]).encode()
    body = request.get("body")
    if isinstance(body, Mapping):
        body = body.get("string")
    if isinstance(body, (list, tuple)):
        # What was sent piece by piece.
        return b"".join(_as_bytes(piece) for piece in body)
    return b"" if body is None else _as_bytes(body)


def _answer(response: Mapping[str, Any]) -> tuple[bytes, bool]:
    """The body of a response, and whether it stands there as text."""
    if response.get("parsed_body") is not None:
        return json.dumps(response["parsed_body"]).encode(), True
    body = response.get("body", response.get("content"))
    if isinstance(body, Mapping):
        if isinstance(body.get("base64_string"), str):
            return base64.b64decode(body["base64_string"]), False
        body = body.get("string")
    return (b"" if body is None else _as_bytes(body)), isinstance(body, str)


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"a body is {type(value).__name__}")
    return value.encode()


def _status(response: Mapping[str, Any]) -> int:
    status = response.get("status", response.get("status_code"))
    return int(status["code"] if isinstance(status, Mapping) else status)


def date_of(headers: Any) -> str:
    """When the answer was sent, by its `date`; empty where that was not kept."""
    try:
        sent = parsedate_to_datetime(header(headers, "date"))
    except ValueError:
        return ""
    return sent.replace(tzinfo=sent.tzinfo or UTC).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
