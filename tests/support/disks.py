"""What a power loss may leave of what was written: the states of a disk, from a record of calls.

`Recorded` answers the file functions (see `support.faults`) and remembers each change and each
sync. `Recorded.state` gives one tree of files that the machine may wake up with after it stopped
at a given moment. What was synced is there: a file's bytes once the file was, a folder's entries
once the folder was. Of all else

- ``strict``, which is all that POSIX promises: each entry by itself is there or not, in any
  folder, and a file holds its old bytes, none, some, zeros, or all;
- ``ordered``, as journaling file systems do: entries come to the disk in the order they were made
  and every sync brings all before it, while bytes may still be missing;
- ``torn``, the worst of these for what is written under a final name: every entry is there, and of
  each file only the first half of what was not synced.
"""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.faults import Call

STRICT, ORDERED, TORN = "strict", "ordered", "torn"
_UNSEEN = (".local/runs/", ".local/index.sqlite3", ".local/last-run")
"""Below these lies what may be lost: nothing recorded does."""


@dataclass
class Node:
    """A file or a folder with its history: bytes or entries by time, and when it was synced."""

    folder: bool = False
    versions: list[tuple[int, bytes]] = field(default_factory=list)
    entries: list[tuple[int, str, int | None]] = field(default_factory=list)
    syncs: list[int] = field(default_factory=list)

    def synced(self, moment: int) -> int:
        """The last sync before *moment*; -1 if there was none."""
        return max((sync for sync in self.syncs if sync <= moment), default=-1)


class Recorded:
    """The history of all files below *root*, which is on the disk as it is now."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._numbers = itertools.count()
        self._nodes: dict[int, Node] = {}
        self._places: dict[str, int] = {}
        self._handles: dict[int, int] = {}
        self.moment = 0
        self.acknowledged: list[tuple[int, str, str]] = []
        self._enter_all(str(root))

    def acknowledge(self, what: str, value: str) -> None:
        """Note that the program was given something at this moment."""
        self.acknowledged.append((self.moment, what, value))

    def given_by(self, moment: int) -> dict[str, str]:
        """All that the program had been given before *moment*."""
        return {what: value for when, what, value in self.acknowledged if when <= moment}

    def __call__(self, call: Call) -> Any:
        result = call.run()
        if not any(part in call.path for part in _UNSEEN):
            self._note(call, result)
        return result

    def _note(self, call: Call, result: Any) -> None:
        self.moment += 1
        if call.name in {"open", "create"} and isinstance(result, int):
            if call.path not in self._places:
                self._make(call.path)
            self._handles[result] = self._places[call.path]
        elif call.name == "create":
            raise AssertionError(f"{call.path} is written past the file functions")
        elif call.name == "write":
            node = self._nodes[self._handles[call.args[0]]]
            written = bytes(call.args[1])[:result]
            node.versions.append((self.moment, node.versions[-1][1] + written))
        elif call.name == "fsync":
            self._nodes[self._handles[call.args[0]]].syncs.append(self.moment)
        elif call.name == "mkdir":
            self._make(call.path, folder=True)
        elif call.name == "link":
            self._enter(call.path, self._places[os.fsdecode(call.args[0])])
        elif call.name in {"rename", "replace"}:
            source = os.fsdecode(call.args[0])
            self._enter(call.path, self._places[source])
            self._leave(source)
        elif call.name in {"unlink", "remove", "rmdir"}:
            self._leave(call.path)

    def _make(self, path: str, *, folder: bool = False) -> None:
        number = next(self._numbers)
        self._nodes[number] = Node(folder, [] if folder else [(self.moment, b"")])
        self._enter(path, number)

    def _enter(self, path: str, number: int) -> None:
        self._places[path] = number
        above, _, name = path.rpartition("/")
        if above in self._places:
            self._nodes[self._places[above]].entries.append((self.moment, name, number))

    def _leave(self, path: str) -> None:
        del self._places[path]
        above, _, name = path.rpartition("/")
        self._nodes[self._places[above]].entries.append((self.moment, name, None))

    def _enter_all(self, path: str) -> None:
        self._make(path, folder=True)
        node = self._nodes[self._places[path]]
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            if entry.is_dir():
                self._enter_all(entry.path)
            else:
                self._make(entry.path)
                data = Path(entry.path).read_bytes()
                self._nodes[self._places[entry.path]].versions = [(0, data)]
                self._nodes[self._places[entry.path]].syncs.append(0)
        node.syncs.append(0)

    def state(self, moment: int, manner: str, chance: random.Random) -> dict[str, bytes | None]:
        """Paths to bytes, folders to None, as the disk may hold them after a stop at *moment*.

        How much of what was not synced is there is drawn first, so that all or nothing is common.
        """
        fortune = 1.0 if manner == TORN else chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        cut = moment
        if manner == ORDERED:
            last = max(node.synced(moment) for node in self._nodes.values())
            cut = last + int((moment - last) * fortune)
        found: dict[str, bytes | None] = {}
        self._lay(
            0,
            "",
            moment,
            found,
            lambda when, synced: (
                when <= cut if manner == ORDERED else when <= synced or chance.random() < fortune
            ),
            lambda node: self._bytes(node, moment, manner, fortune, chance),
        )
        return found

    def _lay(self, number: int, path: str, moment: int, found: Any, kept: Any, data: Any) -> None:
        node = self._nodes[number]
        if not node.folder:
            found[path] = data(node)
            return
        found[path] = None
        held: dict[str, int | None] = {}
        stopped: set[str] = set()
        for when, name, child in node.entries:
            # Changes of one name come in order: after one that did not, none did.
            if when > moment or name in stopped:
                continue
            if kept(when, node.synced(moment)):
                held[name] = child
            else:
                stopped.add(name)
        for name, child in held.items():
            if child is not None:
                self._lay(child, f"{path}/{name}", moment, found, kept, data)

    @staticmethod
    def _bytes(
        node: Node, moment: int, manner: str, fortune: float, chance: random.Random
    ) -> bytes:
        known = [(when, data) for when, data in node.versions if when <= moment] or [(0, b"")]
        old = next((d for w, d in reversed(known) if w <= node.synced(moment)), b"")
        new = known[-1][1]
        if manner == TORN:
            return new[: (len(old) + len(new)) // 2]
        if old == new or chance.random() < fortune:
            return new
        some = new[: chance.randrange(len(new) + 1)]
        torn = [old, b"", some]
        if manner == STRICT:
            torn += [bytes(len(new)), some + bytes(len(new) - len(some))]
        return chance.choice(torn)


def lay_out(state: dict[str, bytes | None], folder: Path) -> None:
    """Write a state of the disk below *folder*."""
    for path, data in state.items():
        place = Path(f"{folder}{path}")
        if data is None:
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(data)
