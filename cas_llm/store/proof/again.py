"""What an earlier pass of `verify` found, where no file of the store looks different since.

The same bytes under the same names give the same findings, so they are told again without reading
one file. Whatever is not plainly the same is examined; `noted` spares reading what did not change.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cas_llm.store.folders import SETTLED_NS
from cas_llm.store.proof import noted, walk
from cas_llm.store.proof.census import Finding


@dataclass(frozen=True)
class Look:
    """How a store looks: `found` is what was found when it looked the same, None if it never did.

    `place` and `by` are where and under what name findings are noted, `seen_at` is when the look
    began; a `mark` of None is a store that could not be looked at.
    """

    place: Path
    by: str
    seen_at: int
    mark: walk.Mark | None = None
    found: tuple[Finding, ...] | None = None

    def note(self, found: Sequence[Finding]) -> None:
        """Keep *found*, what a whole pass after this look found, for the next time."""
        # A file that changes again within the grain of the clock would look the same.
        if self.mark is not None and self.seen_at - self.mark.latest > SETTLED_NS:
            what = [self.mark.digest, self.mark.files, [asdict(finding) for finding in found]]
            noted.note(self.place, self.by, what)


def look(root: Path, by: str, level: int, *, seen: Callable[[int], None] = lambda _: None) -> Look:
    """How the store at *root* looks; *seen* is told how many files were looked at.

    Only what was found on the same *level* and under the same *by* counts, and by the same user,
    as another one may be refused a file.
    """
    place = root / noted.FOLDER / f"whole-{level}.json"
    by = f"{by} {os.getuid() if hasattr(os, 'getuid') else ''}"
    known, now = noted.recall(place, by), time.time_ns()
    try:
        mark = walk.mark(root, files=known[1] if known else 0, seen=seen)
    except OSError:  # a folder that cannot be read, or went: a finding for whoever examines
        return Look(place, by, now)
    if not known or known[0] != mark.digest:
        return Look(place, by, now, mark)
    found = tuple(Finding(**{**one, "tests": tuple(one["tests"])}) for one in known[2])
    return Look(place, by, now, mark, found)
