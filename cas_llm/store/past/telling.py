"""A commit in words: which, what it says of itself, whose, how long ago. Needs no git."""

from __future__ import annotations

import time

from cas_llm.gitrepo import Commit

_LONGEST_SUBJECT = 60
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))
_LONG_AGO = 100 * 365 * 86400


def told_of(commit: Commit) -> str:
    """A commit in a line: ``1a2b3c4 "Prune" by Ada, 3 days ago``."""
    subject = _plain(commit.subject)
    if len(subject) > _LONGEST_SUBJECT:
        subject = f"{subject[: _LONGEST_SUBJECT - 1]}…"
    return f'{commit.id[:7]} "{subject}" by {_plain(commit.author)}, {_ago(commit.committed)}'


def _ago(when: int) -> str:
    """How long ago *when* was; the day where by the clock it is yet to come, or long past."""
    seconds = int(time.time()) - when
    if not 0 <= seconds < _LONG_AGO:
        return time.strftime("on %Y-%m-%d", time.gmtime(when))
    for length, unit in _UNITS:
        if count := seconds // length:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def _plain(text: str) -> str:
    """*text* without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
