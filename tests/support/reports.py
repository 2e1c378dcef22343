"""Reports as runs write them, made without running anything."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cas_llm.session.misses import NOT_RECORDED, Problem
from cas_llm.session.report import problem_document, report_document

_runs = itertools.count(1)


def a_report(
    outcomes: Mapping[str, str],
    *problems: dict[str, Any],
    left: Mapping[str, list[str]] | None = None,
    collected: tuple[str, ...] = (),
    asked: tuple[str, ...] = (".",),
    run: str = "",
    commit: str = "ab" * 20,
    stopped: str = "",
    mode: str = "replay",
    **more: Any,
) -> dict[str, Any]:
    """The report of a run in which these tests ended so."""
    document = {
        "mode": mode,
        "problems": list(problems),
        "tests": {
            name: {"passed": outcome == "passed", "used": []} for name, outcome in outcomes.items()
        },
        "extent": {
            "narrowed": [],
            "collected": dict.fromkeys((*outcomes, *collected), 1),
            "fixtures": {},
            "outcomes": dict(outcomes),
        },
        "report": {
            "places": {name: f"{name.partition('::')[0]}:7" for name in outcomes},
            "left": dict(left or {}),
            "uncollected": {},
        },
    }
    made = report_document(
        document,
        run=run or f"{next(_runs):08x}",
        commit=commit,
        python="CPython 3.11.9",
        project="",
        store="cache_store",
        asked=asked,
        stopped=stopped,
    )
    return made | more


def a_miss(test: str, key: str = "", *, kind: str = NOT_RECORDED, **more: Any) -> dict[str, Any]:
    """A request of *test* that has no recording."""
    problem = Problem(
        kind, test, "POST openai /v1/chat/completions", key or test, "openai", "m", price=0.01
    )
    return problem_document(problem) | {"test": test} | more


def written(folder: Path, *reports: Mapping[str, Any]) -> list[str]:
    """*reports* as files ``cas-1.json`` and so on; their names."""
    names = []
    for number, one in enumerate(reports, 1):
        name = f"cas-{number}.json"
        (folder / name).write_text(json.dumps(one), "utf-8")
        names.append(name)
    return names
