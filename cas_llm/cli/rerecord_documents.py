"""What `cas-llm rerecord --json` prints: plans and results as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cas_llm.rerecord.anew import Account
from cas_llm.rerecord.budget import Budget
from cas_llm.rerecord.landing import Landing
from cas_llm.rerecord.planning import Bill, Kept, Plan
from cas_llm.rerecord.reissuing import Progress


@dataclass(frozen=True)
class Report:
    """What a re-issue did, what stayed, and the command that goes on with it."""

    progress: Progress
    landing: Landing
    budget: Budget
    stay: Sequence[Kept]
    command: str


def account(done: Account, plan: Plan) -> dict[str, Any]:
    """What a re-record of tests did."""
    tests = [
        asdict(one.ended) | {"take": one.take, "answers": one.answers, "new": one.new}
        for one in done.done
    ]
    return {
        "applied": True,
        "calls": done.calls,
        "spent_usd": done.spent,
        "unknown_prices": done.unknown,
        "tests": tests,
        "earlier": done.earlier,
        "maybe_paid_twice": done.lost,
        "kept": [asdict(one) for one in plan.kept],
    }


def report(done: Report) -> dict[str, Any]:
    """What a re-issue did."""
    progress, landing = done.progress, done.landing
    return {
        "applied": True,
        "calls": progress.calls,
        "spent_usd": done.budget.spent,
        "unknown_prices": done.budget.unknown,
        "recorded": len(progress.stored),
        "paid_before": progress.taken_over,
        "maybe_paid_twice": [{"key": job.key, "scope": job.scope} for job in progress.lost],
        "tapes": [{"scope": scope, "take": take} for scope, take in landing.tapes],
        "shared": landing.shared,
        "failed": [{"key": n.split(":")[1], "why": why} for n, why in progress.failed.items()],
        "kept": [asdict(one) for one in done.stay],
    }


def planned(bills: Sequence[Bill]) -> dict[str, Any]:
    """What would be asked, by model."""
    return {
        "applied": False,
        "calls": sum(bill.calls for bill in bills),
        "cost_usd": sum(bill.cost for bill in bills),
        "models": [asdict(bill) for bill in bills],
    }
