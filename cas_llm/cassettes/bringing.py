"""Cassettes into the store: grouped by owner, planned, and written, a whole tape or nothing of it.

Adds only. What the store holds for a test stays as it is, so that bringing the same cassettes again
changes nothing, and an old cassette never comes before a newer recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cas_llm.cassettes import reading
from cas_llm.cassettes.exchange import BadCassette, Cassette
from cas_llm.cassettes.naming import Naming, Owner
from cas_llm.cassettes.planning import Planned, Planning, Tally, said
from cas_llm.errors import StoreError
from cas_llm.store import Store, Tape


@dataclass
class Brought:
    """What was found in the files, and what came of it.

    `tapes` are new; `there` are owners whose tape says the same already, `others` those who have
    other recordings, which were left as they are. `strangers` are files that are no cassettes,
    `bad` those that cannot be read, with the reason. `answers` are each request's different
    answers by owner.
    """

    tallies: list[Tally] = field(default_factory=list)
    tapes: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    answers: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """All calls of all cassettes."""
        return sum(tally.calls for tally in self.tallies)

    @property
    def within(self) -> int:
        """Requests with several answers for one owner."""
        return sum(any(len(s) > 1 for s in by.values()) for by in self.answers.values())

    @property
    def across(self) -> int:
        """Requests that have one answer for each owner, and not the same for all."""
        several = (by for by in self.answers.values() if all(len(s) == 1 for s in by.values()))
        return sum(len(set().union(*by.values())) > 1 for by in several)

    @property
    def hosts(self) -> Counter[str]:
        """The calls to hosts that are no LLMs', by host."""
        return sum((tally.hosts for tally in self.tallies), Counter[str]())


@dataclass(frozen=True)
class Bringing:
    """How cassettes are brought: where names are relative to, whose they are, by what rules.

    With *again* an owner whose recordings differ gets a new take; with *dry* nothing is written.
    """

    root: Path
    naming: Naming
    planning: Planning
    again: bool = False
    dry: bool = False

    @property
    def store(self) -> Store:
        """The store they are brought into."""
        return self.planning.runtime.store

    def bring(self, files: Sequence[Path], advance: Callable[[int], None]) -> Brought:
        """Bring the cassettes among *files*; *advance* is told how many files are done.

        Raises:
            ConfigError: a mapping names a test that does not exist; nothing was written.
            StoreError: the store cannot be read or written; each tape is whole or not there.

        """
        told = Brought()
        for owner, paths in self._grouped(files).items():
            cassettes = [*self._cassettes(paths, told)]
            if cassettes:
                self._settle(self.planning.plan(owner, cassettes), told)
            advance(len(paths))
        if told.tapes and not self.dry:
            self.store.flush()
        return told

    def _grouped(self, files: Iterable[Path]) -> Mapping[Owner, list[Path]]:
        groups: dict[Owner, list[Path]] = {}
        for path in files:
            groups.setdefault(self.naming.owner(path), []).append(path)
        return groups

    def _cassettes(self, paths: Iterable[Path], told: Brought) -> Iterator[tuple[str, Cassette]]:
        for path in paths:
            name = shown(path, self.root)
            try:
                found = reading.read(path)
            except BadCassette as error:
                told.bad[name] = str(error)
                continue
            if found is None:
                told.strangers.append(name)
            else:
                yield name, found

    def _settle(self, planned: Planned, told: Brought) -> None:
        told.tallies += planned.tallies
        tape = planned.tape
        if tape is None:
            return
        for piece in planned.pieces:
            owners = told.answers.setdefault(piece.recording.answer.key, {})
            owners.setdefault(tape.scope, set()).add(piece.said)
        own = self.store.manifest.tapes_of(tape.scope)
        wanted = _said(planned)
        if any(one.answers == tape.answers or self._says(one) == wanted for one in own):
            told.there.append(tape.scope)
        elif own and not self.again:
            told.others.append(tape.scope)
        else:
            take = max((one.take for one in own), default=-1) + 1
            told.tapes.append(tape.scope)
            if not self.dry:
                self._write(planned, replace(tape, take=take))

    def _write(self, planned: Planned, tape: Tape) -> None:
        self.store.prepare()
        for piece in planned.pieces:
            self.store.write(piece.files)
        self.store.add_tape(tape)

    def _says(self, tape: Tape) -> Mapping[str, tuple[str, ...]]:
        """What a tape's answers say, by key; nothing where one of them cannot be read."""
        try:
            return {
                key: tuple(said(self.store.load(digest)) for digest in digests)
                for key, digests in tape.answers.items()
            }
        except StoreError:
            return {}


def _said(planned: Planned) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for piece in planned.pieces:
        key = piece.recording.answer.key
        found[key] = (*found.get(key, ()), piece.said)
    return found


def shown(path: Path, root: Path) -> str:
    """*path* as it is told and kept: below *root* where it lies there, else its name alone."""
    try:
        return path.absolute().relative_to(root.absolute()).as_posix()
    except ValueError:
        return path.name
