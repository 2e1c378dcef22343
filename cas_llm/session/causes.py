"""The problems of a run by what brought them about, and what recording the missing ones takes.

Works on the plain documents that `session.report` makes, whichever process or machine wrote them;
reads no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from cas_llm.prices import about
from cas_llm.providers import PYTHON
from cas_llm.session import misses

ProblemDocument = Mapping[str, Any]

_UNMADE = frozenset({misses.LIVE_ON_CI, misses.OVER_BUDGET, misses.PLACEHOLDER})
_DIFFERENCE = re.compile(r" {4}(\$|(api|namespace|normalise)\b)")
_A_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z")


@dataclass(frozen=True)
class Bill:
    """What recording takes: `calls` to providers, about what they cost, and `runs` of functions.

    `unpriced` are the calls among them whose price is not known.
    """

    calls: int = 0
    price: float = 0.0
    unpriced: int = 0
    runs: int = 0

    def __str__(self) -> str:
        said = [f"{plural(self.calls, 'call')}, {self._price()}"] if self.calls else []
        # What a function costs is known to nobody but itself.
        said += [plural(self.runs, "function run")] if self.runs else []
        return " and ".join(said) or "0 calls"

    def _price(self) -> str:
        if self.unpriced == self.calls:
            return "price unknown"
        known = about(self.price) if self.price else "free"
        return f"{known}, {self.unpriced} of unknown price" if self.unpriced else known


def missing(problems: Iterable[ProblemDocument]) -> list[ProblemDocument]:
    """The problems that one more run in FALLBACK mends."""
    return [p for p in problems if p["records"] and p["kind"] != misses.UNREADABLE]


def unmade(problems: Iterable[ProblemDocument]) -> list[ProblemDocument]:
    """The calls that were wanted and not made: no key, no money left, or CI."""
    return [problem for problem in problems if problem["kind"] in _UNMADE]


def damaged(problems: Iterable[ProblemDocument]) -> list[ProblemDocument]:
    """The problems of recordings that are there and cannot be read."""
    return [problem for problem in problems if problem["kind"] == misses.UNREADABLE]


def grouped(problems: Iterable[ProblemDocument]) -> list[list[ProblemDocument]]:
    """Problems by cause, the commonest first."""
    groups: dict[str, list[ProblemDocument]] = {}
    for problem in problems:
        groups.setdefault(problem["cause"], []).append(problem)
    return sorted(groups.values(), key=len, reverse=True)


def told(group: Sequence[ProblemDocument]) -> str:
    """A cause in a line: the first difference, else what happened to which requests."""
    first = group[0]
    if differs := _differs(first["explanation"]):
        when = str((first.get("nearest") or {}).get("recorded_at", ""))
        return f"{differs}    (recorded {when})" if _A_DATE.match(when) else differs
    if len(group) == 1:
        return str(first["headline"]).removeprefix("cas-llm: ")
    kind = first["kind"]
    if kind == misses.NOT_RECORDED:
        kind = "new: nothing recorded yet" if first.get("new") else "nothing recorded"
    return f"{first['what']}   {kind}"


def where(problem: ProblemDocument) -> str:
    """The test, else the module or the scope, that a problem was found in."""
    return str(problem.get("test") or problem["scope"])


def tests_of(problems: Iterable[ProblemDocument]) -> list[str]:
    """Where *problems* were found, each place once."""
    return list(dict.fromkeys(where(problem) for problem in problems))


def bill(problems: Iterable[ProblemDocument], used: Mapping[str, int]) -> Bill:
    """What recording *problems* takes; *used* is how many answers each scope was given.

    One request is asked once, however many tests miss it. A test that ended at a miss is taken to
    need each later turn of its recording as well, at the price of those it missed.
    """
    scopes: dict[str, dict[str, ProblemDocument]] = {}
    distinct: dict[str, ProblemDocument] = {}
    for number, problem in enumerate(problems):
        key = problem["key"] or str(number)
        scopes.setdefault(problem["scope"], {}).setdefault(key, problem)
        distinct.setdefault(key, problem)
    prices = [p["price_usd"] for p in distinct.values() if p["api"] != PYTHON.name]
    for scope, missed in scopes.items():
        later = _later(list(missed.values()), used.get(scope))
        # Mostly of one model, and of a conversation that only grows.
        prices += [p["price_usd"] for p in missed.values() if p["api"] != PYTHON.name][-1:] * later
    known = [price for price in prices if price is not None]
    return Bill(
        calls=len(prices),
        price=fsum(known),
        unpriced=len(prices) - len(known),
        runs=sum(problem["api"] == PYTHON.name for problem in distinct.values()),
    )


def _later(missed: Sequence[ProblemDocument], used: int | None) -> int:
    """How many turns of its recording a scope did not come to."""
    turns = max(int(problem.get("turns") or 0) for problem in missed)
    first = min(int(problem.get("turn") or 1) for problem in missed)
    before = first - 1 if used is None else used
    return max(0, turns - before - len(missed))


def _differs(explanation: str) -> str:
    """The line that names the first difference, where there is one."""
    return next((line.strip() for line in explanation.splitlines() if _DIFFERENCE.match(line)), "")


def plural(count: int, word: str) -> str:
    """*count* with its word."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
