"""A file as a cassette: told by what stands in it, whatever it is called.

Reads files, changes none. What is no cassette is no error: a folder of cassettes holds other files
too.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tomllib
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cas_llm.cassettes import cassetter, completion_cache, safe_yaml, vcrpy
from cas_llm.cassettes.exchange import BadCassette, Cassette
from cas_llm.errors import CasLLMError

SUFFIXES = frozenset({".yaml", ".yml", ".json", ".toml"})
"""What a file in a named folder must end in to be looked at; `.gz` may follow."""
_LARGEST = 256 << 20

# cassetter's is vcrpy's with more said about each body, so it is asked first.
_DIALECTS = (cassetter.read, vcrpy.read, completion_cache.read)


def files_of(places: Iterable[Path]) -> list[Path]:
    """The files to look at: those that are named, and those of a kind in folders, sorted.

    Raises:
        CasLLMError: there is no such file or folder.

    """
    found: dict[Path, None] = {}
    for place in places:
        if place.is_dir():
            found |= dict.fromkeys(_below(place))
        elif place.is_file():
            found[place] = None
        else:
            raise CasLLMError(f"{place}: there is no such file or folder; name your cassettes'")
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            plain = path.with_suffix("") if path.suffix == ".gz" else path
            # A pipe would be waited for, and a device has no end.
            if plain.suffix.lower() in SUFFIXES and path.is_file():
                yield path


def read(path: Path) -> Cassette | None:
    """The cassette in the file *path*; None where it holds something else.

    Raises:
        BadCassette: it is one, and cannot be read; or it is cut off or damaged.

    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if data[:2] == b"\x1f\x8b":
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadCassette(f"it cannot be read ({error})") from error
    if len(data) > _LARGEST:
        raise BadCassette(f"it holds more than {_LARGEST >> 20} MB")
    document = _document(path, data)
    for dialect in _DIALECTS:
        found = dialect(document)
        if found is not None:
            return Cassette(path, *found)
    return None


def _document(path: Path, data: bytes) -> Any:
    """The value in *data*, in whichever of the three languages it is written."""
    start = data.lstrip()[:1]
    if start in b"{[" and start:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            pass  # a YAML mapping in braces, or a TOML table
    if ".toml" in path.suffixes:
        try:
            return tomllib.loads(data.decode())
        except (ValueError, RecursionError) as error:
            raise BadCassette(f"it is not TOML ({error})") from error
    return safe_yaml.load(data)
