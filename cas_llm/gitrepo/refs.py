"""The names git gives to commits: branches, stashes, and the work trees they are checked out in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cas_llm.gitrepo.running import run_git


@dataclass(frozen=True)
class Ref:
    """A branch of this repository or of a remote: its full name, commit, and when that was made.

    `committed` is in seconds since 1970.
    """

    name: str
    commit: str
    committed: int


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
