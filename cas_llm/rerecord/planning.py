"""What is done for the recordings that were chosen: the tests to run, and what stays as it is.

Decides on values; reads nothing but the test files that `definitions` is asked about.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cas_llm import prices
from cas_llm.providers import PYTHON
from cas_llm.providers.base import Usage
from cas_llm.rerecord.definitions import BLOCK, FIXTURE, GONE, Definitions
from cas_llm.rerecord.selecting import Chosen, scopes_of
from cas_llm.session.catalogue import Catalogue, Entry, latest_tape
from cas_llm.session.lookup import BY_HAND
from cas_llm.session.scopes import SHARED
from cas_llm.store.retaking import calls_of
from cas_llm.store.tape import Tape

CAPTURE, FALLBACK = "capture", "fallback"


@dataclass(frozen=True)
class Bill:
    """Calls to one model: how many, and what they cost; `unknown` of them have no known price."""

    model: str
    calls: int = 0
    cost: float = 0.0
    unknown: int = 0

    def plus(self, cost: float | None) -> Bill:
        """With one more call."""
        known = (self.cost + (cost or 0.0), self.unknown + (cost is None))
        return Bill(self.model, self.calls + 1, *known)


@dataclass(frozen=True)
class Rerun:
    """A test to run: how many calls its tape holds, what they cost, and in which mode it runs.

    `by_hand` counts answers that a person wrote; they are served, not asked anew.
    """

    test: str
    bills: tuple[Bill, ...] = ()
    by_hand: int = 0
    mode: str = CAPTURE

    @property
    def calls(self) -> int:
        """How many calls it takes."""
        return sum(bill.calls for bill in self.bills)

    @property
    def cost(self) -> float:
        """What the calls with a known price cost."""
        return sum(bill.cost for bill in self.bills)


@dataclass(frozen=True)
class Kept:
    """What stays as it is, why, and the command that would record it anew."""

    what: str
    why: str
    command: str = ""


@dataclass(frozen=True)
class Plan:
    """The tests to run, and what is kept; `whole` says that every recorded test is among them.

    `fixtures` are wider fixtures that are asked anew with them.
    """

    reruns: tuple[Rerun, ...] = ()
    kept: tuple[Kept, ...] = ()
    whole: bool = False
    fixtures: tuple[str, ...] = field(default=())

    @property
    def bills(self) -> tuple[Bill, ...]:
        """The calls of all tests by model, the dearest first."""
        return totals(bill for rerun in self.reruns for bill in rerun.bills)


def totals(bills: Iterable[Bill]) -> tuple[Bill, ...]:
    """*bills* with one for each model, the dearest first."""
    found: dict[str, Bill] = {}
    for bill in bills:
        old = found.get(bill.model, Bill(bill.model))
        found[bill.model] = Bill(
            bill.model, old.calls + bill.calls, old.cost + bill.cost, old.unknown + bill.unknown
        )
    return tuple(sorted(found.values(), key=lambda bill: (-bill.cost, -bill.calls, bill.model)))


def price_of(entry: Entry) -> float | None:
    """What the call of *entry* costs today, else what it cost; None where nobody knows."""
    usage = Usage(
        input=entry.usage.get("input", 0),
        output=entry.usage.get("output", 0),
        cached_input=entry.usage.get("cached_input", 0),
        reasoning=entry.usage.get("reasoning", 0),
    )
    today = prices.price(entry.api, entry.model, usage) if entry.usage else None
    return entry.cost if today is None else today


def plan(
    held: Catalogue, picked: Sequence[Chosen], tests: Definitions, *, replace_by_hand: bool = False
) -> Plan:
    """What re-records *picked*, which were chosen of *held*."""
    entries = {(entry.key, entry.digest): entry for entry in held.entries}
    current = _current(held)
    chosen = {scope: current[scope] for scope in scopes_of(picked) if scope in current}
    reruns: list[Rerun] = []
    kept: list[Kept] = []
    fixtures: list[str] = []
    for scope, tape in chosen.items():
        about = tests.about(scope)
        if about.kind == FIXTURE:
            fixtures.append(scope)
            continue
        rerun = _rerun(tape, entries, replace_by_hand=replace_by_hand)
        reason = _reason(scope, about.kind, tests, locked=about.locked)
        if not reason and not rerun.calls:
            option = f"cas-llm rerecord {shlex.quote(scope)} --replace-edited --apply"
            reason = Kept(scope, "every answer of it was written by hand", option)
        if reason:
            kept.append(reason)
        else:
            reruns.append(rerun)
    ours = {rerun.test for rerun in reruns} | {*fixtures}
    known = {scope for scope in current if not scope.startswith("use::")}
    whole = bool(reruns) and known <= ours
    kept += [] if whole else map(_fixture_kept, fixtures)
    kept += _shared_kept(picked)
    return Plan(tuple(reruns), tuple(kept), whole, tuple(fixtures) if whole else ())


def _current(held: Catalogue) -> dict[str, Tape]:
    """Each scope's tape of the highest take."""
    groups: dict[str, list[Tape]] = {}
    for tape in held.tapes:
        groups.setdefault(tape.scope, []).append(tape)
    found = {scope: latest_tape(tapes) for scope, tapes in groups.items()}
    return {scope: tape for scope, tape in sorted(found.items()) if tape is not None}


def _rerun(tape: Tape, entries: Mapping[tuple[str, str], Entry], *, replace_by_hand: bool) -> Rerun:
    bills: dict[str, Bill] = {}
    by_hand = 0
    for call in calls_of(tape):
        entry = entries.get(call)
        if entry is not None and not replace_by_hand and not BY_HAND.isdisjoint(entry.marks):
            by_hand += 1
            continue
        model = (entry.model or entry.api) if entry else ""
        if entry is not None and entry.api == PYTHON.name:
            model = f"@cached {entry.path}"
        price = None if entry is None else price_of(entry)
        bills[model] = bills.get(model, Bill(model)).plus(price)
    return Rerun(tape.scope, tuple(bills.values()), by_hand)


def _reason(scope: str, kind: str, tests: Definitions, *, locked: bool) -> Kept | None:
    """Why *scope* is not run, if it is not."""
    if kind == GONE:
        why = f"its file is gone: {scope.partition('::')[0]}"
        return Kept(scope, why, "pytest && cas-llm prune")
    if locked:
        return Kept(scope, "it is locked", "take locked=True out of its marker")
    if kind == BLOCK:
        places = tests.opening(scope)
        where = f", opened at {', '.join(places[:3])}" if places else ""
        command = "run what opens it once with CAS_LLM_MODE=capture"
        return Kept(scope, f"a named block{where}", command)
    return None


def _fixture_kept(scope: str) -> Kept:
    why = "a wider fixture's answers are asked anew only with all recorded tests, as they quote it"
    return Kept(scope, why, "cas-llm rerecord --all --apply")


def _shared_kept(picked: Iterable[Chosen]) -> list[Kept]:
    """What was recorded outside any test: nobody knows the program that asked."""
    keys = dict.fromkeys(
        one.entry.key for one in picked if any(place.scope == SHARED for place in one.places)
    )
    why = "recorded outside any test; its program runs with CAS_LLM_MODE=capture, or by itself"
    return [Kept(key[:12], why, f"cas-llm rerecord {key[:12]} --reissue") for key in keys]
