"""A comparison as JSON, for programs: everything that the other formats shorten."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cas_llm.cli.diffing.page import Title
from cas_llm.cli.diffing.runs import Runs
from cas_llm.drift.changes import Change, Compared
from cas_llm.drift.said import Said
from cas_llm.keys import Difference
from cas_llm.keys.explain import ABSENT

FORMAT = "cas-llm/diff/1"


def document(title: Title, found: Compared, runs: Runs | None) -> dict[str, Any]:
    """*found* and what *runs* say, as JSON values."""
    return {
        "format": FORMAT,
        "revision": title.revision,
        "base": title.commit,
        "tests": list(found.tests),
        "causes": [
            {
                "differences": [_difference(one) for one in cause.differences],
                "tests": list(cause.scopes),
                "requests": cause.requests,
            }
            for cause in found.causes
        ],
        "counts": dict(found.counts),
        "changes": changes(found.changes),
        "new_tests": {scope: changes(some) for scope, some in found.added.items()},
        "gone_tests": {scope: changes(some) for scope, some in found.removed.items()},
        "recorded": {
            "calls": len(found.recorded),
            "models": sorted({one.model for one in found.recorded if one.model}),
            "spent_usd": round(sum(one.cost or 0.0 for one in found.recorded), 9),
            "unpriced": sum(one.cost is None for one in found.recorded),
        },
        "replay": _runs(runs),
        "ties": {scope: [tape.digest for tape in tied] for scope, tied in found.ties.items()},
        "moved": found.moved,
        "superseded": found.superseded,
        "damaged": list(found.damaged),
    }


def changes(several: Iterable[Change]) -> list[dict[str, Any]]:
    """Changes as JSON."""
    return [_change(one) for one in several]


def _change(one: Change) -> dict[str, Any]:
    return {
        "scope": one.scope,
        "turn": one.turn,
        "turns": one.turns,
        "class": one.drift,
        "classes": list(one.kinds),
        "alike": round(one.likeness, 3),
        "ask": list(one.ask),
        "request": [_difference(difference) for difference in one.differences],
        "follows": one.follows,
        "before": _side(*one.old, one.before),
        "after": _side(*one.new, one.after),
    }


def _side(key: str, digest: str, said: Said | None) -> dict[str, Any] | None:
    if not digest:
        return None
    found: dict[str, Any] = {"key": key, "digest": digest, "readable": said is not None}
    if said is None:
        return found
    return found | {
        "text": said.text,
        "tool_calls": [{"name": c.name, "arguments": c.arguments} for c in said.calls],
        "refusal": said.refusal,
        "declines": said.declines,
        "finish": said.finish,
        "status": said.status,
        "lines": list(said.lines),
        "model": said.model,
        "tokens": None if said.usage is None else {"input": said.usage[0], "output": said.usage[1]},
        "cost_usd": said.cost,
        "latency_ms": said.latency_ms,
        "marks": list(said.marks),
    }


def _difference(one: Difference) -> dict[str, Any]:
    sides = {"old": one.old, "new": one.new}
    return {
        "path": one.path,
        "kind": one.kind,
        "volatile": one.volatile,
        **{name: value for name, value in sides.items() if value is not ABSENT},
    }


def _runs(runs: Runs | None) -> dict[str, Any] | None:
    if runs is None:
        return None
    return {
        "mode": runs.report["mode"],
        "green": runs.green,
        "of": len(runs.outcomes),
        "live": runs.live,
        "spent_usd": runs.report["sums"]["spent_usd"],
        "not_recorded": [line.strip() for line in runs.lines],
    }
