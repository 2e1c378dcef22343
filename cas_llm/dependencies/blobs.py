"""What git calls the bytes of a file, told without git.

An id is the one that ``git hash-object`` gives; a file that a filter changes on its way into git
(line endings, large files) has another id there, and counts as edited.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from cas_llm.gitrepo import common_dir

SHA1 = "sha1"
ABSENT = ""
"""The id of a file that is not there."""

_FORMAT = re.compile(r"^\s*objectformat\s*=\s*\"?sha256\"?\s*$", re.IGNORECASE | re.MULTILINE)


def blob_id(data: bytes, algorithm: str = SHA1) -> str:
    """The id that git gives a file of *data*."""
    head = b"blob %d\0" % len(data)
    return hashlib.new(algorithm, head + data, usedforsecurity=False).hexdigest()


def id_of(path: Path, algorithm: str = SHA1) -> str:
    """The id of the file at *path*; `ABSENT` where there is none that can be read."""
    try:
        return blob_id(path.read_bytes(), algorithm)
    except OSError:
        return ABSENT


def algorithm_of(top: Path) -> str:
    """The hash that the repository at *top* names its objects by; git's own default without one."""
    shared = common_dir(top)
    if shared is None:
        return SHA1
    try:
        text = (shared / "config").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return SHA1
    return "sha256" if _FORMAT.search(text) else SHA1
