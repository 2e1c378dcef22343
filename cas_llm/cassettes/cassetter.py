"""cassetter's cassettes, in YAML and in TOML.

A body has a type: `json` (a value; in TOML its text), `text`, `binary` (hex) or `none`. Calls lie
sorted by method and address, so that their order is told by when each was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cas_llm.cassettes.exchange import ODD, BadCassette, Exchange, headers_of, mapping, was_left_out

CASSETTER = "cassetter"
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def read(document: Any) -> tuple[str, tuple[Exchange, ...]] | None:
    """The dialect and the calls of *document*, None where it is nothing of this kind.

    Raises:
        BadCassette: a call lacks what every call has.

    """
    calls = document.get("interactions") if isinstance(document, Mapping) else None
    if not isinstance(calls, list) or not calls or not all(map(_is_typed, calls)):
        return None
    ordered = sorted(calls, key=lambda call: str(call.get("recorded_at", "")))
    return CASSETTER, tuple(_exchange(one, number) for number, one in enumerate(ordered, 1))


def _is_typed(call: Any) -> bool:
    request = call.get("request") if isinstance(call, Mapping) else None
    if not isinstance(request, Mapping):
        return False
    body = request.get("body")
    return "body_type" in request or (isinstance(body, Mapping) and "type" in body)


def _exchange(call: Mapping[str, Any], number: int) -> Exchange:
    try:
        request, response = call["request"], mapping(call["response"], "response")
        method, headers = str(request["method"]).upper(), headers_of(request.get("headers"))
        body = _body(request)
        return Exchange(
            method=method,
            url=str(request["uri"]),
            headers=headers,
            body=None if was_left_out(method, headers, body) else body,
            status=int(response["status"]),
            answer_headers=headers_of(response.get("headers")),
            answer=_body(response),
            recorded_at=_moment(call.get("recorded_at")),
        )
    except ODD as error:
        raise BadCassette(f"its call {number} cannot be read ({error!r})") from error


def _body(side: Mapping[str, Any]) -> bytes:
    if "body_type" in side:
        kind, content = side["body_type"], side.get("body_content")
        if kind == "json":
            content = json.loads(content) if isinstance(content, str) else content
    else:
        body = mapping(side.get("body", {}), "body")
        kind, content = body.get("type", "none"), body.get("content")
    if kind == "json":
        # As cassetter itself gives it back.
        return json.dumps(content).encode()
    if kind == "text":
        return str("" if content is None else content).encode()
    if kind == "binary":
        return bytes.fromhex("".join(str(content or "").split()))
    if kind != "none":
        raise ValueError(f"a body of the type {kind!r}")
    return b""


def _moment(value: Any) -> str:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return ""
    if not isinstance(value, datetime):
        return ""
    return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC).strftime(_FORMAT)
