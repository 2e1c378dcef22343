"""Which tests' tapes differ from another revision's: asked of git and the disk, no network.

A tape's name carries its digest, so that names alone tell what changed; only changed ones are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cas_llm import gitrepo
from cas_llm.errors import CasLLMError
from cas_llm.store import layout


@dataclass(frozen=True)
class Changed:
    """The tests with other tapes than at `base`, the commit where this branch and *revision* part.

    `new` had none there, `anew` have another take, `gone` have none here; `pruned` lost only
    takes that another one supersedes.
    """

    base: str
    new: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()


def changed(root: Path, revision: str) -> Changed:
    """How the tapes of the store at *root* differ from where HEAD left *revision*.

    Raises:
        CasLLMError: git does not know the revision, or where the two part.

    """
    place = root.resolve()
    top = gitrepo.git_root(place)
    if top is None:
        raise CasLLMError(
            f"--base {revision}: {root} is in no git repository; leave --base out, or run it in "
            "the clone"
        )
    base = base_of(top, revision, said="--base ")
    folder = f"{place.relative_to(top).as_posix()}/{layout.TAPES}".removeprefix("./")
    before = gitrepo.files_at(top, base, folder)
    if before is None:
        raise CasLLMError(
            f"--base {revision}: git cannot list {folder} at {base[:12]}; see why with: "
            f"git ls-tree -r --name-only {base[:12]} {folder}"
        )
    before = {name: blob for name, blob in before.items() if name.endswith(".json")}
    tapes = place / layout.TAPES
    now = {path.relative_to(tapes).as_posix(): path for path in tapes.rglob("*.json")}
    return _compared(top, base, before, now)


def base_of(top: Path, revision: str, *, said: str = "") -> str:
    """The commit where HEAD left *revision*, in the repository at *top*.

    Raises:
        CasLLMError: git does not know the revision, or where the two part; *said* is the option
            that named it.

    """
    asked = ("rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    commit = gitrepo.run_git(top, *asked)
    if commit is None:
        name = revision.rpartition("/")[2]
        # No server has a name for what is counted from another commit.
        fetch = "--unshallow" if {*"~^@{:"}.intersection(name) else f"origin {name}"
        raise CasLLMError(
            f"{said}{revision}: git does not know it here; fetch it first, as by "
            f"git fetch {fetch}  (actions/checkout: fetch-depth: 0)"
        )
    base = gitrepo.run_git(top, "merge-base", commit.decode().strip(), "HEAD")
    if base is None:
        raise CasLLMError(
            f"{said}{revision}: git does not know where it and HEAD part; the clone may be "
            "shallow: git fetch --unshallow  (actions/checkout: fetch-depth: 0)"
        )
    return base.decode().split()[0]


def _compared(top: Path, base: str, before: dict[str, str], now: dict[str, Path]) -> Changed:
    had, has = set(map(_owner, before)), set(map(_owner, now))
    added, removed = sorted(now.keys() - before.keys()), sorted(before.keys() - now.keys())
    touched = set(map(_owner, added))
    names = {_owner(name): _scope(now[name].read_bytes(), name) for name in added}
    names |= dict(_scopes_at(top, {name: before[name] for name in removed}))
    lost = {_owner(name) for name in removed} - touched
    return Changed(
        base,
        new=_named(names, touched - had),
        anew=_named(names, touched & had),
        gone=_named(names, lost - has),
        pruned=_named(names, lost & has),
    )


def _scopes_at(top: Path, blobs: dict[str, str]) -> Iterator[tuple[str, str]]:
    by_blob = {blob: name for name, blob in blobs.items()}
    for blob, data in gitrepo.contents(top, by_blob):
        yield _owner(by_blob[blob]), _scope(data, by_blob[blob])


def _owner(name: str) -> str:
    """What all tapes of one test share: the path less take and digest."""
    folder, _, last = name.rpartition("/")
    found = layout.TAPE_NAME.match(last)
    return f"{folder}/{found['stem'] if found else last}"


def _scope(data: bytes, name: str) -> str:
    """The test a tape is of; by its path where it cannot be read."""
    try:
        return str(json.loads(data)["scope"])
    except (ValueError, KeyError, TypeError):
        return name


def _named(names: dict[str, str], owners: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names.get(owner, owner) for owner in owners))
