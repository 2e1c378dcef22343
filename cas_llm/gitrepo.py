"""The few git questions cas-llm asks: where the repository is, and what git holds of a file.

Finding the repository reads files only; `git` is run for what only git knows.
"""

from __future__ import annotations

import subprocess
from pathlib import Path


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
