"""From a request to its key: redact, normalise, split, write, hash.

Pure. A key record is JSON with these members, each left out where it would be empty::

    k           "cas-llm/key/1"
    api         whose request it is: "openai", "openai@azure", ...
    method      in upper case
    path        as sent
    query       sorted [name, value] pairs, credentials left out; as sent where they aren't UTF-8,
                and [name, value, "decoded"] where they are and look like such
    headers     the few that change an answer; sets of flags are sorted
    namespace   of the project's own
    normalise   the normalisers that were applied, in order (JSON bodies only)
    redacted    version of the redaction rules, where one replaced something
    body        a JSON body; or one of
    multipart   [{name, filename?, type?, headers?, value | digest, ext, length}, ...]
    subtype     of a multipart body that isn't form-data
    form        [name, value] pairs in order
    bytes       {sha256, ext, length, type?}: any other body

Only ``stream: false`` at the top of a body is taken for its absence; no other default is.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from cas_llm.digest import digest_of
from cas_llm.keys import forms
from cas_llm.keys.canonical import NotCanonical, canonical, is_plain, parse, whole
from cas_llm.keys.parts import Part, extension, is_long, keep, may_split, split
from cas_llm.keys.rules import (
    HEADERS,
    KEY_VERSION,
    LIST_HEADERS,
    MAX_DEPTH,
    PLAIN,
    REDACT_VERSION,
    Rules,
    is_credential,
)
from cas_llm.wire import Request

_PLACEHOLDER = re.compile(r"\[cas-llm:([^\[\]\s]+):\d+\]")
_MAX_INFLATED = 1 << 28
_LAYOUT = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE  # of a record; members keep their order
_MAY_BE_EMPTY = ("query", "headers", "namespace", "subtype")


class KeyRecord(NamedTuple):
    """A request's identity.

    `key` is the digest of `data`, the canonical bytes of the record. `parts` are what was split
    out of it, by digest. `redacted` names the classes of secrets that were replaced. `body` is
    the JSON body after redaction and normalisation and before splitting; None when not JSON.
    `path` is the request's, after redaction.
    """

    key: str
    data: bytes
    parts: Mapping[str, Part]
    redacted: tuple[str, ...]
    body: Any
    path: str


class _Redaction:
    """Applies the caller's redaction and remembers what it put in."""

    __slots__ = ("apply", "classes", "hit")

    def __init__(self, apply: Callable[[str], str] | None) -> None:
        self.apply = apply
        self.classes: set[str] = set()
        self.hit = False

    def text(self, text: str) -> str:
        if self.apply is None or not text:
            return text
        clean = self.apply(text)
        if clean is text or clean == text:
            return text
        self.hit = True
        before = set(_PLACEHOLDER.findall(text))
        self.classes.update(c for c in _PLACEHOLDER.findall(clean) if c not in before)
        return clean

    def bytes(self, data: bytes) -> bytes:
        if self.apply is None:
            return data
        text = data.decode("utf-8", "surrogateescape")
        clean = self.text(text)
        if clean is not text:
            return clean.encode("utf-8", "surrogateescape")
        if data[:2] == b"\xff\xfe":  # text as Windows writes it, or an MP3, as chance has it
            try:
                text = data.decode("utf-16-le")
                clean = self.text(text)
                return data if clean is text else clean.encode("utf-16-le")
            except UnicodeError:
                return data
        return data

    def json(self, value: Any, *, plain: bool) -> Any:
        if self.apply is None:
            return value
        text = canonical(value, tag=False, plain=plain).decode()
        clean = self.text(text)
        return value if clean is text else parse(clean.encode())


def key_record(
    request: Request,
    api: str,
    rules: Rules = PLAIN,
    redact: Callable[[str], str] | None = None,
) -> KeyRecord:
    """The key record of *request* to *api*.

    *redact* replaces secrets in a text; it is idempotent and returns the same object where it
    finds none. It sees the body's canonical JSON text, kept headers, query values, path and
    namespace before anything is hashed.

    Raises:
        ConfigError: a normaliser of *rules* is not known or malformed.

    """
    redaction = _Redaction(redact)
    record: dict[str, Any] = {
        "k": KEY_VERSION,
        "api": api,
        "method": request.method.upper(),
        "path": redaction.text(request.path),
    }
    if request.parts.query:
        record["query"] = _query(request.parts.query, redaction)
    record["headers"] = _headers(request.headers, redaction)
    record["namespace"] = redaction.text(rules.namespace)
    body, parts, plain = _add_body(record, request, rules, redaction)
    if redaction.hit:
        record["redacted"] = REDACT_VERSION
    for name in _MAY_BE_EMPTY:
        if name in record and not record[name]:
            del record[name]
    data = canonical(record, plain=plain)
    return KeyRecord(digest_of(data), data, parts, _sorted(redaction.classes), body, record["path"])


def _sorted(classes: set[str]) -> tuple[str, ...]:
    return tuple(sorted(classes)) if classes else ()


def load_record(data: bytes) -> dict[str, Any]:
    """The key record that *data* holds.

    Raises:
        ValueError: not JSON, not a key record, of another version, or not in canonical form.

    """
    record = _parse_record(data)
    if canonical(record) != data:
        raise ValueError("a key record, but not in its canonical form: it was edited or rewritten")
    return record


def rederive(data: bytes) -> str:
    """The key of the record that *data* holds, written anew: equal to its digest if it is intact.

    Raises:
        ValueError: not JSON, not a key record, or of another version.

    """
    return digest_of(canonical(_parse_record(data)))


def _parse_record(data: bytes) -> dict[str, Any]:
    record = parse(data, depth=MAX_DEPTH + 10, layout=_LAYOUT)
    version = record.get("k") if isinstance(record, dict) else None
    if not isinstance(record, dict) or not isinstance(version, str):
        raise ValueError('not a key record: it has no member "k"')  # noqa: TRY004
    if version != KEY_VERSION:
        raise ValueError(f"a key record of {version!r}; this release reads {KEY_VERSION!r}")
    return record


def _query(text: str, redaction: _Redaction) -> list[list[str]]:
    # Credentials go first: what one of them holds must not decide how the rest is read.
    asked = forms.keep_names(text, lambda name: not is_credential(name))
    found = forms.pairs(asked)
    named = forms.raw_pairs(asked) if found is None else found
    kept = sorted([*map(redaction.text, pair)] for pair in named)
    if found is not None and any(forms.looks_raw(part) for pair in kept for part in pair):
        return [[*pair, "decoded"] for pair in kept]
    return kept


def _headers(headers: Iterable[tuple[str, str]], redaction: _Redaction) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in [pair for pair in headers if pair[0] in HEADERS]:
        clean = redaction.text(value.strip())
        kept[name] = f"{kept[name]},{clean}" if name in kept else clean
    for name in kept.keys() & LIST_HEADERS:
        flags = {flag.strip() for flag in kept[name].split(",")}
        kept[name] = ",".join(sorted(flags - {""}))
    return kept


def _add_body(
    record: dict[str, Any], request: Request, rules: Rules, redaction: _Redaction
) -> tuple[Any, dict[str, Part], bool]:
    """Put the body into *record*; returns the JSON body, the parts, and whether it is plain.

    All else in a record is: names are this module's own, values are strings and lengths.
    """
    parts: dict[str, Part] = {}
    if not request.body:
        return None, parts, True
    content_type = request.header("content-type")
    media_type = content_type.partition(";")[0].strip().lower()
    body = _inflated(request.body, request.header("content-encoding").strip().lower())
    if media_type.startswith("multipart/"):
        found = forms.fields(body, content_type)
        if found is not None:
            entries = [_multipart(field, parts, redaction) for field in found]
            for entry in entries:
                if "digest" in entry:
                    entry["ext"] = parts[entry["digest"]].ext
            record["multipart"] = entries
            record["subtype"] = redaction.text(media_type[10:].replace("form-data", ""))
            return None, parts, True
    elif media_type == "application/x-www-form-urlencoded":
        # Only what needs no guess at an encoding: a raw "é" is no other spelling of "%C3%A9".
        pairs = forms.pairs(body.decode("ascii")) if body.isascii() else None
        if pairs is not None:
            record["form"], parts = split([[redaction.text(t) for t in pair] for pair in pairs])
            return None, parts, True
    elif not media_type or "json" in media_type or body[:1] in b"{[":
        try:
            sent = parse(body)
            plain = is_plain(sent)
            if not plain:
                sent = whole(sent)
                plain = is_plain(sent)
            value = redaction.json(sent, plain=plain)
        except NotCanonical:
            pass
        else:
            value = _normalised(value, rules, record)
            if value is not sent:
                plain = is_plain(value)
            if value is not sent or may_split(body):
                record["body"], parts = split(value)
            else:
                record["body"] = value
            return value, parts, plain
    data = redaction.bytes(body)
    digest = keep(Part("txt" if _is_text(data) else "bin", data), parts)
    record["bytes"] = {"sha256": digest, "ext": parts[digest].ext, "length": len(data)}
    if media_type:
        record["bytes"]["type"] = redaction.text(media_type)
    return None, parts, True


def _normalised(value: Any, rules: Rules, record: dict[str, Any]) -> Any:
    if isinstance(value, dict) and value.get("stream") is False:
        value = {name: item for name, item in value.items() if name != "stream"}
    if not rules.normalise:
        return value
    from cas_llm.keys.normalise import normaliser

    record["normalise"] = list(rules.normalise)
    for rule in rules.normalise:
        value = normaliser(rule)(value)
    return value


def _multipart(field: forms.Field, parts: dict[str, Part], redaction: _Redaction) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": redaction.text(field.name)}
    if field.filename is not None:
        entry["filename"] = redaction.text(field.filename)
    if field.type:
        entry["type"] = redaction.text(field.type)
    if field.headers:
        entry["headers"] = [[*map(redaction.text, pair)] for pair in field.headers]
    data = redaction.bytes(field.data)
    if field.filename is None and _is_text(data):
        text = data.decode()
        if not is_long(text):
            return {**entry, "value": text}
    default = "txt" if _is_text(data) else "bin"
    suffix = entry.get("filename", "").rpartition(".")[2]
    ext = extension(entry["type"], default) if field.type else extension(suffix, default)
    return {**entry, "digest": keep(Part(ext, data), parts), "length": len(data)}


def _is_text(data: bytes) -> bool:
    if b"\0" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _inflated(body: bytes, encoding: str) -> bytes:
    """*body* without its gzip or deflate coding: two compressions of one text are one request."""
    if encoding not in {"gzip", "deflate"}:
        return body
    try:
        stream = zlib.decompressobj(47)
        plain = stream.decompress(body, _MAX_INFLATED)
    except zlib.error:
        return body
    return plain if stream.eof and not stream.unused_data else body
