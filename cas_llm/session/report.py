"""What a run says at its end, as plain JSON values that can cross processes and be merged."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cas_llm.redact import Redactor, secret_variables
from cas_llm.session.log import Log, Sums
from cas_llm.session.misses import Nearest, Problem, describe, explain, headline
from cas_llm.session.volatile import kinds
from cas_llm.store import Store, layout
from cas_llm.store.answer import parse, pretty

_DIGEST = re.compile(r"[0-9a-f]{8}|[0-9a-f]{40}|[0-9a-f]{64}")
FORMAT = "cas-llm/report/1"
DID_NOT_END = "the run did not end"
LAST_RUN = "cas-llm/last-run/1"


def problem_document(problem: Problem) -> dict[str, Any]:
    """A problem as JSON, without the secrets that a test's name or a path may hold."""
    redact = Redactor(secret_variables(os.environ)).text
    document = {
        "kind": problem.kind,
        "scope": problem.scope,
        "what": problem.what,
        "key": problem.key,
        "api": problem.api,
        "model": problem.model,
        "cause": problem.cause,
        "price_usd": problem.price,
        "headline": headline(problem),
        "explanation": explain(problem),
        "records": problem.is_miss,
        "new": problem.is_new,
        "fixture": problem.fixture,
        "turn": problem.turn,
        "turns": problem.turns,
        "nearest": _nearest_document(problem.nearest, redact),
    }
    return {n: redact(value) if isinstance(value, str) else value for n, value in document.items()}


def _nearest_document(near: Nearest | None, redact: Callable[[str], str]) -> dict[str, Any] | None:
    """The nearest recording with all its differences, where an explanation shows the first few."""
    if near is None:
        return None
    return {
        "key": near.key,
        "scope": redact(near.scope),
        "turn": near.turn,
        "recorded_at": near.recorded_at,
        "differences": [redact(describe(*pair)) for pair in near.placed],
        "kinds": [list(kinds(difference)) for difference in near.differences],
        "freeze": [redact(line) for line in near.freezing],
        "normalise": [redact(rule) for rule in near.rules],
    }


def write_last_run(store: Store, problems: Sequence[Mapping[str, Any]]) -> None:
    """Keep a run's *problems*, as `problem_document` gives them, for ``cas-llm explain``.

    A run without problems takes the last one's away. Nothing is written where there is no store,
    or none that can be written: what is kept here is a convenience.
    """
    path = _last_run_path(store)
    with contextlib.suppress(OSError):
        if problems and store.exists:
            path.parent.mkdir(exist_ok=True)
            new = path.with_suffix(".new")
            new.write_bytes(pretty({"format": LAST_RUN, "problems": [dict(p) for p in problems]}))
            new.replace(path)
        elif not problems:
            path.unlink(missing_ok=True)


def read_last_run(store: Store) -> list[dict[str, Any]]:
    """The problems of the last run that had any; none where that was not kept."""
    try:
        document = parse(_last_run_path(store).read_bytes())
        known = document["format"] == LAST_RUN
        return [dict(problem) for problem in document["problems"]] if known else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _last_run_path(store: Store) -> Path:
    return store.root / layout.LOCAL / "last-run.json"


def sums_document(sums: Sums) -> dict[str, Any]:
    """Counts and money as JSON."""
    return {
        "served": sums.served,
        "not_recorded": sums.missed,
        "live_calls": sums.live,
        "stored": sums.stored,
        "from_pending": sums.from_pending,
        "spent_usd": round(sums.spent, 9),
        "unknown_prices": sums.unknown,
        "saved_usd": round(sums.saved, 9),
        "saved_seconds": round(sums.saved_seconds, 3),
    }


def log_document(log: Log) -> dict[str, Any]:
    """A process's log as JSON: sums, sums by model, problems."""
    return {
        "sums": sums_document(log.sums),
        "models": {model: sums_document(sums) for model, sums in log.by_model()},
        "blocked": log.blocked,
        "problems": [problem_document(problem) for problem in log.problems],
    }


def report_document(
    document: Mapping[str, Any],
    *,
    run: str,
    commit: str,
    python: str,
    project: str,
    store: str,
    asked: Sequence[str],
    stopped: str,
) -> dict[str, Any]:
    """The report of one run, as `session.shards` merges it with others.

    *document* is the merged one of its processes, empty for a run that told nothing; *project* and
    *store* are relative, *asked* the places it was told to look for tests in, and *stopped* says
    what ended it early.
    """
    extent = document.get("extent", {})
    more = document.get("report", {})
    told = {**log_document(Log()), **_NOTHING, **document}
    shard = {
        "run": run,
        "name": "",
        "python": python,
        "mode": told["mode"],
        "stopped": stopped,
        "narrowed": list(dict.fromkeys(extent.get("narrowed", ()))),
        "asked": list(asked),
    }
    return {
        "format": FORMAT,
        "commit": commit,
        "project": project,
        "store": store,
        "mode": told["mode"],
        "shards": [shard],
        **{name: told[name] for name in _TOLD},
        "collected": sorted(extent.get("collected", ())),
        "uncollected": sorted(more.get("uncollected", ())),
        "fixtures": sorted(extent.get("fixtures", ())),
        "outcomes": dict(extent.get("outcomes", {})),
        "repeated": [],
        "differing": {},
        "places": dict(more.get("places", {})),
        "left": dict(more.get("left", {})),
    }


_NOTHING: dict[str, Any] = {
    "mode": "",
    "new_recordings": 0,
    "new_tapes": 0,
    "waiting": [],
    "unkept": [],
    "borrowers": [],
    "ties": {},
    "tests": {},
}
_TOLD = ("sums", "models", "blocked", "problems", *list(_NOTHING)[1:])


def portable(value: Any, roots: Mapping[str, str], redact: Callable[[str], str]) -> Any:
    """*value* as another machine may see it: no folder of *roots*, no secret, in no string.

    The names of mappings are strings as well; digests stay what they are.
    """
    known: dict[str, str] = {}

    def text(said: str) -> str:
        if _DIGEST.fullmatch(said):
            return said
        if said not in known:
            short = said
            for root, name in roots.items():
                short = short.replace(f"{root}/", "" if name == "." else f"{name}/")
            known[said] = redact(short)
        return known[said]

    def walk(one: Any) -> Any:
        if isinstance(one, str):
            return text(one)
        if isinstance(one, Mapping):
            return {text(name): walk(item) for name, item in one.items()}
        return [walk(item) for item in one] if isinstance(one, (list, tuple)) else one

    return walk(value)


def merged(documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Several processes' documents as one: numbers added, lists joined, mappings merged."""
    total: dict[str, Any] = {}
    for document in documents:
        for name, value in document.items():
            total[name] = _merge(total[name], value) if name in total else _copy(value)
    return total


def _merge(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, Mapping):
        return merged([one, other])
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *other]
    if isinstance(one, bool) and isinstance(other, bool):
        return one and other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one + other
    return other


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copy(item) for name, item in value.items()}
    return list(value) if isinstance(value, list) else value
