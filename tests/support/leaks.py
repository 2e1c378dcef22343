"""Looking for secrets in everything that was written: files of all sorts, git's objects too.

A secret counts as found where fourteen characters of it in a row stand anywhere (of a long one,
seventeen), in any of the spellings it may have. What all secrets of a batch have in common (a
prefix, a frame) is no leak.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

WINDOW = 14
_UNIT = re.compile(rb"\\u00([0-7][0-9a-fA-F])")


def spellings(secret: str) -> set[bytes]:
    """*secret* as it is, escaped for JSON, encoded for a URL, and inside any base64."""
    escaped = json.dumps(secret)[1:-1]
    found = {text.encode() for text in (secret, escaped, quote(secret, safe=""))}
    raw = secret.encode()
    found.add(raw.decode().encode("utf-16-le"))
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw)
        coded = coded[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        found |= {coded, coded.replace(b"+", b"-").replace(b"/", b"_")}
    return found


class Needles:
    """What would betray one of *secrets*, which are of one sort."""

    def __init__(self, secrets: Iterable[str]) -> None:
        counts: Counter[bytes] = Counter()
        self.secrets = set(secrets)
        for secret in self.secrets:
            counts.update(
                {form[at : at + WINDOW] for form in spellings(secret) for at in _places(form)}
            )
        self._windows = {window for window, count in counts.items() if count == 1}

    def leaks(self, data: bytes) -> bytes | None:
        """The first piece of a secret in *data*, also where each character is escaped."""
        return self._found(data) or (self._found(_unescaped(data)) if b"\\u" in data else None)

    def _found(self, data: bytes) -> bytes | None:
        seen = (data[at : at + WINDOW] for at in range(len(data) - WINDOW + 1))
        if self._windows.isdisjoint(seen):
            return None
        every = (data[at : at + WINDOW] for at in range(len(data) - WINDOW + 1))
        return next(window for window in every if window in self._windows)

    def __len__(self) -> int:
        return len(self.secrets)


def _unescaped(data: bytes) -> bytes:
    return _UNIT.sub(lambda unit: bytes([int(unit[1], 16)]), data)


def _places(form: bytes) -> range:
    """Where windows of *form* begin: everywhere, but in a long one often enough."""
    return range(0, max(len(form) - WINDOW + 1, 1), 4 if len(form) > 40 else 1)


def everything_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below *folder*, its name in front of its bytes; every git object, unpacked."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file():
            yield name, name.encode() + b"\0" + path.read_bytes()
        if path.is_dir() and path.name == ".git":
            yield f"{name}: its objects", _objects(path)


def _objects(git: Path) -> bytes:
    command = ["git", f"--git-dir={git}", "cat-file", "--batch", "--batch-all-objects"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def leaks_below(folder: Path, needles: Needles) -> dict[str, bytes]:
    """The files below *folder* that hold a piece of a secret, with the piece."""
    found = {}
    for name, data in everything_below(folder):
        leaked = needles.leaks(data)
        if leaked is not None:
            found[name] = leaked
    return found
