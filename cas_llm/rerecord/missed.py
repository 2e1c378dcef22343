"""The tests that missed in the last run of pytest, and what recording takes that they lack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cas_llm.rerecord.definitions import BLOCK, FIXTURE, GONE, Definitions
from cas_llm.rerecord.planning import CAPTURE, FALLBACK, Bill, Kept, Rerun
from cas_llm.session.misses import UNREADABLE


def reruns(
    problems: Iterable[Mapping[str, Any]], tests: Definitions
) -> tuple[list[Rerun], list[Kept]]:
    """The tests to run for *problems*, as the last run has kept them, and what no test mends.

    What is missing is recorded, and nothing else is asked anew; only a test whose recording cannot
    be read is recorded as a whole.
    """
    found: dict[str, Rerun] = {}
    kept: dict[str, Kept] = {}
    for problem in problems:
        if not problem.get("records"):
            continue
        scope = str(problem.get("test") or problem["scope"])
        about = tests.about(scope)
        if about.kind in {BLOCK, FIXTURE, GONE}:
            command = "pytest --cas-llm=fallback"
            kept[scope] = Kept(
                scope, f"it is no test that can be run by its name ({about.kind})", command
            )
            continue
        known = found.get(scope, Rerun(scope, mode=FALLBACK))
        mode = CAPTURE if problem["kind"] == UNREADABLE else known.mode
        bills = {bill.model: bill for bill in known.bills}
        model = str(problem.get("model") or problem.get("api", ""))
        bills[model] = bills.get(model, Bill(model)).plus(problem.get("price_usd"))
        found[scope] = Rerun(scope, tuple(bills.values()), mode=mode)
    return list(found.values()), list(kept.values())
