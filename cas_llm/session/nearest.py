"""The recording most like a request that has none, and where the two differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from cas_llm.errors import StoreError
from cas_llm.keys import Difference, compare, load_record
from cas_llm.keys.paths import steps_of
from cas_llm.session.asked import Asked
from cas_llm.session.misses import Nearest
from cas_llm.session.runtime import Runtime
from cas_llm.store import Store, pick

_OWN_LIMIT = 40
_OTHERS_LIMIT = 40
_MINUTES_A_DAY = 24 * 60
_TOOL_RESULTS = frozenset({"tool_result", "function_call_output", "custom_tool_call_output"})


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
            near = Nearest(
                key, differences, scope=scope, recorded_at=when, turn=turn, places=places
            )
            best = (weight, near)
        if weight <= 1 and scope == asked.scope.name:
            break
    return best[1] if best else None


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
        return compare(old, new, part_loader(store, parts))
    except (StoreError, ValueError):
        # Damaged, and reported by verify: not a recording to compare with.
        return None


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
    for _, step in steps_of(path)[:4] if path.startswith("$.") else ():
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return ""
        if isinstance(value, Mapping) and (
            value.get("role") == "tool"
            or value.get("type") in _TOOL_RESULTS
            or "functionResponse" in value
        ):
            return "a tool result"
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
