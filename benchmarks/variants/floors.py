"""What nothing can be faster than, and the smallest store by content that is worth the name.

`ProtoCas` is a yardstick, no peer: it redacts nothing, counts nothing and knows one API.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from asking import UPSTREAM, Call, captured, sdk
from payloads import Kind, renumbered

from variants import Variant


class Floor(Variant):
    """The SDK over a transport that returns constant bytes; recording: one that keeps nothing."""

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        del root
        import httpx2

        body, head = kind.answer(0), {"content-type": kind.content_type}

        def constant(_request: Any) -> Any:
            return httpx2.Response(200, headers=head, content=body)

        return sdk(kind, httpx2.MockTransport(constant), is_async=is_async)

    def recorder(self, root: Path, kind: Kind) -> Call:
        del root
        return sdk(kind, UPSTREAM.transport(kind))

    def is_right(self, result: object, number: int) -> bool:
        del number
        return super().is_right(result, 0)


class OwnTransport(Floor):
    """The SDK with the client and transport it makes for itself, its sending alone replaced."""

    is_async = False

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        del root, is_async
        import httpx2

        body, head = kind.answer(0), {"content-type": kind.content_type}

        def constant(_transport: Any, _request: Any) -> Any:
            return httpx2.Response(200, headers=head, content=body)

        httpx2.HTTPTransport.handle_request = constant  # type: ignore[method-assign]
        return sdk(kind)


def _key(body: bytes) -> str:
    import orjson

    canonical = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()


def _path(root: Path, key: str) -> str:
    return f"{root}/{key[:2]}/{key[2:]}"


def _packed(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() + body


def _looked_up(root: Path, request: bytes) -> bytes:
    """The answer to a request: its key, one file, and the digest that stands at its head."""
    handle = os.open(_path(root, _key(request)), os.O_RDONLY)
    try:
        data = os.read(handle, os.fstat(handle).st_size)
    finally:
        os.close(handle)
    body = memoryview(data)[32:]
    if hashlib.sha256(body).digest() != data[:32]:
        raise ValueError("the file was changed")
    return bytes(body)


class ProtoCas(Variant):
    """Canonical JSON, its SHA-256, one file an entry, its digest checked on each read."""

    durable = False

    def build(self, root: Path, kind: Kind, count: int) -> None:
        for shard in range(256):
            (root / f"{shard:02x}").mkdir(parents=True)
        _, _, template = captured(kind)
        for number in range(count):
            key = _key(renumbered(template, number))
            Path(_path(root, key)).write_bytes(_packed(kind.answer(number)))

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        import httpx2

        head = {"content-type": kind.content_type}

        class Transport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
            def handle_request(self, request: Any) -> Any:
                body = _looked_up(root, request.content)
                return httpx2.Response(200, headers=head, content=body)

            async def handle_async_request(self, request: Any) -> Any:
                return self.handle_request(request)

        return sdk(kind, Transport(), is_async=is_async)

    def recorder(self, root: Path, kind: Kind) -> Call:
        import httpx2

        upstream = UPSTREAM.transport(kind)
        durable = self.durable

        class Transport(httpx2.BaseTransport):
            def handle_request(self, request: Any) -> Any:
                response = upstream.handle_request(request)
                _keep(_path(root, _key(request.content)), response.content, durable=durable)
                return response

        return sdk(kind, Transport())


def _keep(path: str, body: bytes, *, durable: bool) -> None:
    temporary = f"{path}.{os.getpid()}"
    handle = os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o666)
    os.write(handle, _packed(body))
    if durable:
        os.fsync(handle)
    os.close(handle)
    os.rename(temporary, path)
    if durable:
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


class ProtoCasDurable(ProtoCas):
    """The same, with file and folder synced before a call returns."""

    durable = True


class ProtoCasBare(ProtoCas):
    """The look-up alone, on the bytes the SDK would have sent."""

    through_sdk = False
    is_async = False

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        del is_async
        _, _, template = captured(kind)
        return lambda number: _looked_up(root, renumbered(template, number))

    def is_right(self, result: object, number: int) -> bool:
        return isinstance(result, bytes) and f'"chatcmpl-{number}"'.encode() in result[:200]
