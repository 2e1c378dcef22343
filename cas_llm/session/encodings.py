"""Undo a response's content encoding as it arrives, where a decoder is at hand."""

from __future__ import annotations

import zlib
from collections.abc import Callable
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
        self._first = True

    def feed(self, data: bytes) -> bytes:
        if self._first and data:
            self._first = False
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


def _zstd() -> Decoder | None:
    try:
        import zstandard
    except ImportError:
        return None
    inner = zstandard.ZstdDecompressor().decompressobj()
    return _Plain(inner.decompress, inner.flush)


def _gzip() -> Decoder:
    inner = zlib.decompressobj(zlib.MAX_WBITS | 16)
    return _Plain(inner.decompress, inner.flush)


_MAKERS: dict[str, Callable[[], Decoder | None]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _Deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def decoder_for(encoding: str) -> Decoder | None:
    """A decoder for the header value *encoding*, or None: not encoded, or none is installed."""
    names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    names = [name for name in names if name != "identity"]
    if len(names) != 1 or names[0] not in _MAKERS:
        return None
    return _MAKERS[names[0]]()
