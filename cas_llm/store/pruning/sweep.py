"""Take out of a store what nothing needs any more: the only deleter there is.

`plan` says what would go and why; `sweep` moves it to the trash in the git directory; `undo`
brings it back. Manifest entries go first and what they name last, so that whatever stops it leaves
nothing that names a missing file. What is not known is never touched: foreign files, and all of a
store in which a tape or a key record that is in use cannot be read.

An entry goes when it is live in no place (see `trees.everywhere`). A key record, an answer or a
part stays as long as an entry that stays names it, or any entry at all in another recent branch,
work tree or stash: a branch may still record a tape that names what it has.

A branch that nobody here knows of can name again what was taken out. The merge is then clean and
the test misses loudly; `cas-llm verify --repair` puts the files back from git's history.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cas_llm.errors import StoreError
from cas_llm.store import beside, layout
from cas_llm.store.answer import parse, pretty
from cas_llm.store.files import Writer, cannot_write
from cas_llm.store.pruning import live, trees
from cas_llm.store.pruning.live import UNKNOWN, CompleteRun
from cas_llm.store.pruning.naming import Naming, RecordParts
from cas_llm.store.tape import Tape

ONLY_DEAD = "only what goes names it"
NOTHING = "nothing names it"
FORMAT = "cas-llm/swept/1"

_LISTING = "swept.json"
# What nothing names yet may be a run's that is about to write its tape.
_GRACE_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Dead:
    """A file that goes: its path in the store, why, and how many bytes it has."""

    path: str
    reason: str
    bytes: int

    @property
    def is_entry(self) -> bool:
        """Whether it is a tape or a shared entry."""
        return self.path.startswith("manifest/")


@dataclass(frozen=True)
class Plan:
    """What goes out of the store at `root`, entries first, and how many recordings' files stay.

    Of those `kept`, nothing names the `young` ones yet: a run may be about to.
    """

    root: Path
    dead: tuple[Dead, ...]
    kept: int
    young: int = 0

    @property
    def bytes(self) -> int:
        """How many bytes go."""
        return sum(one.bytes for one in self.dead)


@dataclass(frozen=True)
class Swept:
    """What a sweep moved, and the folder in the trash it lies in; None if nothing was moved."""

    moved: tuple[str, ...]
    trash: Path | None


def plan(
    root: Path,
    parts_of: RecordParts,
    *,
    run: CompleteRun = UNKNOWN,
    now: float | None = None,
    recent: float = trees.RECENT_SECONDS,
) -> Plan:
    """What may go from the store at *root*; *run* is the last complete run of what lies there.

    Branches count that have a commit of the last *recent* seconds.

    Raises:
        StoreError: git does not answer, or something in use cannot be read.

    """
    layout.read_format(root)
    moment = time.time() if now is None else now
    places = trees.everywhere(root, moment, recent)
    known: dict[str, Tape] = {}
    manifests = [(place.near, place.entries(known)) for place in places]
    near = [entries for is_near, entries in manifests if is_near]
    others = [entries for is_near, entries in manifests if not is_near]
    here, gone = near[0], live.dead_everywhere(near, others, run)
    naming = Naming(places, parts_of)
    stays = naming.files(here.calls(gone), must_be_there=True)
    for entries in near[1:]:
        stays |= naming.files(entries.calls(live.dead(entries, run)), must_be_there=False)
    for entries in others:
        stays |= naming.files(entries.calls(), must_be_there=False)
    goes = naming.files(here.calls(), must_be_there=False) - stays
    blobs = {name for name in places[0].names if _is_blob(name)}
    young = 0
    for name in blobs - stays:
        if name in goes:
            gone[name] = ONLY_DEAD
        elif _modified(root / name) < moment - _GRACE_SECONDS:
            gone[name] = NOTHING
        else:
            young += 1
    kept = len(blobs | here.tapes.keys() | here.shared.keys()) - len(gone)
    return Plan(root, _in_order(root, gone), kept, young)


def sweep(plan: Plan, parts_of: RecordParts) -> Swept:
    """Move what *plan* lists to the trash, leaving `.keep` in each folder that gets empty.

    What an entry names that was written since the plan was made stays.

    Raises:
        StoreError: a file could not be moved; what was moved can be brought back.

    """
    if not plan.dead:
        return Swept((), None)
    root, names = plan.root, [one.path for one in plan.dead]
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    trash = beside(root, "trash") / f"{stamp}-{secrets.token_hex(4)}"
    writer = Writer(root / layout.LOCAL / "tmp", durable=True)
    keeps = [f"{folder}/{layout.KEEP}" for folder in _emptied(root, names)]
    moved: list[str] = []
    try:
        # A folder that vanishes on one side of a merge draws the other side's files elsewhere.
        listing = {"format": FORMAT, "keeps": keeps, "files": names}
        writer.add(trash / _LISTING, pretty(listing))
        for keep in keeps:
            writer.mark(root / keep)
        moved += _moved((one.path for one in plan.dead if one.is_entry), root, trash)
        writer.removed(root / name for name in moved)
        # Since the plan was made, a run may have written tapes.
        named = _named_now(root, parts_of)
        blobs = (one.path for one in plan.dead if not one.is_entry and one.path not in named)
        moved += _moved(blobs, root, trash)
        for name in _named_now(root, parts_of).intersection(moved):
            _moved([name], trash, root)
            moved.remove(name)
    except OSError as error:
        raise cannot_write(Path(error.filename or root), error) from error
    return Swept(tuple(moved), trash)


def undo(root: Path, trash: Path) -> tuple[str, ...]:
    """Bring back all that lies in *trash*, what is named before what names it.

    Raises:
        StoreError: *trash* holds no sweep, or a file could not be moved.

    """
    listing = _read_listing(trash)
    try:
        gone = (name for name in reversed(listing["files"]) if not (root / name).exists())
        back = _moved(gone, trash, root)
        for name in listing["keeps"]:
            keep = root / name
            if keep.is_file() and not keep.stat().st_size and len(os.listdir(keep.parent)) > 1:
                keep.unlink()
    except OSError as error:
        raise cannot_write(Path(error.filename or root), error) from error
    shutil.rmtree(trash, ignore_errors=True)
    return tuple(back)


def forget(root: Path, *, before: float) -> None:
    """Delete what sweeps moved to the trash earlier than *before*, in seconds since 1970."""
    for trash in trashed(root):
        if _modified(trash / _LISTING) < before:
            shutil.rmtree(trash, ignore_errors=True)


def trashed(root: Path) -> list[Path]:
    """The sweeps that can be undone, the latest last."""
    with contextlib.suppress(OSError):
        return sorted(path.parent for path in beside(root, "trash").glob(f"*/{_LISTING}"))
    return []


def _named_now(root: Path, parts_of: RecordParts) -> set[str]:
    disk = trees.on_disk(root)
    calls = disk.entries({}).calls()
    return Naming([disk], parts_of).files(calls, must_be_there=False)


def _in_order(root: Path, gone: Mapping[str, str]) -> tuple[Dead, ...]:
    """Entries first, then key records, then answers and parts."""
    found = [Dead(name, reason, _size(root / name)) for name, reason in gone.items()]
    return tuple(sorted(found, key=lambda one: (not one.is_entry, one.path)))


def _is_blob(name: str) -> bool:
    folder, *rest = name.split("/")
    if folder not in {layout.REQUESTS, layout.OBJECTS} or len(rest) != 2:
        return False
    stem, _, ext = rest[1].partition(".")
    return len(rest[0]) == 2 and len(stem) == 62 and bool(ext) and not set(rest[0] + stem) - _HEX


_HEX = frozenset("0123456789abcdef")


def _emptied(root: Path, names: Iterable[str]) -> Iterator[str]:
    """The folders in which only *names* lie."""
    folders: dict[str, set[str]] = {}
    for name in names:
        folder, _, last = name.rpartition("/")
        folders.setdefault(folder, set()).add(last)
    for folder, going in sorted(folders.items()):
        with contextlib.suppress(OSError):
            if set(os.listdir(root / folder)) <= going:
                yield folder


def _moved(names: Iterable[str], source: Path, target: Path) -> list[str]:
    """Move the files *names*, to another volume too; gives those that were there."""
    found = []
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.move(source / name, target / name)
            found.append(name)
    return found


def _read_listing(trash: Path) -> dict[str, list[str]]:
    try:
        listing = parse((trash / _LISTING).read_bytes())
        if listing["format"] != FORMAT:
            raise ValueError(f"its format is {listing['format']!r}, not {FORMAT!r}")
        return {"keeps": list(listing["keeps"]), "files": list(listing["files"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{trash} holds nothing that prune took out ({error}); what was committed comes back "
            "from git: cas-llm restore --from HEAD~1",
            path=trash,
        ) from error


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _modified(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return float("inf")
