"""The few git questions cas-llm asks: where the repository is, and what git holds of a file.

Finding the repository reads files only; `git` is run for what only git knows.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ref:
    """A branch of this repository or of a remote: its full name, commit, and when that was made.

    `committed` is in seconds since 1970.
    """

    name: str
    commit: str
    committed: int


def git_root(start: Path) -> Path | None:
    """The top of the work tree that *start* lies in, or None."""
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    return None


def common_dir(root: Path) -> Path | None:
    """The git directory that all work trees of the repository at *root* share, or None."""
    marker = root / ".git"
    if marker.is_dir():
        return marker
    try:
        text = marker.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    if not text.startswith("gitdir:"):
        return None
    own = (root / text.removeprefix("gitdir:").strip()).resolve()
    try:
        shared = (own / "commondir").read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return own if own.is_dir() else None
    return (own / shared).resolve()


def run_git(root: Path, *arguments: str, data: bytes | None = None) -> bytes | None:
    """What ``git -C root arguments`` prints, or None if git is missing or says no."""
    try:
        done = subprocess.run(  # noqa: S603 - arguments are ours, no shell
            ["git", "-C", str(root), *arguments],  # noqa: S607 - the user's git
            input=data,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


def versions_of(root: Path, path: Path) -> list[bytes]:
    """What git holds of *path*: the index's content, HEAD's, then each that a commit had."""
    try:
        relative = path.relative_to(root).as_posix()
    except ValueError:
        return []
    found = [run_git(root, "cat-file", "blob", f":{relative}")]
    found.append(run_git(root, "cat-file", "blob", f"HEAD:{relative}"))
    log = run_git(root, "log", "--all", "--format=%H", "--diff-filter=AM", "--", relative) or b""
    found += [
        run_git(root, "cat-file", "blob", f"{commit}:{relative}")
        for commit in log.decode("ascii").split()
    ]
    return [content for content in found if content is not None]


def branches(root: Path) -> list[Ref] | None:
    """All local and remote-tracking branches, or None where git does not say."""
    form = "--format=%(refname) %(objectname) %(committerdate:unix) %(symref)"
    said = run_git(root, "for-each-ref", form, "refs/heads", "refs/remotes")
    if said is None:
        return None
    rows = [line.split(" ") for line in said.decode("utf-8", "surrogateescape").splitlines()]
    return [Ref(name, commit, int(when)) for name, commit, when, symref in rows if not symref]


def default_branch(root: Path) -> str:
    """The short name of the branch all others come from; empty where nothing tells it.

    The first remote's own default if it was fetched, else the one there is of ``init``'s setting,
    ``main`` and ``master``, else the only branch.
    """
    heads = run_git(root, "for-each-ref", "--format=%(symref)", "refs/remotes/*/HEAD")
    remotes = (heads or b"").decode("utf-8", "surrogateescape").split()
    if remotes:
        return remotes[0].split("/", 3)[3]
    listed = run_git(root, "for-each-ref", "--format=%(refname:strip=2)", "refs/heads") or b""
    there = listed.decode("utf-8", "surrogateescape").split()
    configured = (run_git(root, "config", "init.defaultBranch") or b"").decode().strip()
    wanted = [name for name in (configured, "main", "master") if name in there]
    return wanted[0] if wanted else there[0] if len(there) == 1 else ""


def current_branch(root: Path) -> str:
    """The short name of the branch that is checked out; empty on none."""
    said = run_git(root, "symbolic-ref", "-q", "--short", "HEAD") or b""
    return said.decode("utf-8", "surrogateescape").strip()


def is_shallow(root: Path) -> bool:
    """Whether part of the history was left out when the repository was cloned."""
    return (run_git(root, "rev-parse", "--is-shallow-repository") or b"").strip() == b"true"


def stashes(root: Path) -> list[str]:
    """The commits that the stashes consist of: work tree, index and untracked files."""
    said = run_git(root, "log", "-g", "--format=%H %P", "refs/stash", "--") or b""
    found: list[str] = []
    for line in said.decode("ascii").splitlines():
        stash, _base, *others = line.split()
        found += [stash, *others]
    return found


def worktrees(root: Path) -> list[Path]:
    """The folders of all work trees of the repository, the main one first."""
    said = run_git(root, "worktree", "list", "--porcelain") or b""
    lines = said.decode("utf-8", "surrogateescape").splitlines()
    return [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]


def files_at(root: Path, revision: str, folder: str) -> dict[str, str] | None:
    """Path below *folder* to blob id, of all that *revision* holds there; None without it.

    *folder* is relative to *root*, the top of the work tree.
    """
    only = () if folder == "." else ("--", folder)
    said = run_git(root, "ls-tree", "-r", "-z", "--full-tree", revision, *only)
    return None if said is None else _below(folder, said)


def files_in_index(root: Path, folder: str) -> dict[str, str] | None:
    """Path below *folder* to blob id, of all that the index holds; None without an answer.

    Of a file in conflict, one side's.
    """
    said = run_git(root, "ls-files", "-s", "-z", "--full-name", "--", folder)
    return None if said is None else _below(folder, said)


def _below(folder: str, listing: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    start = "" if folder == "." else f"{folder}/"
    for line in listing.split(b"\0"):
        meta, _, name = line.decode("utf-8", "surrogateescape").partition("\t")
        if name:
            words = meta.split()
            # `ls-tree` says mode, kind and id, `ls-files` mode, id and stage.
            found[name.removeprefix(start)] = words[2] if len(words[2]) > 1 else words[1]
    return found


def contents(root: Path, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The bytes of each of *blobs* that git has; one question for all of them."""
    asked = "".join(f"{blob}\n" for blob in blobs)
    said = run_git(root, "cat-file", "--batch", data=asked.encode("ascii")) if asked else b""
    position, said = 0, said or b""
    while position < len(said):
        end = said.index(b"\n", position)
        words = said[position:end].split()
        position = end + 1
        if len(words) == 3:
            size = int(words[2])
            yield words[0].decode("ascii"), said[position : position + size]
            position += size + 1
