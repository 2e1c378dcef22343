"""A store as git has it, where tests can replay from it: what is not staged is not there.

Where the store on disk is what git has, that is the store itself. Else it is a folder of links to
the files that are the same, with the others' staged bytes; nothing of the store is written.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from cas_llm.guard.replaying.disk import Disk
from cas_llm.guard.staged import Staged
from cas_llm.store import layout


@contextlib.contextmanager
def as_staged(staged: Staged, folder: str) -> Iterator[Path]:
    """The path of the store in *folder* as *staged* has it; it lasts as long as the context."""
    root = staged.top / folder
    names = differing(staged, folder)
    if not names:
        yield root
        return
    wanted = staged.files(folder)
    with tempfile.TemporaryDirectory(prefix="cas-llm-staged-") as place:
        mirror = Path(place) / root.name
        _mirror(root, mirror, names, wanted, staged)
        yield mirror


def differing(staged: Staged, folder: str) -> frozenset[str]:
    """The paths below *folder* of all files that are not on disk what *staged* has."""
    start = "" if folder == "." else f"{folder}/"
    disk = Disk(staged)
    found = disk.edited(folder) | disk.untracked(folder, ignored=True) | disk.absent(folder)
    names = (path.removeprefix(start) for path in found)
    return frozenset(name for name in names if not name.startswith(f"{layout.LOCAL}/"))


def _mirror(
    root: Path, mirror: Path, names: frozenset[str], wanted: Mapping[str, str], staged: Staged
) -> None:
    apart = {""}
    for name in names:
        while name := name.rpartition("/")[0]:
            apart.add(name)
    for folder in sorted(apart):
        (mirror / folder).mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in os.scandir(root / folder):
                name = f"{folder}/{entry.name}" if folder else entry.name
                if name not in apart and name not in names and name not in layout.ASIDE:
                    _link(Path(entry.path), mirror / name)
    blobs: dict[str, list[str]] = {}
    for name in names & wanted.keys():
        blobs.setdefault(wanted[name], []).append(name)
    for blob, data in staged.contents(blobs):
        for name in blobs[blob]:
            (mirror / name).parent.mkdir(parents=True, exist_ok=True)
            (mirror / name).write_bytes(data)


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source.absolute(), target_is_directory=source.is_dir())
    except OSError:
        # Where links take a permission that people don't have.
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
