"""What of the imported replays by now, and which cassettes nobody needs any more.

Told from the store, the notes that runs leave, and the cassettes that still exist; reads only. A
test replays if a run it passed in saw all recordings that it has today, and no later one missed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cas_llm.cassettes import reading
from cas_llm.cassettes.exchange import BadCassette
from cas_llm.cassettes.naming import NAMELESS
from cas_llm.cassettes.planning import CASSETTE
from cas_llm.config import Settings
from cas_llm.errors import StoreError
from cas_llm.providers import is_telemetry
from cas_llm.session import causes, policy, usage
from cas_llm.session.report import read_last_run
from cas_llm.store import Store


@dataclass(frozen=True)
class Checked:
    """The imported tests that `replay`, those that `missed` in the last run or `waited` for one.

    `problems` are the misses of imported tests. `free` are the cassettes that can go; `staying`
    those that cannot, with the reason; `nameless` are cassettes without a test.
    """

    replay: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    waited: tuple[str, ...] = ()
    nameless: tuple[str, ...] = ()
    problems: tuple[Mapping[str, Any], ...] = ()
    free: tuple[str, ...] = ()
    staying: Mapping[str, str] = field(default_factory=dict)

    @property
    def tests(self) -> int:
        """How many tests have imported recordings."""
        return len(self.replay) + len(self.missed) + len(self.waited)


def check(store: Store, settings: Settings, root: Path, advance: Callable[[int], None]) -> Checked:
    """How far the imported tests of *store* have come; cassettes lie below *root*.

    Raises:
        StoreError: a tape cannot be read.

    """
    origins = _origins(store, advance)
    scopes = {scope for owners in origins.values() for scope in owners}
    tests = sorted(scope for scope in scopes if not scope.startswith(NAMELESS))
    problems = [p for p in read_last_run(store) if causes.where(p) in scopes]
    missing = {causes.where(problem) for problem in problems}
    known = usage.read(store).scopes
    passed = {name for name in tests if name not in missing and _is_seen(name, known, store)}
    # A cassette without a test may have served anybody: it counts once its answers are borrowed.
    lent = {tape for scope in known.values() for tape in scope["tapes"]}
    for scope in scopes - set(tests):
        if any(tape.digest in lent for tape in store.manifest.tapes_of(scope)):
            passed.add(scope)
    free, staying = [], {}
    for name, owners in sorted(origins.items()):
        reason = _reason(root / name, settings, owners, passed, missing)
        if reason:
            staying[name] = reason
        elif reason is not None:
            free.append(name)
        advance(1)
    return Checked(
        replay=tuple(name for name in tests if name in passed),
        missed=tuple(name for name in tests if name in missing),
        waited=tuple(name for name in tests if name not in passed | missing),
        nameless=tuple(sorted(scopes - set(tests) - passed)),
        problems=tuple(problems),
        free=tuple(free),
        staying=staying,
    )


def _origins(store: Store, advance: Callable[[int], None]) -> dict[str, set[str]]:
    """The scopes of every cassette that was imported, told by the answers' provenance."""
    found: dict[str, set[str]] = {}
    for path in store.manifest.tape_paths():
        tape = store.manifest.load_tape(path)
        for digest in {turn.digest for turn in tape.turns}:
            try:
                name = store.load(digest).provenance.get(CASSETTE)
            except StoreError:
                continue  # `verify` tells of it
            if isinstance(name, str):
                found.setdefault(name, set()).add(tape.scope)
        advance(1)
    return found


def _is_seen(name: str, known: Mapping[str, Mapping[str, Any]], store: Store) -> bool:
    """Whether a run that the test passed in saw all the tapes it has today."""
    now = {tape.digest for tape in store.manifest.tapes_of(name)}
    return name in known and now <= set(known[name]["had"])


def _reason(
    path: Path,
    settings: Settings,
    owners: Collection[str],
    passed: Collection[str],
    missing: Collection[str],
) -> str | None:
    """Why a cassette cannot go; empty if it can, None if it has gone already."""
    if not path.exists():
        return None
    if any(owner in missing for owner in owners):
        return "its test misses"
    if any(owner not in passed for owner in owners):
        return "no run has played it yet"
    try:
        found = reading.read(path)
    except BadCassette as error:
        return str(error)
    matched: set[str] = set()
    exchanges: Sequence[Any] = found.exchanges if found else ()
    for one in exchanges:
        policy.counts(one.request, settings, matched)
    others = Counter(
        policy.netloc(one.request)
        for one in exchanges
        if not policy.counts(one.request, settings, matched) or is_telemetry(one.request)
    )
    if others:
        return f"other hosts: {', '.join(sorted(others))}"
    return "calls without a body" if any(one.body is None for one in exchanges) else ""
