"""Undo a response's content encoding as it arrives, where a decoder is at hand."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol


class Decoder(Protocol):
    """Turns encoded bytes into plain ones, piece by piece; raises on damaged input."""

    def feed(self, data: bytes) -> bytes:
        """The plain bytes that *data* completes."""

    def finish(self) -> bytes:
        """What is left at the end."""


class _Plain:
    def __init__(self, feed: Callable[[bytes], bytes], finish: Callable[[], bytes]) -> None:
        self.feed = feed
        self.finish = finish


class _Deflate:
    """HTTP's deflate is zlib's format; some servers send the bare one."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj()
        self._first: bytes | None = b""

    def feed(self, data: bytes) -> bytes:
        if self._first is not None:
            data = self._first + data
            # Two bytes tell the two formats apart.
            self._first = data if len(data) < 2 else None
            if self._first is not None:
                return b""
            try:
                return self._inner.decompress(data)
            except zlib.error:
                self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        return self._inner.decompress(data)

    def finish(self) -> bytes:
        return self._inner.flush()


def _brotli() -> Decoder | None:
    for name in ("brotli", "brotlicffi"):
        if find_spec(name) is not None:
            inner: Any = import_module(name).Decompressor()
            break
    else:
        return None
    feed = getattr(inner, "process", None) or inner.decompress
    return _Plain(feed, lambda: b"")


class _Zstd:
    """A body is one frame or several; a decompressor of the library's reads one."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._inner = make()

    def feed(self, data: bytes) -> bytes:
        plain = b""
        while data:
            if self._inner.eof:
                self._inner = self._make()
            plain += self._inner.decompress(data)
            data = self._inner.unused_data if self._inner.eof else b""
        return plain

    def finish(self) -> bytes:
        rest: bytes = self._inner.flush()
        return rest


def _zstd() -> Decoder | None:
    try:
        import zstandard
    except ImportError:
        return None
    return _Zstd(lambda: zstandard.ZstdDecompressor().decompressobj())


def _gzip() -> Decoder:
    inner = zlib.decompressobj(zlib.MAX_WBITS | 16)
    return _Plain(inner.decompress, inner.flush)


class _GzipMembers:
    """A body of several members, one after the other; what follows the last one is no part."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._first = True
        self._over = False

    def feed(self, data: bytes) -> bytes:
        plain = b""
        while data and not self._over:
            if self._inner.eof:
                self._inner = zlib.decompressobj(zlib.MAX_WBITS | 16)
                self._first = False
            try:
                plain += self._inner.decompress(data)
            except zlib.error:
                if self._first:
                    raise
                self._over = True
            data = self._inner.unused_data
        return plain

    def finish(self) -> bytes:
        return b"" if self._over else self._inner.flush()


_MAKERS: dict[str, Callable[[], Decoder | None]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _Deflate,
    "br": _brotli,
    "zstd": _zstd,
}


SAMPLES = {
    "gzip": bytes.fromhex("1f8b08000000000002ffab00008316dc8c01000000"),
    "x-gzip": bytes.fromhex("1f8b08000000000002ffab00008316dc8c01000000"),
    "deflate": bytes.fromhex("789cab000000790079"),
    "br": bytes.fromhex("0b00807803"),
    "zstd": bytes.fromhex("28b52ffd200109000078"),
}
"""The text ``x`` in each coding, to find out what an HTTP library reads."""

MEMBERS = "gzip members"
"""Stands among the readable codings of a library that reads all members of a gzip body."""
_GZIP = frozenset({"gzip", "x-gzip"})


class _Chain:
    """Several codings on one another, the last one outermost."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def feed(self, data: bytes) -> bytes:
        for decoder in self._decoders:
            data = decoder.feed(data)
        return data

    def finish(self) -> bytes:
        rest = b""
        for decoder in self._decoders:
            rest = (decoder.feed(rest) if rest else b"") + decoder.finish()
        return rest


def names_in(encoding: str) -> list[str]:
    """The codings that the header value *encoding* names, in the order they were applied."""
    names = (name.strip().lower() for name in encoding.split(","))
    return [name for name in names if name not in {"", "identity"}]


def decoder_for(encoding: str, readable: Collection[str] | None = None) -> Decoder | None:
    """A decoder for the header value *encoding*, or None: not encoded, or not to be decoded.

    *readable* are the codings that the reader of the body undoes itself (by default all): what a
    program gets encoded it must get encoded again.
    """
    decoders = []
    for name in reversed(names_in(encoding)):
        if name not in _MAKERS or (readable is not None and name not in readable):
            return None
        members = name in _GZIP and readable is not None and MEMBERS in readable
        decoder = _GzipMembers() if members else _MAKERS[name]()
        if decoder is None:
            return None
        decoders.append(decoder)
    if len(decoders) > 1:
        return _Chain(decoders)
    return decoders[0] if decoders else None
