"""Images in the forms people have them, as the URLs the APIs take."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path

Image = str | bytes | Path

_LONGEST_PATH = 1024
_KINDS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"))


def image_urls(images: Image | Iterable[Image]) -> list[str]:
    """One URL for each of *images*: a path, bytes, a URL, or base64.

    Raises:
        ValueError: one is none of these, or not PNG, JPEG, GIF or WebP; says which.

    """
    many = [images] if isinstance(images, (str, bytes, Path)) else images
    return [_url(image, f"images[{number}]") for number, image in enumerate(many)]


def _url(image: Image, where: str) -> str:
    if isinstance(image, bytes):
        return _data_url(image, where)
    if isinstance(image, Path):
        return _data_url(_read(image, where), where)
    if not isinstance(image, str):
        raise ValueError(  # noqa: TRY004 - one error for all that is no image
            f"{where} is a {type(image).__name__}; pass a path, bytes, a URL or base64"
        )
    if image.startswith(("http://", "https://", "data:")):
        return image
    if len(image) < _LONGEST_PATH and Path(image).is_file():
        return _data_url(_read(Path(image), where), where)
    try:
        data = base64.b64decode("".join(image.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            f"{where} is neither a file, nor a URL, nor base64: {image[:60]!r}"
        ) from None
    return _data_url(data, where)


def _read(path: Path, where: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{where} can't be read: {path}: {error.strerror}") from error


def _data_url(data: bytes, where: str) -> str:
    return f"data:image/{_kind(data, where)};base64,{base64.b64encode(data).decode()}"


def _kind(data: bytes, where: str) -> str:
    for start, kind in _KINDS:
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    raise ValueError(f"{where} is no PNG, JPEG, GIF or WebP: it begins with {data[:8]!r}")
