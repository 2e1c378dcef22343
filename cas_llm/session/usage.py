"""What runs used of a store, scope by scope: what `prune` knows beyond the store itself.

Lies in `.local/`, never tracked. A run updates the scopes it opened and leaves the others as they
were, so that sharded, selected, failed and skipped tests never make a live recording look unused.
Which tests are gone is told by a complete run alone: of all tests, none of which failed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cas_llm.errors import StoreError
from cas_llm.store import Store, layout
from cas_llm.store.answer import parse, pretty
from cas_llm.store.files import Writer
from cas_llm.store.pruning.live import CompleteRun

FORMAT = "cas-llm/usage/1"


@dataclass(frozen=True)
class Extent:
    """How much of the tests below `root` a run covered.

    `narrowed` are the reasons why it was not all of it; `outcomes` what became of each test that
    ran; `collected` the scopes of all tests there are, `fixtures` the fixtures they ask for.
    """

    narrowed: tuple[str, ...] = ()
    collected: frozenset[str] = frozenset()
    outcomes: Mapping[str, str] = field(default_factory=dict)
    fixtures: frozenset[str] = frozenset()
    root: str = ""

    @property
    def lacks(self) -> tuple[str, ...]:
        """Why the run was not complete; empty if it was."""
        failed = sum(outcome == "failed" for outcome in self.outcomes.values())
        left = len(self.collected - self.outcomes.keys())
        found = list(dict.fromkeys(self.narrowed))
        found += [f"{failed} failed"] if failed else []
        found += [f"{left} did not run"] if left else []
        return tuple(found) if self.collected else (*found, "no test was found")


@dataclass(frozen=True)
class Usage:
    """What is known of all runs: `scopes` to the tapes that served each, and those it had then.

    `gone` are scopes without a test in the last complete run, with the tapes they had; `lacks`
    says why the last run was not complete, and `completed` when the last complete one ended, in
    seconds since 1970, 0 if none is known.
    """

    scopes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gone: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    completed: float = 0.0
    lacks: tuple[str, ...] = ()

    def complete_run(self) -> CompleteRun:
        """What `prune` may go by."""
        had = {name: frozenset(scope["had"]) for name, scope in self.scopes.items()}
        return CompleteRun(
            scopes=frozenset(had),
            tapes=frozenset(tape for scope in self.scopes.values() for tape in scope["tapes"]),
            gone=frozenset(self.gone),
            had=had | {name: frozenset(tapes) for name, tapes in self.gone.items()},
        )


def note(store: Store, scopes: Mapping[str, Mapping[str, Any]], extent: Extent) -> None:
    """Keep what a run used; nothing where there is no store, or none that can be written.

    *scopes* are those it opened and passed, each with the digests of the `tapes` that served it
    and of those it `had` in the end.
    """
    if not store.exists or not (scopes or extent.outcomes):
        return
    before, lacks = read(store), extent.lacks
    with contextlib.suppress(StoreError, OSError):
        gone = dict(before.gone) if lacks else _gone(store, extent, scopes.keys(), before)
        opened = {name: {**scope, "root": extent.root} for name, scope in scopes.items()}
        known = {**before.scopes, **opened}
        document = {
            "format": FORMAT,
            "completed": before.completed if lacks else time.time(),
            "lacks": list(lacks),
            "gone": {name: list(tapes) for name, tapes in sorted(gone.items())},
            "scopes": {n: s for n, s in sorted(known.items()) if n not in gone},
        }
        Writer(store.root / layout.LOCAL / "tmp").replace(_path(store.root), pretty(document))


def read(store: Store) -> Usage:
    """What was kept of earlier runs; nothing where that cannot be read."""
    try:
        document = parse(_path(store.root).read_bytes())
        if document["format"] != FORMAT:
            return Usage()
        scopes = document["scopes"].items()
        return Usage(
            {name: {n: one[n] for n in ("tapes", "had", "root")} for name, one in scopes},
            {name: tuple(tapes) for name, tapes in document["gone"].items()},
            float(document["completed"]),
            tuple(document["lacks"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Usage()


def _gone(
    store: Store, extent: Extent, opened: Collection[str], before: Usage
) -> dict[str, tuple[str, ...]]:
    """The scopes that a run below this root opened and no test or fixture has now: their tapes.

    What no run here has opened may be another suite's, which shares the store.
    """
    mine = [name for name, scope in before.scopes.items() if scope["root"] == extent.root]
    found = {}
    for scope in (*mine, *before.gone):
        name = scope.rpartition("::")[2].partition("[")[0].partition("#")[0]
        if scope in extent.collected or scope in opened or name in extent.fixtures:
            continue
        if tapes := store.manifest.tapes_of(scope):
            found[scope] = tuple(tape.digest for tape in tapes)
    return found


def _path(root: Path) -> Path:
    return root / layout.LOCAL / "usage.json"
