"""The way from a request to its answers: tapes and shared entries, read and written.

Each question reads one small folder; only what other scopes recorded is asked of the index.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cas_llm.store import layout, tape
from cas_llm.store.files import Writer, cannot_read, read
from cas_llm.store.folders import Listings, listing
from cas_llm.store.pick import Shared
from cas_llm.store.tape import Tape


def parse_shared(shard: str, name: str) -> Shared | None:
    """The entry that the file *name* in the folder *shard* is, or None if it is none."""
    found = layout.SHARED_NAME.match(name)
    if found is None or not layout.SHARD.match(shard):
        return None
    rest, take, run, ordinal, digest = found.groups()
    return Shared(shard + rest, int(take), run, int(ordinal), digest)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise cannot_read(Path(error.filename), error) from error


class Manifest:
    """All tapes and shared entries of the store at `root`."""

    def __init__(self, root: Path, writer: Writer) -> None:
        self.root = root
        self._writer = writer
        self._listings = Listings()
        self._tapes: dict[Path, Tape] = {}

    def tapes_of(self, scope: str) -> tuple[Tape, ...]:
        """The tapes of *scope*, in no order that means anything.

        Raises:
            ManifestInvalid: one of them cannot be used; never silently passed over, because
                another answer than the recorded one could be served in its place.

        """
        folder, stem = layout.tape_folder_and_stem(scope)
        place = f"{self.root}/{folder}"
        found = []
        for name in self._listings.starting(place, f"{stem}."):
            named = layout.TAPE_NAME.match(name)
            if named and named["stem"] == stem:
                candidate = self.load_tape(Path(place, name))
                if candidate.scope == scope:
                    found.append(candidate)
        return tuple(found)

    def load_tape(self, path: Path) -> Tape:
        """The tape at *path*; read once, as tapes never change.

        Raises:
            ManifestInvalid: it cannot be used.
            StoreError: it cannot be read.

        """
        known = self._tapes.get(path)
        if known is None:
            try:
                data = read(path)
            except OSError as error:
                raise cannot_read(path, error) from error
            known = self._tapes[path] = tape.decode(data, path)
        return known

    def shared_of(self, key: str) -> tuple[Shared, ...]:
        """The shared entries of *key*; raises `StoreError` where they cannot be listed."""
        shard, rest = key[:2], key[2:] + "."
        names = self._listings.starting(f"{self.root}/{layout.SHARED}/{shard}", rest)
        entries = [parse_shared(shard, name) for name in names]
        return tuple([entry for entry in entries if entry])

    def tape_paths(self) -> Iterator[Path]:
        """The files of all tapes; raises `StoreError` where a folder cannot be read."""
        top = self.root / layout.TAPES
        for folder, folders, names in os.walk(top, onerror=_refuse):
            folders.sort()
            for name in sorted(names):
                if name != layout.KEEP and not name.startswith("."):
                    yield Path(folder, name)

    def shared(self) -> Iterator[Shared]:
        """All shared entries; raises `StoreError` where a folder cannot be read."""
        top = f"{self.root}/{layout.SHARED}"
        for shard in listing(top):
            for name in listing(f"{top}/{shard}"):
                if entry := parse_shared(shard, name):
                    yield entry

    def add_tape(self, new: Tape) -> Path:
        """Write the tape *new*; nothing happens if it is there."""
        path = new.path(self.root)
        self._writer.add(path, new.data)
        return path

    def add_shared(self, entry: Shared) -> Path:
        """Write the shared entry; nothing happens if it is there."""
        name = f"{entry.key[2:]}.{entry.take}.{entry.run}.{entry.ordinal}.{entry.digest}"
        path = self.root / layout.SHARED / entry.key[:2] / name
        self._writer.mark(path)
        return path
