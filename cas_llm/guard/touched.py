"""What is wrong with a file by the way it was changed: its mode, its size, what rewrote it.

Looks at one change at a time; what files say of each other is in `store.proof` and `deleted`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from cas_llm.digest import digest_of
from cas_llm.guard.staged import HEAD, Change, Staged
from cas_llm.guard.stored import Stored
from cas_llm.store import layout
from cas_llm.store.proof.census import ERROR, WARNING, Finding

_MODES = {"120000": "a symbolic link", "160000": "another repository"}
_LFS = b"version https://git-lfs.github.com/spec/"
_BOM = b"\xef\xbb\xbf"

# What an answer or a tape holds in itself; check-added-large-files refuses 500 KB by default.
INLINE = 400 * 1024
# A forge warns at the first and refuses a push that holds a file above the second.
_WARNED, _REFUSED = 50 << 20, 100 << 20


def restore(staged: Staged, *paths: str) -> str:
    """The command that brings back what the base has of *paths*."""
    source = f"--source={staged.base[:12]} " if staged.base != HEAD else ""
    return f"git restore {source}--staged --worktree -- {shlex.join(paths)}"


def modes(changes: Iterable[Change]) -> Iterator[Finding]:
    """The files that are none, but a link or another repository."""
    for change in changes:
        if not change.is_deletion and not change.is_file:
            what = f"is {_MODES.get(change.mode, f'of the mode {change.mode}')}, not a plain file"
            why = "a recording must be its own bytes on every machine"
            command = f"git rm --cached -- {shlex.quote(change.path)}"
            yield Finding("CAS055", ERROR, change.path, what, why, command)


def sizes(stored: Stored, changes: Iterable[Change]) -> Iterator[Finding]:
    """The files that are larger than they need be, or than forges take."""
    for change in changes:
        if not change.is_file:
            continue
        size = len(stored.blob(change.new))
        if size > _WARNED:
            severity = ERROR if size > _REFUSED else WARNING
            why = "forges warn above 50 MB and refuse a push with a file above 100 MB"
            command = "record with smaller media, or keep that test's recordings out of git"
            yield Finding("CAS063", severity, change.path, _large(size), why, command)
        elif size > INLINE and change.path.endswith(".json"):
            why = "long texts are parts of their own, for pull requests and common size limits"
            yield Finding("CAS063", WARNING, change.path, _large(size), why)


def damage(stored: Stored, change: Change, found: Finding) -> Finding:
    """*found*, which says that bytes are not those of the name, with what happened to them."""
    data = stored.blob(change.new)
    how = _converted(data, change.path)
    if how:
        what, why = f"was converted: {how}", "no program may rewrite recordings: see .gitattributes"
        command = restore(stored.staged, change.path) if change.old else "cas-llm verify --repair"
        return Finding("CAS062", ERROR, change.path, what, why, command, found.tests)
    if change.old and found.code == "CAS020":
        what = "was edited in place"
        why = "its name is its digest, and whoever has the old bytes will never see the new ones; "
        why += "to change an answer: cas-llm edit"
        command = restore(stored.staged, change.path)
        return Finding("CAS060", ERROR, change.path, what, why, command, found.tests)
    command = restore(stored.staged, change.path) if change.old else _added(stored, change.path)
    return Finding(found.code, ERROR, change.path, found.what, found.why, command, found.tests)


def is_right(path: str, data: bytes) -> bool:
    """Whether *data* has the digest that the name *path* says; True where it says none."""
    folder, _, name = path.rpartition("/")
    if tape := layout.TAPE_NAME.match(name):
        return digest_of(data).startswith(tape["short"])
    stem = folder[-2:] + name.partition(".")[0]
    return len(stem) != 64 or digest_of(data) == stem


def _added(stored: Stored, path: str) -> str:
    """What to do about a broken file that is new."""
    try:
        there = (stored.staged.top / path).read_bytes()
    except OSError:
        there = b""
    if there and is_right(path, there):
        return f"git add -- {shlex.quote(path)}"
    return f"cas-llm verify --repair && git add -- {shlex.quote(stored.folder)}"


def _converted(data: bytes, path: str) -> str:
    """How the bytes in *data* came to be, if undoing it gives the digest of the name."""
    if data.startswith(_LFS):
        return "it is a Git LFS pointer"
    if data.startswith(_BOM) and is_right(path, data[3:]):
        return "it begins with a byte order mark"
    if b"\r\n" in data and is_right(path, data.replace(b"\r\n", b"\n")):
        return "its lines end in CRLF"
    if b"\r\n" not in data and is_right(path, data.replace(b"\n", b"\r\n")):
        return "its lines ended in CRLF"
    ended = data.rstrip(b"\r\n")
    if any(is_right(path, ended + end) for end in (b"", b"\n")):
        return "its final line end was changed"
    return ""


def _large(size: int) -> str:
    return f"has {size / 1e6:.1f} MB"
