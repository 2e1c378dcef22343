"""What lies in a store, told from names alone: level 0 of `verify`, and the start of the others.

Reads folders and the few files a store explains itself with; opens no recording. What it finds
wrong it reports as values; it never raises on what lies on the disk and never changes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cas_llm.errors import StoreError
from cas_llm.store import layout
from cas_llm.store.manifest import parse_shared
from cas_llm.store.pick import Shared

ERROR = "error"
WARNING = "warning"
INFO = "info"
REPAIR = "cas-llm verify --repair"

_SHARD = re.compile(r"[0-9a-f]{2}\Z")
_BLOB = re.compile(r"(?P<rest>[0-9a-f]{62})\.(?P<ext>[a-z0-9]{1,10})\Z")
_FIXED = {
    ".gitattributes": layout.GITATTRIBUTES,
    ".gitignore": layout.GITIGNORE,
    "README.md": layout.README,
}


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be; `code` never changes its meaning between releases.

    `severity` is ``error``, ``warning`` or ``info``; `path` is relative to the store; `command`
    is the next one to type. `tests` are those that replay from the file.
    """

    code: str
    severity: str
    path: str
    what: str
    why: str = ""
    command: str = ""
    tests: tuple[str, ...] = ()

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"{self.code} {self.severity}: {self.path}: {self.what}{why}"


@dataclass(frozen=True)
class Census:
    """The files of the store at `root` by kind, and what is wrong with their names."""

    root: Path
    requests: dict[str, Path] = field(default_factory=dict)
    objects: dict[tuple[str, str], Path] = field(default_factory=dict)
    tapes: list[Path] = field(default_factory=list)
    shared: dict[Path, Shared] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many recordings' files there are."""
        return len(self.requests) + len(self.objects) + len(self.tapes) + len(self.shared)


def take(root: Path) -> Census:
    """The census of the store at *root*."""
    census = Census(root)
    census.findings.extend(_own_files(root))
    for path in _walk(root):
        _file(census, path)
    return census


def expected_text(path: str) -> str | None:
    """The text of a file that explains the store, by its *path* in it; None for any other."""
    return f"{layout.FORMAT}\n" if path == "format" else _FIXED.get(path)


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        if Path(folder) == root and layout.LOCAL in folders:
            folders.remove(layout.LOCAL)
        folders.sort()
        for name in sorted(names):
            yield Path(folder, name)


def _own_files(root: Path) -> Iterator[Finding]:
    try:
        layout.read_format(root)
    except (StoreError, OSError, UnicodeDecodeError) as error:
        why = "without it nobody knows how to read the rest"
        yield Finding("CAS001", ERROR, "format", str(error), why, REPAIR)
    else:
        if (root / "format").read_bytes() != f"{layout.FORMAT}\n".encode():
            what = "has other white space or line ends than were written"
            yield Finding("CAS001", WARNING, "format", what, "something rewrites files", REPAIR)
    for name, text in _FIXED.items():
        try:
            there = (root / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            there = ""
        if there == text:
            continue
        lost = sorted(rules_of(text) - rules_of(there)) if name != "README.md" else []
        if lost:
            what = f"lacks the line {lost[0]!r}" if there else "is missing or empty"
            why = "git may then convert or merge recordings, or track what belongs to one machine"
            yield Finding("CAS002", ERROR, name, what, why, REPAIR)
        else:
            what = "differs from what this version writes" if there else "is missing"
            yield Finding("CAS003", INFO, name, what, "nothing reads it", "" if there else REPAIR)


def rules_of(text: str) -> set[str]:
    """The lines of a git file that say something."""
    return {line for line in text.splitlines() if line.strip() and not line.startswith("#")}


def _file(census: Census, path: Path) -> None:
    place = path.relative_to(census.root)
    top, name = place.parts[0], path.name
    if name == layout.KEEP or place.as_posix() in {"format", *_FIXED}:
        return
    if path.is_symlink() or not path.is_file():
        census.findings.append(_foreign(place, "is not a plain file"))
    elif top in {layout.REQUESTS, layout.OBJECTS}:
        _blob(census, path, place)
    elif place.as_posix().startswith(f"{layout.TAPES}/") and layout.TAPE_NAME.match(name):
        census.tapes.append(path)
    elif place.as_posix().startswith(f"{layout.SHARED}/") and len(place.parts) == 4:
        entry = parse_shared(path.parent.name, name)
        if entry is None or not _SHARD.match(path.parent.name):
            census.findings.append(_foreign(place, "is not the name of a shared entry"))
        else:
            census.shared[path] = entry
    else:
        census.findings.append(_foreign(place))


def _blob(census: Census, path: Path, place: Path) -> None:
    named = _BLOB.match(path.name)
    shard = place.parts[1]
    if named is None or len(place.parts) != 3 or not _SHARD.match(shard):
        census.findings.append(_foreign(place, "is not named by a digest"))
        return
    digest, ext = shard + named["rest"], named["ext"]
    if place.parts[0] == layout.OBJECTS:
        census.objects[digest, ext] = path
    elif ext == "json":
        census.requests[digest] = path
    else:
        census.findings.append(_foreign(place, "a key record ends in .json"))


def _foreign(place: Path, what: str = "does not belong into a store") -> Finding:
    why = "nothing will ever read it; if a recording was renamed, its real name is missing"
    return Finding(
        "CAS004", ERROR, place.as_posix(), what, why, "move it away, or git checkout what it was"
    )
