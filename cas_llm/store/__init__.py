"""Recordings on disk; knows no HTTP library, no provider and no mode.

`Store` is the whole of it: objects, manifest, index and pending answers below one root.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cas_llm.digest import digest_of
from cas_llm.errors import ObjectMissing
from cas_llm.gitrepo import common_dir, git_root
from cas_llm.store import answer as answers
from cas_llm.store import layout
from cas_llm.store.answer import Answer
from cas_llm.store.files import Writer, cannot_read, cannot_sync, cannot_write
from cas_llm.store.index import Index
from cas_llm.store.manifest import Manifest
from cas_llm.store.objects import Objects
from cas_llm.store.pending import Pending
from cas_llm.store.pick import Recorded, Shared, from_others, from_shared
from cas_llm.store.tape import Tape

__all__ = ["Answer", "Recording", "Shared", "Store", "Tape"]

_Default = TypeVar("_Default")


@dataclass(frozen=True)
class Recording:
    """One request with its answer, on its way to the disk.

    `record` is the key record, whose digest is the answer's key, or the key it was moved to since;
    `parts` are what was split out of the request, as digest to (extension, bytes).
    """

    record: bytes
    answer: Answer
    parts: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)

    def files(self) -> tuple[str, dict[str, bytes]]:
        """The answer's digest, and store paths to bytes in the order to write them.

        Parts come before the key record, and that before the answer: whatever stops the writer,
        nothing that was written names something that was not.
        """
        data, answer_parts = answers.encode(self.answer)
        digest = digest_of(data)
        files = {
            layout.sharded(layout.OBJECTS, name, ext): content
            for name, (ext, content) in {**self.parts, **answer_parts}.items()
        }
        files[layout.sharded(layout.REQUESTS, digest_of(self.record))] = self.record
        files[layout.sharded(layout.OBJECTS, digest)] = data
        return digest, files


class Store:
    """A store at `root`.

    Opening reads one small file. Nothing is created before something is written; a store that
    does not exist yet is an empty one.
    """

    def __init__(self, root: Path, *, durable: bool = False) -> None:
        self.root = root
        self.durable = durable
        try:
            # A folder with nothing but local files is what a writer killed at its first step
            # leaves.
            if root.exists() and any(entry.name not in layout.ASIDE for entry in root.iterdir()):
                layout.read_format(root)
        except OSError as error:
            raise cannot_read(root, error) from error
        self._writer = Writer(root / layout.LOCAL / "tmp", durable=durable)
        self.objects = Objects(root, self._writer)
        self.manifest = Manifest(root, self._writer)
        self.index = Index(self.manifest)
        self.pending = Pending(pending_root(root), durable=durable)
        self._prepared = False

    @property
    def exists(self) -> bool:
        """Whether the store has been written."""
        return (self.root / "format").is_file()

    def is_empty(self) -> bool:
        """Whether nothing is recorded."""
        tapes, shared = self.manifest.tape_paths(), self.manifest.shared()
        return next(tapes, None) is None and next(shared, None) is None

    @property
    def writable(self) -> bool:
        """Whether files can be added to the store."""
        place = self.root
        while not place.exists():
            place = place.parent
        return os.access(place, os.W_OK)

    def prepare(self) -> None:
        """Write the files a store explains itself with; those that are there stay as they are.

        Raises:
            StoreError: the place is not writable.

        """
        if self._prepared:
            return
        try:
            # First, and on the disk: a folder with other files but not this one is no store.
            if self._writer.add(self.root / "format", f"{layout.FORMAT}\n".encode()):
                self._writer.flush()
            self._writer.add(self.root / ".gitignore", layout.GITIGNORE.encode())
            self._writer.add(self.root / ".gitattributes", layout.GITATTRIBUTES.encode())
            self._writer.add(self.root / "README.md", layout.README.encode())
        except OSError as error:
            raise cannot_write(self.root, error) from error
        self._writer.sweep()
        self._prepared = True

    def has(self, key: str) -> bool:
        """Whether a request with this *key* has an answer, whoever recorded it."""
        return self._recorded(key) is not None

    def get(self, key: str, default: _Default) -> Answer | _Default:
        """The answer that a script's first ask for *key* gets, or *default* if there is none.

        A test gets its own tape's, which may be another. Nothing that was recorded is ever equal
        to *default*, so one that is made for the question tells the two apart.

        Raises:
            StoreError: there is one, and it cannot be read.

        """
        found = self._recorded(key)
        return default if found is None else self.load(found.digests[0])

    def _recorded(self, key: str) -> Recorded | None:
        shared = from_shared(self.manifest.shared_of(key))
        if shared is not None or not self.exists:
            return shared
        tapes = [self.manifest.load_tape(path) for path in self.index.tapes_with(key)]
        return from_others(tapes, key, (), "")

    def load(self, digest: str) -> Answer:
        """The answer *digest*, from the store or, where it is pending, from there.

        Raises:
            ObjectMissing: it is nowhere.
            ObjectCorrupt: its bytes are not what its name says.
            ManifestInvalid: it is no answer of a format this version reads.

        """
        source = self.objects
        try:
            data = source.get(digest)
        except ObjectMissing:
            run = self.pending.holder(digest)
            if run is None:
                raise
            source = self.pending.objects(run)
            data = source.get(digest)
        return answers.decode(data, source.get, path=source.place(digest))

    def save(self, recording: Recording) -> str:
        """Write a recording's parts, key record and answer; returns the answer's digest.

        Naming it, by a tape or a shared entry, is the caller's next step: only what is named is
        ever served.
        """
        self.prepare()
        digest, files = recording.files()
        self.write(files)
        return digest

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write store paths to bytes, in order; each file's name must carry its digest."""
        for relative, data in files.items():
            folder, shard, name = relative.split("/")
            digest = shard + name.partition(".")[0]
            try:
                if folder == layout.REQUESTS:
                    self.objects.add_request(digest, data)
                else:
                    self.objects.add(digest, data, name.partition(".")[2])
            except OSError as error:
                raise cannot_write(self.root / relative, error) from error

    def promote(self, digest: str) -> None:
        """Bring a pending answer into the store; nothing happens if it is there.

        Raises:
            ObjectMissing: it is neither in the store nor pending.

        """
        if self.objects.has(digest):
            return
        run = self.pending.holder(digest)
        if run is None:
            raise ObjectMissing(
                f"the answer {digest[:12]} is neither in {self.root} nor pending; "
                "record it again: pytest --cas-llm=fallback",
                digest=digest,
                path=layout.object_path(self.root, digest),
            )
        self.prepare()
        self.write(dict(self.pending.files(run, digest)))

    def add_tape(self, tape: Tape) -> Path:
        """Write *tape*, whose answers are all in the store."""
        self.prepare()
        try:
            return self.manifest.add_tape(tape)
        except OSError as error:
            raise cannot_write(tape.path(self.root), error) from error

    def add_shared(self, entry: Shared) -> Path:
        """Write the shared entry, whose answer is in the store."""
        self.prepare()
        try:
            return self.manifest.add_shared(entry)
        except OSError as error:
            raise cannot_write(self.root / layout.SHARED, error) from error

    def flush(self) -> None:
        """Sync what was written to the disk, where each write did not do so itself.

        Raises:
            StoreError: the disk did not take it; what was written last may not outlive a stop.

        """
        refused = None
        for written in (self._writer, self.pending):
            try:
                written.flush()
            except OSError as error:
                refused = refused or error
        if refused is not None:
            raise cannot_sync(self.root, refused) from refused

    def close(self) -> None:
        """Flush, and close the index; raises what `flush` does."""
        try:
            self.flush()
        finally:
            self.index.close()


def pending_root(root: Path) -> Path:
    """Where the pending answers of the store at *root* lie."""
    return beside(root, "pending")


def beside(root: Path, kind: str) -> Path:
    """Where files of one *kind* lie that belong to the store at *root* and are never tracked.

    In the git directory that all work trees share, in a folder named after the store's place in
    its repository, where `git clean` leaves them alone; below the store itself where there is no
    repository.
    """
    place = root.resolve()
    top = git_root(place)
    shared = common_dir(top) if top else None
    if top is None or shared is None or not os.access(shared, os.W_OK):
        return root / layout.LOCAL / kind
    name = place.relative_to(top).as_posix()
    return shared / "cas-llm" / kind / digest_of(name.encode())[:16]
