"""Long texts, tool lists and media: taken out of a body, put back in.

Pure. In a key record these objects stand for what JSON can't say, or shouldn't say inline:

- ``{"$cas:int": "<digits>"}``: an integer beyond 2^53 - 1;
- ``{"$cas:part": "<digest>", "type": "txt"}``: a string, the part is its UTF-8;
- ``{"$cas:part": "<digest>", "type": "json"}``: a value, the part is its canonical form;
- ``{"$cas:part": "<digest>", "type": "png", "base64": "<prefix>"}``: a string, the prefix followed
  by the part in base64 (``base64url``: in its URL-safe alphabet).

``type`` is the extension of the part's file. Where equal bytes came in as two types they are one
part: a text's ``txt`` wins, then the first of the alphabet.

A member of the user's own whose name starts with ``$cas:`` gets one more ``$cas:`` in front.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cas_llm.digest import digest_of, is_digest
from cas_llm.keys.canonical import NotCanonical, canonical, parse
from cas_llm.keys.rules import LONG_BYTES, LONG_LINES, MEDIA_CHARS

_TAG = "$cas:"
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?[^,]{0,200};base64,")
_TYPE_NAMES = ("media_type", "mime_type", "mimeType", "mediaType", "format")
_EXTENSIONS = {
    "jpeg": "jpg",
    "plain": "txt",
    "markdown": "md",
    "mpeg": "mp3",
    "x-wav": "wav",
    "svg+xml": "svg",
    "octet-stream": "bin",
    "x-m4a": "m4a",
    "quicktime": "mov",
}
_EXTENSION = re.compile(r"[a-z0-9]{1,8}\Z")


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes that stand in a file of their own; `ext` is its extension, without a dot."""

    ext: str
    data: bytes


def extension(media_type: str, default: str = "bin") -> str:
    """The file extension for a media type such as ``image/png``, or a bare ``png``."""
    word = media_type.partition(";")[0].strip().lower().rpartition("/")[2]
    word = _EXTENSIONS.get(word, word)
    return word if _EXTENSION.match(word) else default


def keep(part: Part, parts: dict[str, Part]) -> str:
    """Add *part* to *parts* and return its digest.

    Equal bytes are one part; its extension doesn't depend on the order they were met in.
    """
    digest = digest_of(part.data)
    if digest not in parts or _rank(part) < _rank(parts[digest]):
        parts[digest] = part
    return digest


def _rank(part: Part) -> tuple[bool, str]:
    return part.ext != "txt", part.ext


def is_long(text: str) -> bool:
    """Whether *text* is too long to stand in a record."""
    size = len(text)
    if size > LONG_BYTES or text.count("\n") > LONG_LINES:
        return True
    return size * 4 > LONG_BYTES and len(text.encode()) > LONG_BYTES


def may_split(data: bytes) -> bool:
    """Whether `split` might change a body read from *data*; a look that spares most the walk.

    What is split or escaped has more bytes, more line breaks or media's minimum, is a list of
    tools, or a name with a tag; each shows in the JSON text unless an escape hides it.
    """
    return (
        len(data) > LONG_BYTES
        or b"data" in data
        or b'"tools"' in data
        or b"$cas:" in data
        or b"\\u" in data
        or data.count(b"\\n") > LONG_LINES
    )


def split(body: Any) -> tuple[Any, dict[str, Part]]:
    """*body* as it stands in a record, and the parts taken out of it by digest.

    A body without anything to split or escape comes back as the same object.
    """
    parts: dict[str, Part] = {}
    tools = body.get("tools") if isinstance(body, dict) else None
    data = canonical(_escaped(tools)) if isinstance(tools, dict | list) else b""
    if len(data) > LONG_BYTES:
        rest = {name: value for name, value in body.items() if name != "tools"}
        record = _split(rest, parts, "")
        # a text of the very same bytes has taken the name: then the tools stand inline
        digest = digest_of(data)
        tools_there = _escaped(tools) if digest in parts else _marker(Part("json", data), parts)
        record = {**record, "tools": tools_there}
    else:
        record = _split(body, parts, "")
    _settle(record, parts)
    return record, parts


def _settle(value: Any, parts: Mapping[str, Part]) -> None:
    """Make every marker name the extension that its part ended up with."""
    if not parts:
        return
    pending = [value]
    for item in pending:
        if isinstance(item, dict):
            if "$cas:part" in item:
                item["type"] = parts[item["$cas:part"]].ext
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def parts_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The digests of all parts that a loaded key record needs, with their extensions.

    Raises:
        ValueError: it names one in a way that no key record does.

    """
    try:
        found = _named_parts(record)
        for digest, ext in found.items():
            if not (is_digest(digest) and _EXTENSION.match(ext)):
                raise ValueError(f"a key record, but it names the part {digest!r} with {ext!r}")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a key record, but what names its parts is not: {error}") from None
    return found


def _named_parts(record: Mapping[str, Any]) -> dict[str, str]:
    fields = [field for field in record.get("multipart", ()) if "digest" in field]
    found = {field["digest"]: field["ext"] for field in fields}
    if "bytes" in record:
        found[record["bytes"]["sha256"]] = record["bytes"]["ext"]
    pending: list[Any] = [record.get("body"), record.get("form")]
    for item in pending:
        if isinstance(item, dict):
            if "$cas:part" in item:
                found[item["$cas:part"]] = item["type"]
            pending += item.values()
        elif isinstance(item, list):
            pending += item
    return found


def restore(value: Any, load: Callable[[str], bytes | None], *, with_media: bool = False) -> Any:
    """*value* of a record as it was before `split`.

    *load* gives the bytes of a part by digest; where it gives None, or for media unless
    *with_media*, the marker stays, so that two values still compare by digest.
    """
    if isinstance(value, list):
        return [restore(item, load, with_media=with_media) for item in value]
    if not isinstance(value, dict):
        return value
    if "$cas:int" in value:
        return int(value["$cas:int"])
    if "$cas:part" in value:
        return _restore_part(value, load, with_media)
    return {
        name.removeprefix(_TAG): restore(item, load, with_media=with_media)
        for name, item in value.items()
    }


def _restore_part(
    marker: dict[str, Any], load: Callable[[str], bytes | None], with_media: bool
) -> Any:
    is_media = "base64" in marker or "base64url" in marker
    data = None if is_media and not with_media else load(marker["$cas:part"])
    if data is None:
        return marker
    if "base64" in marker:
        return marker["base64"] + base64.b64encode(data).decode()
    if is_media:
        return marker["base64url"] + base64.urlsafe_b64encode(data).decode()
    if marker["type"] == "json":
        try:
            return restore(parse(data), load)
        except NotCanonical:
            pass
    return data.decode(errors="replace")


def _split(value: Any, parts: dict[str, Part], media_type: str) -> Any:
    """*value* with everything long replaced; the same object where nothing was."""
    if isinstance(value, str):
        return _split_text(value, parts, media_type)
    if isinstance(value, dict):
        own_type = _media_type(value) if "data" in value else ""
        changed = False
        members = {}
        for name, item in value.items():
            if _is_short(item) and not name.startswith(_TAG):
                members[name] = item
                continue
            new = _split(item, parts, own_type if name == "data" else "")
            if name.startswith(_TAG):
                name = _TAG + name  # noqa: PLW2901
                changed = True
            changed = changed or new is not item
            members[name] = new
        return members if changed else value
    if isinstance(value, list):
        items = [item if _is_short(item) else _split(item, parts, "") for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items
    return value


def _is_short(item: Any) -> bool:
    """Whether *item* is a string too short for any part, or a number."""
    kind = type(item)
    return len(item) <= LONG_LINES if kind is str else kind is int or kind is float


def _split_text(text: str, parts: dict[str, Part], media_type: str) -> Any:
    if len(text) >= MEDIA_CHARS:
        if text.startswith("data:") and (match := _DATA_URL.match(text)):
            marker = _media(text, match.end(), match[1] or "", parts)
            if marker is not None:
                return marker
        elif media_type:
            marker = _media(text, 0, media_type, parts)
            if marker is not None:
                return marker
    if len(text) > LONG_LINES and is_long(text):
        return _marker(Part("txt", text.encode()), parts)
    return text


def _media(text: str, start: int, media_type: str, parts: dict[str, Part]) -> Any:
    """The marker of base64 from *start* on; None unless encoding it again gives *text*."""
    coded = text[start:]
    if len(coded) < MEDIA_CHARS or not coded.isascii():
        return None
    url_safe = "-" in coded or "_" in coded
    try:
        data = base64.b64decode(coded, altchars=b"-_" if url_safe else None, validate=True)
    except (binascii.Error, ValueError):
        return None
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    if encode(data).decode() != coded:
        return None
    part = Part(extension(media_type), data)
    return {**_marker(part, parts), "base64url" if url_safe else "base64": text[:start]}


def _marker(part: Part, parts: dict[str, Part]) -> dict[str, Any]:
    return {"$cas:part": keep(part, parts), "type": part.ext}


def _media_type(value: Mapping[str, Any]) -> str:
    if value.get("type") == "text":
        return ""
    for name in _TYPE_NAMES:
        found = value.get(name)
        if isinstance(found, str):
            return found
    return ""


def _escaped(value: Any) -> Any:
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {
            _TAG + name if name.startswith(_TAG) else name: _escaped(item)
            for name, item in value.items()
        }
    return value
