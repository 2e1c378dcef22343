"""Bodies and queries that aren't JSON: multipart, URL-encoded forms, parameter lists.

Pure. A boundary is chosen at random by each client and never reaches a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*(name|filename)="((?:[^"\\]|\\.)*)"|;\s*(name|filename)=([^\s;]+)')


@dataclass(frozen=True)
class Field:
    """One part of a multipart body; `filename` is None where none was sent."""

    name: str
    filename: str | None
    type: str
    headers: tuple[tuple[str, str], ...]
    data: bytes


def fields(body: bytes, content_type: str) -> list[Field] | None:
    """The parts of a multipart *body* in order; None unless it is one in every byte."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        return None
    mark = b"--" + (found[1] or found[2]).encode()
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(pieces) < 2 or pieces[0] or pieces[-1] not in {b"--", b"--\r\n"}:
        return None
    parts = []
    for piece in pieces[1:-1]:
        head, gap, data = piece.partition(b"\r\n\r\n")
        if not gap or not head.startswith(b"\r\n"):
            return None
        part = _field(head[2:], data)
        if part is None:
            return None
        parts.append(part)
    return parts


def _field(head: bytes, data: bytes) -> Field | None:
    disposition = media_type = ""
    others = []
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        return None
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            return None
        name, value = name.strip().lower(), value.strip()
        if name == "content-disposition":
            disposition = value
        elif name == "content-type":
            media_type = value
        elif name != "content-length":
            others.append((name, value))
    named = {m[1] or m[3]: m[2] if m[1] else m[4] for m in _PARAMETER.finditer(disposition)}
    rest = _PARAMETER.sub("", disposition)
    if rest not in {"", "form-data"}:
        others.append(("content-disposition", rest))
    return Field(
        named.get("name", ""), named.get("filename"), media_type, tuple(sorted(others)), data
    )


def pairs(text: str) -> list[list[str]] | None:
    """Names and values of a URL-encoded *text* in order; None where they aren't UTF-8."""
    try:
        return [list(pair) for pair in parse_qsl(text, keep_blank_values=True, errors="strict")]
    except (UnicodeDecodeError, ValueError):
        return None


def raw_pairs(text: str) -> list[list[str]]:
    """Names and values of a URL-encoded *text* in order, as sent."""
    return [list(piece.partition("=")[::2]) for piece in text.split("&") if piece]


def keep_names(text: str, wanted: Callable[[str], bool]) -> str:
    """A URL-encoded *text* with only those pairs whose decoded name is *wanted*."""
    pieces = text.split("&")
    return "&".join(p for p in pieces if wanted(unquote(p.partition("=")[0].replace("+", " "))))


def looks_raw(text: str) -> bool:
    """Whether *text*, decoded as it is, could stand in `raw_pairs`: what it encodes isn't UTF-8."""
    try:
        unquote(text, errors="strict")
    except UnicodeDecodeError:
        return True
    return False
