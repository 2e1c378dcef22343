"""The few git questions cas-llm asks: where the repository is, and what git holds of a file.

Finding the repository reads files only; `git` is run for what only git knows.
"""

from __future__ import annotations

from cas_llm.gitrepo.changes import Change, Commit, changes
from cas_llm.gitrepo.files import (
    contents,
    files_at,
    files_in_index,
    sides_in_index,
    versions_of,
)
from cas_llm.gitrepo.merging import Merge, merging
from cas_llm.gitrepo.places import common_dir, git_dir, git_root
from cas_llm.gitrepo.refs import (
    Ref,
    branches,
    current_branch,
    default_branch,
    is_shallow,
    stashes,
    worktrees,
)
from cas_llm.gitrepo.running import run_git

__all__ = [
    "Change",
    "Commit",
    "Merge",
    "Ref",
    "branches",
    "changes",
    "common_dir",
    "contents",
    "current_branch",
    "default_branch",
    "files_at",
    "files_in_index",
    "git_dir",
    "git_root",
    "is_shallow",
    "merging",
    "run_git",
    "sides_in_index",
    "stashes",
    "versions_of",
    "worktrees",
]
