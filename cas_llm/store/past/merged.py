"""What a merge left of a store: which files are in pieces, dropped or misnamed, and their bytes.

Works on paths and bytes; writes nothing. `resolving` carries out what is found here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cas_llm import gitrepo
from cas_llm.errors import FormatTooNew, StoreError
from cas_llm.gitrepo import Merge
from cas_llm.store import layout, tape
from cas_llm.store.files import read
from cas_llm.store.past.entries import About, entries, is_tape, joined
from cas_llm.store.past.memory import Memory
from cas_llm.store.proof.census import expected_text
from cas_llm.store.pruning.naming import Naming, RecordParts
from cas_llm.store.pruning.trees import Tree, on_disk

OWN = ("format", ".gitattributes", ".gitignore", "README.md")

ANEW = "written as this version writes it"
EMPTIED = "emptied: its name is all it says"
REPLACED = "its own bytes put back; what was there lies in .local/bad/"
KEPT = "kept: a side has it"
NAMED = "brought back: an entry that stays names it"
ASIDE = "moved to .local/bad/: no side has the bytes of this name"
FITS = "kept as it is: its bytes are its name's"

_MARKER = b"<<<<<<< "


@dataclass(frozen=True)
class Step:
    """What is done about the store path `path`; `data` are its bytes then, None where it goes."""

    path: str
    what: str
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Resolution:
    """How a merge is mended: `steps` in their order; `goes_on` is the command that ends it.

    `by_hand` are files that are no recording's, so that only a person knows; `nowhere` are those
    that an entry names and git does not have.
    """

    steps: tuple[Step, ...]
    by_hand: tuple[str, ...]
    nowhere: tuple[str, ...]
    goes_on: str


class Mending:
    """One merge: what each side has, what is in conflict, what lies in the work tree."""

    def __init__(
        self, memory: Memory, merge: Merge | None, conflicts: Mapping[str, Mapping[int, str]]
    ) -> None:
        self._memory = memory
        self._top = memory.top or memory.root
        self._conflicts = conflicts
        self._merge = merge
        sides, bases = (merge.sides, merge.bases) if merge else (("HEAD",), ())
        self._sides = [self._files(commit) for commit in sides]
        self._bases = [self._files(commit) for commit in bases]
        self._disk = on_disk(memory.root)
        staged = {name: tuple(blobs.values()) for name, blobs in conflicts.items()}
        self._places = [
            memory.remembered("the conflict", staged),
            *(memory.tree("a side", files) for files in (*self._sides, *self._bases)),
        ]

    def resolution(self, parts_of: RecordParts) -> Resolution:
        """What is to be done; raises `FormatTooNew` where a side is a later version's."""
        self._refuse_later_formats()
        steps = {step.path: step for step in (*self._own(), *self._recordings())}
        named, nowhere = self._named(steps, parts_of)
        steps |= {step.path: step for step in named}
        known = {*OWN, *steps}
        by_hand = [n for n in self._conflicts if n not in known and not _is_store_file(n)]
        ordered = sorted(steps.values(), key=lambda one: (layout.is_entry(one.path), one.path))
        return Resolution(
            tuple(ordered),
            tuple(sorted(by_hand)),
            nowhere,
            self._merge.goes_on if self._merge else "",
        )

    def _files(self, revision: str) -> Mapping[str, str]:
        return gitrepo.files_at(self._top, revision, self._memory.folder) or {}

    def _refuse_later_formats(self) -> None:
        blobs = {files["format"] for files in self._sides if "format" in files}
        ours, _, _version = layout.FORMAT.rpartition("/")
        for _, data in gitrepo.contents(self._top, blobs):
            said = data.decode("utf-8", "replace").strip()
            family, _, version = said.rpartition("/")
            if said != layout.FORMAT and family == ours and version.isdigit():
                raise FormatTooNew(
                    f"one side's format is {said!r}, this cas-llm reads {layout.FORMAT!r}; nothing "
                    "was changed. Upgrade it with: pip install -U cas-llm",
                    path=self._memory.root / "format",
                )

    def _own(self) -> Iterator[Step]:
        """The files that a store explains itself with, where a merge left them in pieces."""
        for name in OWN:
            there = read_or_none(self._memory.root / name)
            broken = there is None and any(name in files for files in self._sides)
            if name in self._conflicts or broken or (there and _MARKER in there):
                yield Step(name, ANEW, (expected_text(name) or "").encode())

    def _recordings(self) -> Iterator[Step]:
        wanted = {name for name in self._suspects() if _is_store_file(name)}
        here = {name: read_or_none(self._memory.root / name) for name in wanted}
        unfit = {n for n, data in here.items() if data is None or not layout.fits(n, data)}
        lost = {n for n in unfit if not _is_empty(n) and (here[n] is not None or self._is_kept(n))}
        right = self._right(lost)
        for name in sorted(wanted):
            there = here[name]
            if name not in unfit:
                if name in self._conflicts:
                    yield from self._placed(name, there or b"")
            elif _is_empty(name):
                if there is not None or self._is_kept(name):
                    yield Step(name, KEPT if there is None else EMPTIED, b"")
            elif there is not None:
                what = REPLACED if name in right else ASIDE
                yield Step(name, what, right.get(name))
            elif name in right:
                yield Step(name, KEPT, right[name])

    def _placed(self, name: str, data: bytes) -> Iterator[Step]:
        """A whole file in conflict; a tape that git took for part of a moved folder goes back."""
        right = name
        if is_tape(name):
            with contextlib.suppress(StoreError):
                own = tape.decode(data, Path(name)).path(self._memory.root)
                right = own.relative_to(self._memory.root).as_posix()
        if right != name:
            yield Step(name, ASIDE)
        yield Step(right, FITS if right == name else KEPT, data)

    def _suspects(self) -> set[str]:
        """What the merge may have damaged or dropped; all else is as a side has it."""
        names = set(self._conflicts)
        blobs = {blob for sides in self._conflicts.values() for blob in sides.values()}
        for files in (*self._sides, *self._bases):
            # A rename that git believed in leaves bytes under a name that is not theirs.
            names |= {name for name, blob in files.items() if blob in blobs}
        for files in self._sides if self._merge else ():
            names |= {n for other in self._sides for n in files if files[n] != other.get(n)}
            names |= files.keys() - self._disk.names
        if self._merge is None:
            return names
        asked = ("diff", "--name-only", "--no-renames", "--relative", "-z", "HEAD", "--", ".")
        said = gitrepo.run_git(self._memory.root, *asked) if self._memory.root.is_dir() else None
        names |= set((said or b"").decode("utf-8", "surrogateescape").split("\0")) - {""}
        return names

    def _is_kept(self, name: str) -> bool:
        """Whether a file that is not here was dropped by the merge, and taken out by no side."""
        if name in self._conflicts or self._merge is None:
            return name in self._conflicts
        if not any(name in files for files in self._bases):
            return any(name in files for files in self._sides)
        return all(name in files for files in self._sides)

    def _right(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of *names* that fit them, from the conflict, a side, or all of history."""
        wanted = set(names)
        found: dict[str, bytes] = {}
        for tree in self._from_where():
            found |= dict(tree.read(sorted((wanted - found.keys()) & tree.names)))
            if found.keys() >= wanted:
                break
        return found

    def _from_where(self) -> Iterator[Tree]:
        yield from self._places
        yield self._memory.of(self._memory.changes)

    def _named(
        self, steps: Mapping[str, Step], parts_of: RecordParts
    ) -> tuple[list[Step], tuple[str, ...]]:
        """What is missing of all that entries name which will be there, and what is nowhere."""
        coming = _Coming(steps)
        stay = joined(entries(coming.tree(), About()), entries(self._disk, About()))
        places = [coming.tree(), self._disk, *self._places]
        named = Naming(places, parts_of).files(stay.calls(), must_be_there=False)
        gone = {name for name, step in steps.items() if step.data is None}
        wanted = (named - self._disk.names - steps.keys()) | (named & gone)
        right = self._right(wanted)
        if right:
            # A key record that came back only now names parts of its own.
            places = [*places, _Coming({n: Step(n, NAMED, d) for n, d in right.items()}).tree()]
            named = Naming(places, parts_of).files(stay.calls(), must_be_there=False)
            wanted |= named - self._disk.names - steps.keys()
            right |= self._right(wanted - right.keys())
        nowhere = tuple(sorted(wanted - right.keys()))
        return [Step(name, NAMED, data) for name, data in right.items()], nowhere


class _Coming:
    """The files that steps will write, as a place."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._data = {n: step.data for n, step in steps.items() if step.data is not None}

    def tree(self) -> Tree:
        def contents(names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
            return ((name, self._data[name]) for name in names if name in self._data)

        return Tree("what is mended", frozenset(self._data), near=True, read=contents)


def read_or_none(path: Path) -> bytes | None:
    """The bytes of *path*, or None where nothing can be read."""
    try:
        return read(path)
    except OSError:
        return None


def _is_store_file(name: str) -> bool:
    return layout.is_blob(name) or layout.is_entry(name) or _is_keep(name)


def _is_keep(name: str) -> bool:
    folder, _, rest = name.partition("/")
    return folder in {layout.REQUESTS, layout.OBJECTS, "manifest"} and (
        rest.rpartition("/")[2] == layout.KEEP
    )


def _is_empty(name: str) -> bool:
    """Whether the file says all by its name."""
    return _is_keep(name) or name.startswith(f"{layout.SHARED}/")
