"""Running git: in which repository, with whose index, and for how long at most.

A hook is run with variables that lead git to the repository that is being committed to. cas-llm
looks for repositories by itself, and a store may lie in another one (a submodule, a test's
temporary folder), so that git is asked of the folder it is told and of no other. Nothing here
writes, not even the times that git keeps in its index.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from cas_llm.gitrepo.places import git_dir, git_root

# What `git rev-parse --local-env-vars` lists, but for the index and for settings.
_LEADING = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
_INDEX = "GIT_INDEX_FILE"
# Settings by which a user's log says less, more, or of other files; and the one by which a diff
# notes new times of equal files in the index, which no variable forbids it.
_SETTINGS = {
    "log": ("log.showRoot=true", "log.showSignature=false", "log.follow=false"),
    "diff": ("diff.autoRefreshIndex=false",),
}


def run_git(
    root: Path, *arguments: str, data: bytes | None = None, seconds: float | None = None
) -> bytes | None:
    """What ``git -C root arguments`` prints, or None if git is missing or says no.

    The repository is the one that *root* lies in, whatever ``GIT_DIR`` and its kin say. Its index
    is the one that ``GIT_INDEX_FILE`` names if that is an index of this very repository, so that
    within a hook of ``git commit -a`` the index is what will be committed. Paths stand for
    themselves, never for patterns. A diff of the files on disk also gives those of which only the
    time is another.

    With *seconds* git is ended when they are over, and no server is asked for what a partial clone
    lacks; what it printed until then is given, cut anywhere.
    """
    offline = () if seconds is None else ("-c", "protocol.allow=never")
    # It takes paths, never patterns, and ends with an error where it is told so.
    literal = () if arguments[:1] == ("check-ignore",) else ("--literal-pathspecs",)
    plain = [word for one in _SETTINGS.get(arguments[0], ()) for word in ("-c", one)]
    command = ["git", *literal, *offline, *plain, "-C", str(root), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - arguments are ours, no shell
            command,
            input=data,
            capture_output=True,
            check=True,
            env=variables(root),
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as late:
        return late.stdout or b""
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


def variables(root: Path) -> dict[str, str]:
    """This process's variables, without those that lead to another repository than *root*'s."""
    found = {name: value for name, value in os.environ.items() if name not in _LEADING}
    found["GIT_OPTIONAL_LOCKS"] = "0"
    index = found.pop(_INDEX, "")
    if index and _is_of(root, Path(os.path.abspath(index))):  # noqa: PTH100 - links stay
        found[_INDEX] = os.path.abspath(index)  # noqa: PTH100
    return found


def _is_of(root: Path, index: Path) -> bool:
    """Whether the file *index* may be an index of the repository that *root* lies in.

    It is another's if it lies in another's git directory; one that lies in none is a script's own,
    and belongs to the repository that ``GIT_DIR`` names, if it names one.
    """
    top = git_root(root.absolute())
    own = git_dir(top) if top else None
    if own is None:
        return False
    for folder in index.parents:
        if (folder / "HEAD").is_file():
            return folder.resolve() == own.resolve()
    named = os.environ.get("GIT_DIR", "")
    return not named or Path(named).resolve() == own.resolve()
