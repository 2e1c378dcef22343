"""What git is in the middle of: a merge, a cherry-pick, a revert or a rebase, and its commits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cas_llm.gitrepo.places import git_dir
from cas_llm.gitrepo.running import run_git

# Which file of the git directory names the other side, and how it is gone on with.
_HEADS = {
    "MERGE_HEAD": "git commit",
    "CHERRY_PICK_HEAD": "git cherry-pick --continue",
    "REVERT_HEAD": "git revert --continue",
    "REBASE_HEAD": "git rebase --continue",
}
_ORDER = ("REBASE_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")


@dataclass(frozen=True)
class Merge:
    """A merge that is not finished: the commits of its sides, the first being HEAD.

    `bases` are commits that both sides have in common, `goes_on` the command that ends it.
    """

    sides: tuple[str, ...]
    bases: tuple[str, ...]
    goes_on: str


def merging(root: Path) -> Merge | None:
    """The merge that the work tree at *root* is in the middle of, or None."""
    folder = git_dir(root)
    for name in _ORDER if folder else ():
        try:
            others = (folder / name).read_text(encoding="ascii").split() if folder else []
        except (OSError, ValueError):
            continue
        if name == "REBASE_HEAD" and not _rebases(folder):
            continue
        head = (run_git(root, "rev-parse", "HEAD") or b"").decode("ascii").split()
        if others and head:
            bases = _bases(root, name, head[0], others)
            if name == "REVERT_HEAD":
                # Undone is what led from the parent to the commit: the sides are the other way.
                bases, others = tuple(others), list(bases)
            return Merge((*head, *others), bases, _HEADS[name])
    return None


def _rebases(folder: Path | None) -> bool:
    """Whether a rebase goes on; git leaves REBASE_HEAD behind when it is over."""
    names = ("rebase-merge", "rebase-apply")
    return folder is not None and any((folder / name).is_dir() for name in names)


def _bases(root: Path, name: str, head: str, others: list[str]) -> tuple[str, ...]:
    if name == "MERGE_HEAD":
        found = [run_git(root, "merge-base", "--all", head, other) for other in others]
    else:
        # One commit is put on top of another: what it changed it changed in its parent.
        found = [run_git(root, "rev-parse", f"{other}^@") for other in others]
    return tuple(dict.fromkeys(word for said in found for word in (said or b"").decode().split()))
