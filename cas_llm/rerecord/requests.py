"""A key record as the request that it stands for, with everything put back that was split out.

Pure. What was taken out for good (a secret, what a normaliser dropped) is not made up: such a
request is refused, and says why.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from cas_llm.keys import restore
from cas_llm.wire import Headers, Request

Load = Callable[[str, str], bytes]
"""Gives the bytes of a part by its digest and extension."""

# What is left of a value that one of these rules replaced.
_REPLACED = {
    "time": re.compile(r"<time(?::\d+)?>"),
    "uuid": re.compile(r"<uuid:\d+>"),
    "tool-call-id": re.compile(r"<call:\d+>"),
}
_BOUNDARY = "cas-llm-7c1e0b94d5a2"


def unsendable(record: Mapping[str, Any], text: str) -> str:
    """Why the request of *record* cannot be sent again; empty where it can.

    *text* is all there is to read in its body.
    """
    if "redacted" in record or "[cas-llm:" in text:
        return "a secret was taken out of it, which it would need; run the program that has it"
    for rule in record.get("normalise", ()):
        word, _, argument = str(rule).partition(":")
        mark = _REPLACED.get(word)
        if word == "regex":
            mark = re.compile(re.escape(f"<{argument.rpartition('=>')[2]}>"))
        if mark is None and word != "tool-order":
            return f"it was recorded under {rule!r}, which may have taken something out of it"
        if mark is not None and mark.search(text):
            return f"{rule!r} took something out of it, which it would need"
    return ""


def request_of(record: Mapping[str, Any], load: Load, origin: str, headers: Headers) -> Request:
    """The request of *record* to *origin*, with *headers* of its own before the recorded ones.

    Raises:
        ValueError: its body is not one that can be written again.

    """
    kind, body = _body(record, load)
    told = [*headers, *record.get("headers", {}).items()]
    if kind:
        told.append(("content-type", kind))
    url = origin + str(record["path"])
    if query := record.get("query"):
        url += f"?{_query(query)}"
    return Request(str(record["method"]), url, tuple(told), body)


def is_stream(record: Mapping[str, Any]) -> bool:
    """Whether the request asks for a stream of events."""
    body = record.get("body")
    return (isinstance(body, Mapping) and body.get("stream") is True) or "stream" in record["path"]


def whole(value: Any, load: Load) -> Any:
    """*value* of a record as it was sent, media included."""
    types: dict[str, str] = {}
    return restore(_media(value, load, types), lambda digest: load(digest, types[digest]))


def _media(value: Any, load: Load, types: dict[str, str]) -> Any:
    """*value* with media as texts again, and the types of all other parts noted in *types*."""
    if isinstance(value, list):
        return [_media(item, load, types) for item in value]
    if not isinstance(value, dict):
        return value
    if "$cas:part" not in value:
        return {name: _media(item, load, types) for name, item in value.items()}
    types[value["$cas:part"]] = value["type"]
    for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        if name in value:
            return value[name] + encode(load(value["$cas:part"], value["type"])).decode()
    return value


def _body(record: Mapping[str, Any], load: Load) -> tuple[str, bytes]:
    """The content type and the bytes of the body."""
    if "body" in record:
        value = whole(record["body"], load)
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return "application/json", text.encode()
    if "form" in record:
        pairs = whole(record["form"], load)
        return "application/x-www-form-urlencoded", urlencode(pairs).encode()
    if "multipart" in record:
        subtype = record.get("subtype") or "form-data"
        pieces = [_field(field, load) for field in record["multipart"]]
        end = f"--{_BOUNDARY}--\r\n".encode()
        return f"multipart/{subtype}; boundary={_BOUNDARY}", b"".join([*pieces, end])
    if "bytes" in record:
        told = record["bytes"]
        return told.get("type", ""), load(told["sha256"], told["ext"])
    return "", b""


def _field(field: Mapping[str, Any], load: Load) -> bytes:
    name = f'form-data; name="{field["name"]}"'
    if "filename" in field:
        name += f'; filename="{field["filename"]}"'
    lines = [f"--{_BOUNDARY}", f"Content-Disposition: {name}"]
    lines += [f"Content-Type: {field['type']}"] if "type" in field else []
    lines += [f"{key}: {value}" for key, value in field.get("headers", ())]
    data = field["value"].encode() if "value" in field else load(field["digest"], field["ext"])
    return "\r\n".join([*lines, "", ""]).encode() + data + b"\r\n"


def _query(pairs: list[list[str]]) -> str:
    plain = [(name, value) for name, value, *_ in pairs]
    return urlencode(plain, quote_via=quote)
