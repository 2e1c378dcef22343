"""The next command, as it is typed: for the store that was asked about, from the current folder.

Part of the command line; prints nothing.
"""

from __future__ import annotations

import shlex
from pathlib import Path


def command(*words: str, store: Path | None = None) -> str:
    """The command line ``cas-llm`` *words*, for the *store* that ``--store`` named, if it did."""
    named = [] if store is None else ["--store", str(store)]
    return shlex.join(["cas-llm", *words, *named])


def shown(path: Path) -> str:
    """*path* to be typed: from the current folder, where it lies in there, and quoted."""
    try:
        found = path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        found = str(path)
    return shlex.quote(found)
