"""`cas-llm-stale`: recordings that nothing needs, or that should no longer be relied on.

Each rule is ``error``, ``warning`` or ``off`` in ``[tool.cas-llm.stale]``. Without a word there, a
rule blocks only what the commit itself does and its author can put right at once; what has been in
the store before is a warning, as most of it can be taken out on the default branch only:

==========  =========  =============================================================================
rule        in commit  why
==========  =========  =============================================================================
unused      error      adding what nothing names is a forgotten tape, or a killed run's left-over
gone        error      who deletes or renames a test knows what was recorded for it
tied        error      from now on a digest decides what a test is served: that is nobody's choice
unmarked    error      a reader takes it for what the model said
superseded  warning    nobody's fault; branches may need it, until `prune` takes it
aged        warning    off without `max_age`
old_key     warning    still found; a second look-up each time
retired     warning    replays for ever, and can never be recorded anew
==========  =========  =============================================================================

A commit is judged by the recordings it adds and the tests it edits or deletes; a push, CI, and
somebody who asks get all rules on all of the store.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cas_llm import config
from cas_llm.guard.answering import Answering, Held, held
from cas_llm.guard.defined import Definitions
from cas_llm.guard.staged import Change, Staged, changed_tests
from cas_llm.guard.stored import Stored, digest_of, stem_of
from cas_llm.guard.takes import Stale, Takes
from cas_llm.guard.used import last_run
from cas_llm.keys import KEY_VERSION
from cas_llm.store import layout
from cas_llm.store.answer import parse
from cas_llm.store.proof.census import ERROR, WARNING, Finding
from cas_llm.store.pruning.trees import is_tape

_IN_COMMIT = frozenset({"unused", "gone", "tied", "unmarked"})
_GRACE_DAYS = 14.0


def judge(staged: Staged) -> list[Finding]:
    """What is stale in the stores that *staged* concerns."""
    look = staged.whole() if staged.asks else staged
    is_all = look is not staged or staged.is_push
    changed = [] if is_all else list(changed_tests(look))
    concerned: dict[str, tuple[Change, ...]] = dict(look.stores)
    for path in changed:
        folder = _store_of_test(look.top, path)
        if folder:
            concerned.setdefault(folder, ())
    found: list[Finding] = []
    for folder, changes in concerned.items():
        stored = Stored(look, folder)
        stored.fetch(one.new for one in changes if one.is_file)
        try:
            if stored.names:
                found += _Store(stored, changes, changed, is_all=is_all).findings()
        finally:
            stored.close()
    return found


class _Store:
    """One store, what changes in it, and the test files that change."""

    def __init__(
        self, stored: Stored, changes: Iterable[Change], tests: list[str], *, is_all: bool
    ) -> None:
        self._stored = stored
        self._tests = tests
        self._is_all = is_all
        self._added = frozenset(stored.name(one.path) for one in changes if one.is_file)
        root = stored.staged.top / stored.folder
        self._said: Mapping[str, Any] = config.load(root).stale
        self._gone = self._tapes_that_may_be_gone()
        near = None if is_all else frozenset(map(stem_of, (*self._gone, *self._added)))
        self._takes = Takes(stored, Definitions(stored.staged), last_run(root), near)

    def findings(self) -> Iterator[Finding]:
        """All that is stale, as bad as the settings say."""
        for one in (*self._entries(), *self._answers()):
            path = self._stored.path(one.path)
            severity = self._severity(one)
            yield Finding(one.code, severity, path, one.what, one.why, one.command, one.tests)

    def _entries(self) -> Iterator[Stale]:
        """What tapes and shared entries say, and who they don't name."""
        takes, is_all = self._takes, self._is_all
        if self._is_on("gone"):
            yield from takes.gone(self._gone)
        if self._is_on("tied") and (is_all or self._added):
            yield from takes.tied(None if is_all else self._added)
        if self._is_on("superseded") and is_all:
            grace = float(self._said.get("grace_days", _GRACE_DAYS))
            yield from takes.superseded(time.time(), grace)
        if self._is_on("unused"):
            yield from map(self._not_added, takes.unused(self._names))

    def _answers(self) -> Iterator[Stale]:
        """What answers and key records say of themselves."""
        rules = Answering(
            self._tests_of,
            self._record,
            datetime.now(UTC).date(),
            self._said.get("max_age"),
            self._said.get("models", {}),
        )
        answers = self._held(self._names)
        if self._is_on("aged"):
            yield from rules.aged(self._in_use(answers))
        if self._is_on("retired"):
            yield from rules.retired(self._in_use(answers))
        if self._is_on("unmarked") and answers:
            yield from rules.unmarked(answers, self._beside(answers))
        if self._is_on("old_key"):
            start = f"{layout.REQUESTS}/"
            # The first key of an answer that was moved to another one is looked up no more.
            records = [n for n in self._names if n.startswith(start) and digest_of(n) in self._live]
            yield from rules.old_keys(
                ((n, self._record(digest_of(n))) for n in records), KEY_VERSION
            )

    # -- settings ------------------------------------------------------------------------------

    def _is_on(self, rule: str) -> bool:
        return bool(self._said.get(rule, "") != "off")

    def _severity(self, one: Stale) -> str:
        """As the setting says, else an error only for what this commit does."""
        said = self._said.get(one.rule)
        if said:
            return str(said)
        return ERROR if one.rule in _IN_COMMIT and not self._is_all else WARNING

    # -- which files ---------------------------------------------------------------------------

    @cached_property
    def _names(self) -> list[str]:
        """The files to judge: all, or those that the commit adds."""
        return sorted(self._stored.names if self._is_all else self._added)

    def _tapes_that_may_be_gone(self) -> list[str]:
        """All tapes, or those of the test files that change."""
        tapes = [name for name in self._stored.names if is_tape(name)]
        if self._is_all:
            return tapes
        starts = set()
        for path in self._tests:
            # An id starts where pytest was started, or below where its settings lie.
            parts = path.split("/")
            ids = ("/".join(parts[at:]) for at in range(len(parts)))
            starts |= {f"{layout.tape_folder_and_stem(f'{one}::x')[0]}/" for one in ids}
        return [name for name in tapes if name.startswith(tuple(starts))] if starts else []

    def _held(self, names: Iterable[str]) -> list[Held]:
        found = []
        for name in names:
            if name.startswith(f"{layout.OBJECTS}/") and name.endswith(".json"):
                one = held(name, self._stored.blob(self._stored.names[name]))
                found += [one] if one else []
        return found

    def _in_use(self, answers: Iterable[Held]) -> list[Held]:
        """Those that something live names: the others go by themselves."""
        return [one for one in answers if digest_of(one.name) in self._live]

    @cached_property
    def _live(self) -> frozenset[str]:
        """The keys and digests that live entries name."""
        takes, found = self._takes, set()
        for name, tape in takes.tapes.items():
            if name not in takes.dead:
                found |= {digest for turn in tape.turns for digest in (turn.key, turn.digest)}
        for name, entry in takes.shared.items():
            if name not in takes.dead:
                found |= {entry.key, entry.digest}
        return frozenset(found)

    def _beside(self, answers: Iterable[Held]) -> list[Held]:
        """Other answers to the same requests, that tapes and shared entries know of."""
        if self._is_all:
            return []  # they are all there
        keys, takes = {one.key for one in answers}, self._takes
        turns = (turn for tape in takes.tapes.values() for turn in tape.turns)
        digests = {turn.digest for turn in turns if turn.key in keys}
        digests |= {entry.digest for entry in takes.shared.values() if entry.key in keys}
        names = {layout.sharded(layout.OBJECTS, digest) for digest in digests}
        return self._held(sorted(names & self._stored.names.keys() - self._added))

    # -- small questions -----------------------------------------------------------------------

    def _record(self, key: str) -> Mapping[str, Any]:
        blob = self._stored.names.get(layout.sharded(layout.REQUESTS, key))
        try:
            record = parse(self._stored.blob(blob)) if blob else {}
        except (ValueError, FileNotFoundError):
            return {}
        return record if isinstance(record, dict) else {}

    def _tests_of(self, digest: str) -> tuple[str, ...]:
        return self._scopes.get(digest, ())

    @cached_property
    def _scopes(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, dict[str, None]] = {}
        for tape in self._takes.tapes.values():
            for turn in tape.turns:
                found.setdefault(turn.digest, {})[tape.scope] = None
                found.setdefault(turn.key, {})[tape.scope] = None
        return {digest: tuple(scopes) for digest, scopes in found.items()}

    def _not_added(self, one: Stale) -> Stale:
        """What nothing names because its tape was forgotten, or that should not be added at all."""
        if self._is_all:
            return one
        folder = shlex.quote(self._stored.folder)
        command = f"git add -- {folder}, or git restore --staged -- "
        return replace(one, command=f"{command}{shlex.quote(self._stored.path(one.path))}")


def _store_of_test(top: Path, path: str) -> str:
    """The folder below *top* of the store that the test *path* replays from; empty for none."""
    place = config.load((top / path).parent).store
    if not place.is_relative_to(top):
        return ""
    return place.relative_to(top).as_posix()
