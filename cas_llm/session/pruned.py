"""Whether what a miss asks for was recorded once, and which commit took it out of the store.

Asked at a miss and never before: one process of a run asks git one question, which may take a
second, and the others read what it found. No answer is no error: a miss explains itself without it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from cas_llm import gitrepo
from cas_llm.gitrepo import Commit
from cas_llm.store import layout
from cas_llm.store.answer import pretty
from cas_llm.store.past.telling import told_of

SECONDS = 1.0
COMMITS = 1000


class Pruned:
    """What commits took out of the store at `root`; `folder` is that of the run."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self._lock = threading.Lock()
        self._known: Mapping[str, Commit] | None = None

    def note(self, path: str, key: str) -> str:
        """Who took out the file at the store path *path*, and how *key* comes back; else empty."""
        commit = self._deletions().get(path)
        if commit is None:
            return ""
        return f"deleted in {told_of(commit)}; bring it back: cas-llm restore {key[:12]}"

    def _deletions(self) -> Mapping[str, Commit]:
        """The commit that deleted a file, by its store path; asked once."""
        with self._lock:
            if self._known is None:
                # A test may have replaced `subprocess`, `os` or the clock while it asks.
                try:
                    self._known = self._of_run()
                except Exception:  # noqa: BLE001
                    self._known = {}
            return self._known

    def _of_run(self) -> Mapping[str, Commit]:
        """What the run knows: found by this process, or by the one that began to look before."""
        path = self._folder / "deleted.json"
        if not self._is_first():
            return _awaited(path)
        found = deletions(self._root, seconds=SECONDS)
        with contextlib.suppress(OSError):
            new = path.with_suffix(".new")
            new.write_bytes(_document(found))
            new.replace(path)
        return found

    def _is_first(self) -> bool:
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                (self._folder / "deleted.asked").open("xb").close()
            except FileExistsError:
                return False
        return True


def deletions(root: Path, *, seconds: float) -> dict[str, Commit]:
    """The last commit that deleted a key record or an answer, by store path.

    Looks back through the latest thousand commits that did so, as far as git comes in *seconds*.
    Empty where the store is in no repository, or git is not there.
    """
    place = root.resolve()
    top = gitrepo.git_root(place)
    if top is None:
        return {}
    folder = place.relative_to(top).as_posix()
    told = gitrepo.changes(top, folder, kinds="D", most=COMMITS, seconds=seconds)
    start = "" if folder == "." else f"{folder}/"
    found: dict[str, Commit] = {}
    for change in told or ():
        name = change.path.removeprefix(start)
        if layout.is_blob(name):
            found.setdefault(name, change.commit)
    return found


def _document(found: Mapping[str, Commit]) -> bytes:
    commits = list(dict.fromkeys(found.values()))
    numbers = {commit: number for number, commit in enumerate(commits)}
    names = {name: numbers[commit] for name, commit in found.items()}
    return pretty({"commits": [list(commit) for commit in commits], "names": names})


def _awaited(path: Path) -> Mapping[str, Commit]:
    """What another process writes to *path*; nothing where it takes longer than git may."""
    until = time.monotonic() + SECONDS
    while not path.exists():
        if time.monotonic() > until:
            return {}
        time.sleep(0.01)
    document = json.loads(path.read_bytes())
    commits = [Commit(*values) for values in document["commits"]]
    return {name: commits[number] for name, number in document["names"].items()}
