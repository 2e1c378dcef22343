"""What lies in a store, told from names alone: level 0 of `verify`, and the start of the others.

Reads folders and the few files a store explains itself with; opens no recording. What it finds
wrong it reports as values; it never raises on what lies on the disk and never changes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path

from cas_llm.errors import StoreError
from cas_llm.store import layout
from cas_llm.store.proof.source import DISK, Source

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
_OWN = {"format", *_FIXED}
_STRANGE = "does not belong into a store"


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
    """The files of the store at `root` by kind, and what is wrong with their names.

    Texts in sorted order, no paths, as there may be millions: `requests` are keys, `objects` a
    digest and its extension, `tapes` paths below the store, `shared` paths below their folder.
    """

    root: Path
    requests: dict[str, None] = field(default_factory=dict)
    objects: dict[str, None] = field(default_factory=dict)
    tapes: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many recordings' files there are."""
        return len(self.requests) + len(self.objects) + len(self.tapes) + len(self.shared)


def take(root: Path) -> Census:
    """The census of the store at *root*."""
    census = Census(root)
    census.findings.extend(_own_files(root, DISK))
    _folder(census, "")
    return census


def of_names(root: Path, names: Iterable[str], source: Source) -> Census:
    """The census of a store that holds *names*, paths below *root*, and whose bytes *source* has.

    What belongs to one machine is foreign here: names are those that others get.
    """
    census = Census(root)
    census.findings.extend(_own_files(root, source))
    takers: dict[str, Callable[[str], str]] = {}
    for path in sorted(names):
        place, _, name = path.rpartition("/")
        if name == layout.KEEP or path in _OWN:
            continue
        if place not in takers:
            takers[place] = _taker(census, place)
        if what := takers[place](name):
            is_local = path.startswith(f"{layout.LOCAL}/")
            what = "belongs to one machine, not into git" if is_local else what
            census.findings.append(_foreign(path, what))
    return census


def expected_text(path: str) -> str | None:
    """The text of a file that explains the store, by its *path* in it; None for any other."""
    return f"{layout.FORMAT}\n" if path == "format" else _FIXED.get(path)


def _own_files(root: Path, source: Source) -> Iterator[Finding]:
    try:
        layout.read_format(root, source.read)
    except (StoreError, OSError, UnicodeDecodeError) as error:
        why = "without it nobody knows how to read the rest"
        yield Finding("CAS001", ERROR, "format", str(error), why, REPAIR)
    else:
        if source.read(f"{root}/format") != f"{layout.FORMAT}\n".encode():
            what = "has other white space or line ends than were written"
            yield Finding("CAS001", WARNING, "format", what, "something rewrites files", REPAIR)
    for name, text in _FIXED.items():
        try:
            # Not as text, which would take one line end for another.
            there = source.read(f"{root}/{name}").decode()
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


def _folder(census: Census, place: str) -> None:
    """Take down the folder *place*, its files first; what a folder is decides what they are."""
    try:
        with os.scandir(f"{census.root}/{place}") as entries:
            found = sorted(entries, key=attrgetter("name"))
    except FileNotFoundError:
        return
    except OSError as error:
        census.findings.append(_unreadable(place, error))
        return
    folders = []
    take_down = _taker(census, place)
    prefix = f"{place}/" if place else ""
    for entry in found:
        name = entry.name
        if entry.is_dir(follow_symlinks=False):
            folders.append(name)
        elif name == layout.KEEP or prefix + name in _OWN | layout.ASIDE:
            continue
        elif not entry.is_file(follow_symlinks=False):
            census.findings.append(_foreign(prefix + name, "is not a plain file"))
        elif what := take_down(name):
            census.findings.append(_foreign(prefix + name, what))
    for name in folders:
        if prefix + name not in layout.ASIDE:
            _folder(census, prefix + name)


def _taker(census: Census, place: str) -> Callable[[str], str]:
    """What notes a name found in the folder *place*, or says what is wrong with it."""
    parts = place.split("/")
    top, shard = parts[0], parts[-1]
    is_shard = _SHARD.match(shard) is not None
    if top in {layout.REQUESTS, layout.OBJECTS}:
        known = census.requests if top == layout.REQUESTS else census.objects
        return partial(_blob, known, top, shard if len(parts) == 2 and is_shard else "")
    if place == layout.TAPES or place.startswith(f"{layout.TAPES}/"):
        return partial(_tape, census.tapes, place)
    if place.startswith(f"{layout.SHARED}/") and len(parts) == 3:
        return partial(_shared, census.shared, shard if is_shard else "")
    return lambda _: _STRANGE


def _blob(known: dict[str, None], top: str, shard: str, name: str) -> str:
    named = _BLOB.match(name)
    if named is None or not shard:
        return "is not named by a digest"
    if top == layout.OBJECTS:
        known[shard + name] = None
    elif named["ext"] == "json":
        known[shard + named["rest"]] = None
    else:
        return "a key record ends in .json"
    return ""


def _tape(known: list[str], place: str, name: str) -> str:
    if layout.TAPE_NAME.match(name) is None:
        return _STRANGE
    known.append(f"{place}/{name}")
    return ""


def _shared(known: list[str], shard: str, name: str) -> str:
    if not shard or layout.SHARED_NAME.match(name) is None:
        return "is not the name of a shared entry"
    known.append(f"{shard}/{name}")
    return ""


def _unreadable(place: str, error: OSError) -> Finding:
    why = "nobody knows what lies in it, so nothing of it is proved"
    command = "look at its permissions and its disk"
    return Finding("CAS005", ERROR, place or ".", f"cannot be read: {error.strerror}", why, command)


def _foreign(place: str, what: str) -> Finding:
    why = "nothing will ever read it; if a recording was renamed, its real name is missing"
    return Finding("CAS004", ERROR, place, what, why, "move it away, or git checkout what it was")
