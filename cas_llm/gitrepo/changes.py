"""What commits did to files: who added or deleted which, and the bytes before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cas_llm.gitrepo.running import run_git

_FORM = "--format=%x01%H%x02%ct%x02%an%x02%s"
# Whatever the user's settings say: no signatures, no colours, no renames, plain UTF-8.
_PLAIN = ("--no-show-signature", "--no-color", "--no-renames", "--no-abbrev", "--encoding=UTF-8")
_NOTHING = frozenset("0")


class Commit(NamedTuple):
    """A commit; `committed` is in seconds since 1970."""

    id: str
    committed: int
    author: str
    subject: str


class Change(NamedTuple):
    """What one commit did to one file: its blob before and after, empty where it had none."""

    commit: Commit
    path: str
    before: str
    after: str


def changes(
    root: Path,
    folder: str,
    *,
    revisions: Sequence[str] = ("HEAD",),
    kinds: str = "",
    most: int = 0,
    seconds: float | None = None,
) -> list[Change] | None:
    """What the commits that *revisions* lead to did below *folder*, the newest first.

    *folder* is relative to *root*, the top of the work tree. A rename is a deletion and an
    addition. Of a merge only what none of its parents has counts. *kinds* is among git's letters A
    (added), D (deleted) and M (modified); *most* is how many commits are looked through that did
    such a thing.

    With *seconds*, what was found until then. None where git does not answer, as in a repository
    without a commit.
    """
    limits = [f"--diff-filter={kinds}"] if kinds else []
    limits += [f"--max-count={most}"] if most else []
    # Without --full-history a merge that took one side whole hides what the other side did.
    asked = ("--full-history", "-c", "--raw", "-z", _FORM, *_PLAIN, *limits, *revisions)
    said = run_git(root, "log", *asked, "--", folder, seconds=seconds)
    return None if said is None else list(_parsed(said))


def _parsed(said: bytes) -> Iterator[Change]:
    """The changes of a log; the last one is left out where it was cut."""
    commit, about = None, ""
    for field in said.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        word = field.lstrip("\n")
        if about and commit:
            yield _change(commit, about, field)
            about = ""
        elif word.startswith("\x01"):
            name, when, author, subject = word[1:].split("\x02", 3)
            commit = Commit(name, int(when), author, subject)
        elif word.startswith(":"):
            about = word


def _change(commit: Commit, about: str, path: str) -> Change:
    """A line of ``--raw``: as many colons as parents, then modes, blobs and letters."""
    words = about.split(" ")
    parents = len(about) - len(about.lstrip(":"))
    *before, after = words[parents + 1 : 2 * parents + 2]
    held = (blob for blob in before if not _NOTHING.issuperset(blob))
    return Change(commit, path, next(held, ""), "" if _NOTHING.issuperset(after) else after)
