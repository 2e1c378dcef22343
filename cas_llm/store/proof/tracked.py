"""What git holds of a store, held against the disk: level 4 of `verify`.

Asks git a handful of questions for the whole store, never one a file; changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from cas_llm.gitrepo import git_root, run_git
from cas_llm.store import layout
from cas_llm.store.files import read
from cas_llm.store.proof.census import ERROR, INFO, REPAIR, WARNING, Finding

_MODES = {"100644", "100755"}


def compare(root: Path, seen: Callable[[int], None] = lambda _: None) -> Iterator[Finding]:
    """Where git's index and the files of the store at *root* differ, or git could change them."""
    place = root.resolve()
    top = git_root(place)
    if top is None or run_git(top, "rev-parse", "--git-dir") is None:
        why = "recordings that are in no repository reach nobody else"
        yield Finding("CAS050", INFO, ".", "is in no git repository", why, "git init")
        return
    if _is_ignored(top, place):
        why = "no recording will ever be committed"
        command = f"git check-ignore -v {place.relative_to(top).as_posix()}/format"
        yield Finding("CAS053", ERROR, ".", "is ignored by git", why, command)
        return
    yield from _attributes(top, place)
    staged = _staged(place)
    yield from _staged_files(place, staged, seen)
    yield from _untracked(place, staged)


def _is_ignored(top: Path, place: Path) -> bool:
    return run_git(top, "check-ignore", "-q", "--no-index", str(place / "format")) is not None


def _attributes(top: Path, place: Path) -> Iterator[Finding]:
    said = run_git(top, "check-attr", "text", "merge", "--", str(place / layout.OBJECTS / "x.json"))
    for line in (said or b"").decode("utf-8", "replace").splitlines():
        _, name, value = line.rsplit(": ", 2)
        if value != "unset":
            what = f"has the attribute {name} = {value}, it must be unset"
            why = "git would convert or merge recordings; .git/info/attributes can override"
            command = f"git check-attr -a {place.relative_to(top).as_posix()}/objects/x.json"
            yield Finding("CAS054", ERROR, ".gitattributes", what, why, command)


def _staged(place: Path) -> dict[str, tuple[str, str]]:
    """Path below the store to (mode, blob id) for all that the index holds; conflicts as ``!``."""
    listing = run_git(place, "ls-files", "-s", "-z", "--", ".") or b""
    found: dict[str, tuple[str, str]] = {}
    for line in listing.split(b"\0"):
        if line:
            meta, _, name = line.partition(b"\t")
            mode, blob, stage = meta.decode("ascii").split()
            found[name.decode("utf-8", "surrogateescape")] = (mode if stage == "0" else "!", blob)
    return found


def _staged_files(
    place: Path, staged: dict[str, tuple[str, str]], seen: Callable[[int], None]
) -> Iterator[Finding]:
    for name, (mode, blob) in staged.items():
        seen(1)
        try:
            data = read(place / name)
        except OSError:
            if not (place / name).exists():
                why = "it is committed or staged; unless a prune took it, it was lost"
                command = f"git checkout -- {name} (in {place}), or git rm {name}"
                yield Finding("CAS051", ERROR, name, "is tracked but not on disk", why, command)
            continue
        if mode == "!":
            what = "is in conflict"
            yield Finding("CAS055", ERROR, name, what, "a merge is not finished", REPAIR)
        elif mode not in _MODES:
            what = f"is tracked with the mode {mode}"
            yield Finding("CAS055", ERROR, name, what, "it must be a plain file", REPAIR)
        elif _blob_id(data, blob) != blob:
            yield _differs(name, data, blob)


def _differs(name: str, data: bytes, blob: str) -> Finding:
    line_ends = blob in {
        _blob_id(data.replace(b"\r\n", b"\n"), blob),
        _blob_id(data.replace(b"\n", b"\r\n"), blob),
    }
    what = "has other line ends in git" if line_ends else "has other bytes than git's index"
    why = (
        "git or an editor converted them; .gitattributes must say -text"
        if line_ends
        else "it was changed after it was added; recordings never change"
    )
    return Finding("CAS052", ERROR, name, what, why, f"git checkout -- {name}, or git add it")


def _blob_id(data: bytes, like: str) -> str:
    """The id git gives *data*; SHA-1 or SHA-256, as the id it is compared with."""
    name = "sha1" if len(like) == 40 else "sha256"
    header = b"blob %d\0" % len(data)
    return hashlib.new(name, header + data, usedforsecurity=False).hexdigest()


def _untracked(place: Path, staged: dict[str, tuple[str, str]]) -> Iterator[Finding]:
    listing = run_git(place, "ls-files", "-o", "-z", "--", ".") or b""
    for line in sorted(listing.split(b"\0")):
        name = line.decode("utf-8", "surrogateescape")
        if name and not name.startswith(f"{layout.LOCAL}/") and name not in staged:
            why = "whoever clones the repository will miss it"
            command = f"git add {place.name}"
            yield Finding("CAS056", WARNING, name, "is not added to git", why, command)
