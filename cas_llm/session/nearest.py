"""The recording most like a request that has none, where the two differ, and what to do about it.

Where only values differ that change by themselves, rules that would make the two one are tried on
both before they are named, and what the scope's own tape would come to under them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cas_llm.errors import ConfigError, StoreError
from cas_llm.keys import Difference, Rules, compare, load_record
from cas_llm.keys.moved import NotMovable, moved, rules_of
from cas_llm.keys.normalise import is_tool_result
from cas_llm.keys.paths import steps_of
from cas_llm.session import volatile
from cas_llm.session.asked import Asked
from cas_llm.session.misses import Nearest
from cas_llm.session.runtime import Runtime
from cas_llm.store import Store, pick

_OWN_LIMIT = 40
_OTHERS_LIMIT = 40
_MINUTES_A_DAY = 24 * 60
_LONGEST_FORESEEN = 100


def nearest(asked: Asked, runtime: Runtime) -> Nearest | None:
    """The nearest recording: the scope's own at the same turn first, then any alike.

    Compares at most 80 recordings, so that a miss is told at once however large the store.
    """
    store = runtime.store
    if not store.exists:
        return None
    new = load_record(asked.record.data)
    parts = {digest: part.data for digest, part in asked.record.parts.items()}
    best: tuple[int, Nearest] | None = None
    for key, scope, turn, digest in _candidates(asked, store):
        differences = _differences(store, key, new, parts)
        if differences is None:
            continue
        # Each difference weighs one, a differing API or path far more.
        weight = sum(20 if d.path in {"api", "path"} else 1 for d in differences)
        if best is None or weight < best[0]:
            when = _recorded_at(store, digest)
            places = tuple(_place(difference.path, new) for difference in differences)
            sure = tuple(map(volatile.judged, differences, places))
            near = Nearest(key, sure, scope=scope, recorded_at=when, turn=turn, places=places)
            best = (weight, near)
        if weight <= 1 and scope == asked.scope.name:
            break
    return _with_ways_out(best[1], new, parts, asked, store) if best else None


def _with_ways_out(
    near: Nearest,
    new: Mapping[str, Any],
    parts: Mapping[str, bytes],
    asked: Asked,
    store: Store,
) -> Nearest:
    """*near* with what would make the two requests one, where all that differs is volatile."""
    if not near.differences or not all(one.volatile for one in near.differences):
        return near
    load, held = part_loader(store, parts), rules_of(new)
    old = load_record(store.objects.get_request(near.key))
    for more in volatile.normalisers(near.differences):
        rules = Rules((*held, *more), str(new.get("namespace", "")))
        try:
            keys = {moved(one, rules, api=str(new["api"]), load=load).key for one in (old, new)}
        except (NotMovable, ConfigError):
            continue
        if len(keys) == 1:
            forecast = _foreseen(rules, asked, store)
            return replace(near, rules=rules.normalise, forecast=forecast)
    return near


def _foreseen(rules: Rules, asked: Asked, store: Store) -> str:
    """What the scope's own tape comes to under *rules*, as ``cas-llm rekey`` would say it."""
    from cas_llm import rekey

    tape = pick.current(asked.scope.tapes(store), asked.scope.source)
    if tape is None or len(tape.turns) > _LONGEST_FORESEEN:
        return ""
    try:
        plan = rekey.foreseen(store, rekey.Target(rules.normalise, rules.namespace), tape)
    except StoreError:
        return ""
    keep = "recording keeps its answer" if plan.kept == 1 else "recordings keep their answers"
    calls = "1 call" if len(plan.stuck) == 1 else f"{len(plan.stuck)} calls"
    clashes = "1 clash" if len(plan.clashes) == 1 else f"{len(plan.clashes)} clashes"
    return f"{plan.kept} {keep}, {calls}, {clashes}"


def _candidates(asked: Asked, store: Store) -> Iterable[tuple[str, str, int, str]]:
    seen = {asked.key}
    tape = pick.current(asked.scope.tapes(store), asked.scope.source)
    if tape is not None:
        here = len({(key, n) for key, n, _ in asked.scope.served})
        numbered = list(enumerate(tape.turns, 1))
        # The turn at this place first, then those around it.
        for number, turn in sorted(numbered, key=lambda n: abs(n[0] - here - 1))[:_OWN_LIMIT]:
            if turn.key not in seen:
                seen.add(turn.key)
                yield turn.key, tape.scope, number, turn.digest
    alike = store.index.alike(
        asked.api.name, asked.path, asked.model, limit=_OTHERS_LIMIT + len(seen)
    )
    keys = [known.key for known in alike if known.key not in seen]
    scopes = store.index.first_scopes(keys)
    for key in keys:
        yield key, scopes.get(key, ""), 0, ""


def _differences(
    store: Store, key: str, new: Mapping[str, Any], parts: Mapping[str, bytes]
) -> tuple[Difference, ...] | None:
    try:
        old = load_record(store.objects.get_request(key))
        if _verb(old) != _verb(new):
            return None
        return compare(old, new, part_loader(store, parts))
    except (StoreError, ValueError):
        # Damaged, and reported by verify: not a recording to compare with.
        return None


def _verb(record: Mapping[str, Any]) -> str:
    """What a call asks for, whichever model or version stands in its path: `embeddings`.

    A prompt is no near miss of a text to embed. Only what is posted ends in such a word.
    """
    return re.split("[/:]", record["path"])[-1] if record["method"] == "POST" else ""


def part_loader(store: Store, parts: Mapping[str, bytes]) -> Callable[[str], bytes | None]:
    """A look-up of parts by digest: in *parts* first, then in the store, whatever their kind."""

    def load(digest: str) -> bytes | None:
        if digest in parts:
            return parts[digest]
        folder = store.root / "objects" / digest[:2]
        try:
            return next(folder.glob(f"{digest[2:]}.*")).read_bytes()
        except (OSError, StopIteration):
            return None

    return load


def _place(path: str, record: Mapping[str, Any]) -> str:
    """Where in a conversation *path* lies, if that is somewhere a program writes by itself."""
    value: Any = record.get("body")
    try:
        for _, step in steps_of(path)[:4] if path.startswith("$.") else ():
            value = value[step]
            if is_tool_result(value):
                return volatile.TOOL_RESULT
    except (ConfigError, KeyError, IndexError, TypeError):  # an odd name, or only in the recording
        return ""
    return ""


def _recorded_at(store: Store, digest: str) -> str:
    if not digest:
        return ""
    try:
        text = str(store.load(digest).provenance.get("recorded_at", ""))
        minutes = int((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()) // 60
    except (StoreError, ValueError):
        return ""
    if not 0 <= minutes < _MINUTES_A_DAY:
        return text[:10]
    if not minutes:
        return "just now"
    return f"{minutes} min ago" if minutes < 60 else f"{minutes // 60} h ago"
