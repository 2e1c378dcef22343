"""Where a repository is, found by reading files only: no git is run."""

from __future__ import annotations

from pathlib import Path


def git_root(start: Path) -> Path | None:
    """The top of the work tree that *start* lies in, or None."""
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    return None


def git_dir(root: Path) -> Path | None:
    """The git directory of the work tree at *root*, its own where there are several, or None."""
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
    return own if own.is_dir() else None


def common_dir(root: Path) -> Path | None:
    """The git directory that all work trees of the repository at *root* share, or None."""
    own = git_dir(root)
    if own is None or own == root / ".git":
        return own
    try:
        shared = (own / "commondir").read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return own
    return (own / shared).resolve()
