"""An answer as bytes and back: the file format ``cas-llm/answer/1``.

The body is kept in the most readable form that gives back the exact bytes: a JSON value with the
style it was written in, else lines of text, else base64 or a part of its own. `decode` proves the
bytes against the digest noted beside them, so that no JSON library's change can alter an answer.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from cas_llm.digest import digest_of
from cas_llm.errors import ManifestInvalid, ObjectCorrupt
from cas_llm.store import members
from cas_llm.wire import Chunk, Response

FORMAT = "cas-llm/answer/1"
INLINE_TEXT = 256 * 1024
INLINE_BINARY = 1024
_PROBE = 64
# orjson writes 254 levels and the standard library as many as the caller's stack leaves.
_DEEPEST = 100

_EXTENSIONS = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "video/mp4": "mp4",
    "application/pdf": "pdf",
}


@dataclass(frozen=True)
class Answer:
    """A recorded response with its provenance.

    `ask` and `answer` are what a reviewer reads, derived from request and response; `marks` are
    among ``scripted``, ``edited``, ``incomplete`` and ``redacted``.
    """

    key: str
    response: Response
    run: str
    ordinal: int = 1
    test: str = ""
    ask: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


def pretty(value: Any) -> bytes:
    """*value* as the store writes JSON: two spaces, UTF-8, one final newline.

    A lone surrogate, as in a path that is no UTF-8, is written as JSON's own escape.
    """
    if type(value) is dict and value and all(type(name) is str for name in value):
        # Member by member: a small number among the costs doesn't make a long answer slow.
        lines = [f"  {_indented(name)}: {_indented(item)}" for name, item in value.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        text = _slow(value) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _indented(value: Any) -> str:
    """*value* as it stands in an object of the first level; orjson is ten times as fast."""
    if _is_plain(value):
        with contextlib.suppress(TypeError):  # a lone surrogate, a huge integer, too deep
            return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode().replace("\n", "\n  ")
    return _slow(value).replace("\n", "\n  ")


def _slow(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _is_plain(value: Any) -> bool:
    """Whether orjson, whatever its release, writes *value* as the standard library does."""
    pending = [value]
    for item in pending:
        kind = type(item)
        if kind is str or kind is int or kind is bool or item is None:
            continue
        if kind is dict:
            pending += item
            pending += item.values()
        elif kind is list:
            pending += item
        elif kind is not float or not 1e-3 <= abs(item) < 1e6 or item.is_integer():
            return False
    return True


def parse(data: bytes) -> Any:
    """The value in *data*, which `pretty` wrote; raises `ValueError` where it is not JSON."""
    try:
        return orjson.loads(data)
    except ValueError:
        return json.loads(data)  # orjson refuses a lone surrogate


_STYLES: dict[str, Callable[[Any], bytes]] = {
    "compact": lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(),
    "compact-ascii": lambda value: json.dumps(value, separators=(",", ":")).encode(),
    "spaced": lambda value: json.dumps(value, ensure_ascii=False).encode(),
    "spaced-ascii": lambda value: json.dumps(value).encode(),
    "indent-2": lambda value: json.dumps(value, indent=2, ensure_ascii=False).encode(),
    "indent-2-newline": pretty,
    "indent-2-ascii": lambda value: json.dumps(value, indent=2).encode(),
    "indent-4": lambda value: json.dumps(value, indent=4, ensure_ascii=False).encode(),
    "compact-newline": lambda value: _STYLES["compact"](value) + b"\n",
}


# What orjson writes in such a style too, but for some numbers: the digest tells.
_FAST = {
    "compact": 0,
    "indent-2": orjson.OPT_INDENT_2,
    "indent-2-newline": orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
}


def encode(answer: Answer) -> tuple[bytes, dict[str, tuple[str, bytes]]]:
    """The answer's file, and the parts it names as digest to (extension, bytes)."""
    parts: dict[str, tuple[str, bytes]] = {}
    response = answer.response
    document: dict[str, Any] = {
        "format": FORMAT,
        "key": answer.key,
        "run": answer.run,
        "ordinal": answer.ordinal,
    }
    if answer.test:
        document["test"] = answer.test
    document["ask"] = list(answer.ask)
    document["answer"] = list(answer.answer)
    document["status"] = response.status
    document["headers"] = [f"{name}: {value}" for name, value in response.headers]
    document["body"] = _encode_body(response.body, response.header("content-type"), parts)
    if response.chunks:
        document["chunks"] = {
            "lengths": " ".join(str(chunk.length) for chunk in response.chunks),
            "at_ms": " ".join(f"{chunk.at * 1000:.1f}" for chunk in response.chunks),
        }
    document["provenance"] = dict(answer.provenance)
    if answer.marks:
        document["marks"] = sorted(set(answer.marks))
    return pretty(document), parts


def decode(data: bytes, load_part: Callable[[str, str], bytes], *, path: str | Path) -> Answer:
    """The answer in *data*; `load_part` gives the bytes of a (digest, extension).

    Raises:
        ManifestInvalid: *data* is not an answer of this format.
        ObjectCorrupt: the body cannot be given back byte for byte.

    """
    try:
        document = parse(data)
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}, not {FORMAT!r}")
        headers = tuple([_split_header(line) for line in members.lines(document["headers"])])
        body = _decode_body(document["body"], load_part, data, path)
        marks = members.lines(document.get("marks", []))
        provenance = document["provenance"]
        if type(provenance) is not dict:
            raise ValueError("its provenance is no object")
        return Answer(
            key=members.text(document["key"]),
            response=Response(
                status=members.count(document["status"]),
                headers=headers,
                body=body,
                chunks=_decode_chunks(document.get("chunks")),
                incomplete="incomplete" in marks,
            ),
            run=members.text(document["run"]),
            ordinal=members.count(document["ordinal"]),
            test=members.text(document.get("test", "")),
            ask=members.lines(document["ask"]),
            answer=members.lines(document["answer"]),
            provenance=provenance,
            marks=marks,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestInvalid(
            f"{path} is not an answer this version can read ({error!s}); "
            "restore it from git with: cas-llm verify --repair",
            path=Path(path),
        ) from error


def _encode_body(
    body: bytes, content_type: str, parts: dict[str, tuple[str, bytes]]
) -> dict[str, Any]:
    text = _as_text(body)
    if text is None:
        return _encode_binary(body, content_type, parts)
    proof = digest_of(body)
    if body and body[:1] in b"{[":
        styled = _as_json(body)
        if styled is not None and len(body) <= INLINE_TEXT:
            style, value = styled
            return {"json": value, "style": style, "sha256": proof}
    if len(body) > INLINE_TEXT:
        parts[proof] = ("txt", body)
        return {"part": proof, "ext": "txt"}
    return {"text": text.split("\n"), "sha256": proof}


def _encode_binary(
    body: bytes, content_type: str, parts: dict[str, tuple[str, bytes]]
) -> dict[str, Any]:
    if len(body) <= INLINE_BINARY:
        return {"base64": base64.b64encode(body).decode("ascii")}
    ext = _EXTENSIONS.get(content_type.partition(";")[0].strip().lower(), "bin")
    digest = digest_of(body)
    parts[digest] = (ext, body)
    return {"part": digest, "ext": ext}


def _as_text(body: bytes) -> str | None:
    if b"\0" in body[:_PROBE]:
        return None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _as_json(body: bytes) -> tuple[str, Any] | None:
    try:
        value = json.loads(body)
        # What is read back is read by orjson, which turns integers from 2^64 into floats.
        again = orjson.loads(pretty(value))
    except (ValueError, RecursionError):
        return None
    if _depth(value) > _DEEPEST:
        return None
    # Newlines at these places are the layout's own, and no style has them only now and then.
    indented, ended = body[1:2] == b"\n", body.endswith(b"\n")
    for style, write in _STYLES.items():
        try:
            if (
                indented == style.startswith("indent")
                and ended == style.endswith("newline")
                and write(again) == body
            ):
                return style, value
        except (ValueError, RecursionError):
            return None
    return None


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        inner = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for items in inner for child in items if isinstance(child, (dict, list))]
    return depth


def _decode_body(
    body: Mapping[str, Any], load_part: Callable[[str, str], bytes], data: bytes, path: str | Path
) -> bytes:
    if "part" in body:
        return load_part(members.digest(body["part"]), members.extension(body["ext"]))
    if "base64" in body:
        try:
            return base64.b64decode(body["base64"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"its body is not base64: {error}") from error
    proof = body["sha256"]
    if "text" in body:
        return _proved("\n".join(members.lines(body["text"])).encode("utf-8"), proof, path)
    style = body["style"]
    if style in _FAST:
        fast = orjson.dumps(body["json"], option=_FAST[style])
        if digest_of(fast) == proof:
            return fast
    if style not in _STYLES:
        raise ValueError(f"its body has the unknown style {style!r}")
    # The standard library's floats and integers, where orjson's differ.
    value = json.loads(data)["body"]["json"]
    return _proved(_STYLES[style](value), proof, path)


def _proved(body: bytes, proof: str, path: str | Path) -> bytes:
    if digest_of(body) != proof:
        raise ObjectCorrupt(
            f"{path}: the body it gives is not the one that was recorded; "
            "restore it from git with: cas-llm verify --repair",
            digest=proof,
            path=Path(path),
        )
    return body


def _decode_chunks(chunks: Mapping[str, str] | None) -> tuple[Chunk, ...]:
    if not chunks:
        return ()
    lengths, times = chunks["lengths"].split(), chunks["at_ms"].split()
    return tuple(
        Chunk(int(length), float(at) / 1000) for length, at in zip(lengths, times, strict=True)
    )


def _split_header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name, value
