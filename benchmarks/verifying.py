"""What it costs to prove a whole store, and to prove it again when nothing changed.

Beside it: one thread that hashes every file, which proves that no bit rotted and nothing more;
and what git does with the same files. Run as a program, ``verifying.py STORE`` is that one thread.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measuring import HERE, Command, Effort, Stores, environment, timed
from outcomes import Outcome, ratios

_BASE = "hash every file, one thread"
_NOTE = (
    "Level 3: every name, reference and byte, every key derived anew from its request, the lines "
    "of every tape, and a look for secrets. Whole programs, with the files in the page cache. "
    "For the second row what cas-llm remembers of the store is removed before each run."
)


def verify(stores: Stores, effort: Effort) -> Outcome:
    """Level 3 with nothing remembered, and again with nothing changed, beside bare hashing."""
    outcome = Outcome()
    count = effort.at_most(10_000)
    root = stores.copy("cas-llm", "chat", count)
    # One that keeps what was noted, and whose files are older than the grain of the clock.
    known = stores.copy("cas-llm", "chat", count)
    own = [sys.executable, "-m", "cas_llm", "verify"]
    program = [*own, "--store", str(root)]
    commands = {
        _BASE: Command([sys.executable, str(HERE / "verifying.py"), str(root)], root),
        "cas-llm verify": Command([*program, "--level", "3"], root, lambda: _forget(root)),
        "cas-llm verify, again": Command(
            [sys.executable, "-m", "cas_llm", "verify", "--level", "3", "--store", str(known)],
            known,
        ),
        "cas-llm verify --level 2": Command(
            [*program, "--level", "2"], root, lambda: _forget(root)
        ),
    }
    if effort.peers and _committed(root):
        commands["git fsck, loose objects"] = Command(["git", "fsck", "--no-progress"], root)
        commands["git status"] = Command(["git", "status", "--porcelain"], root)
    time.sleep(3)
    commands["cas-llm verify, again"].run()
    found = timed(commands, min(effort.starts, effort.proofs))
    files = sum(len(names) for _, _, names in os.walk(root / "objects"))
    files += sum(len(names) for _, _, names in os.walk(root / "requests"))
    title = f"Verify {count:,} recordings ({files:,} files of content)"
    outcome.tables.append(ratios(title, found, _BASE, note=_NOTE))
    outcome.held("14", found["cas-llm verify"].over(found[_BASE]))
    outcome.held("15", found["cas-llm verify, again"].over(found[_BASE]))
    return outcome


def _forget(root: Path) -> None:
    shutil.rmtree(root / ".local", ignore_errors=True)


def _committed(root: Path) -> bool:
    """Whether the store is all of a git repository now; not where there is no git."""
    if shutil.which("git") is None:
        return False
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "recordings"]):
        line = ["git", *who, "-c", "gc.auto=0", "-c", "maintenance.auto=false", *words]
        subprocess.run(line, cwd=root, env={**environment(), **own}, check=True)
    return True


def hash_all(root: str) -> int:
    """The number of files under *root* whose bytes were hashed."""
    hashed = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            handle = os.open(f"{folder}/{name}", os.O_RDONLY)
            hashlib.sha256(os.read(handle, 1 << 16)).digest()
            os.close(handle)
            hashed += 1
    return hashed


if __name__ == "__main__":
    print(hash_all(sys.argv[1]))
