"""What went wrong with a request, as a value, and how it is told.

A problem is found once, where it happens; the answer the SDK gets, the failing test, the summary
and the report all tell it from here.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cas_llm import prices
from cas_llm.errors import CacheMiss
from cas_llm.keys import Difference, cause, shorten_pair
from cas_llm.providers import PYTHON
from cas_llm.session import volatile

NOT_RECORDED = "not recorded"
EXHAUSTED = "exhausted"
UNREADABLE = "unreadable"
LIVE_ON_CI = "live on CI"
OVER_BUDGET = "over budget"
PLACEHOLDER = "no key"
SECRET = "secret"  # noqa: S105 - a kind of problem
READ_ON = "read on"
NOT_STORED = "not stored"
BLOCKED = "blocked"
UNSEEN = "unseen"
BAD_SETTING = "bad setting"

_SHOWN_DIFFERENCES = 3
_RULES = frozenset({"normalise", "namespace"})


@dataclass(frozen=True)
class Nearest:
    """The recording most like a request that has none.

    `recorded_at` reads like ``4 min ago``; `places` says of each difference where in the
    conversation it lies, as in ``a tool result``. Where all that differs changes by itself, `rules`
    are normalisers that make the two requests one, and `forecast` says what ``cas-llm rekey`` comes
    to for the scope.
    """

    key: str
    differences: tuple[Difference, ...]
    scope: str = ""
    recorded_at: str = ""
    turn: int = 0
    redacted_only: bool = False
    places: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    forecast: str = ""

    @property
    def placed(self) -> tuple[tuple[Difference, str], ...]:
        """Each difference with its place, empty where that says nothing."""
        places = (*self.places, *[""] * len(self.differences))
        return tuple(zip(self.differences, places, strict=False))

    @property
    def is_volatile(self) -> bool:
        """Whether it differs only in what changes by itself."""
        return bool(self.differences) and all(one.volatile for one in self.differences)

    @property
    def freezing(self) -> tuple[str, ...]:
        """What would make the program repeat what was recorded."""
        return volatile.freezing(self.differences) if self.is_volatile else ()


@dataclass(frozen=True)
class Problem:
    """Something about one request that a person must know; `kind` is one of this module's words.

    A miss is a problem of the kinds ``not recorded``, ``exhausted`` and ``unreadable``; `fixture`
    tells that the scope is a fixture wider than a function.
    """

    kind: str
    scope: str
    what: str
    key: str = ""
    api: str = ""
    model: str = ""
    ask: str = ""
    detail: str = ""
    nearest: Nearest | None = None
    store_empty: bool = False
    pending: bool = False
    turn: int = 0
    turns: int = 0
    price: float | None = None
    told_elsewhere: bool = False
    fixture: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def is_miss(self) -> bool:
        """Whether recording mends it."""
        return self.kind in {NOT_RECORDED, EXHAUSTED, UNREADABLE}

    @property
    def is_new(self) -> bool:
        """Whether it is a test's that has no tape yet: what others recorded is no change of it."""
        near = self.nearest
        borrowed = near is None or near.scope != self.scope
        return self.kind == NOT_RECORDED and "::" in self.scope and not self.turns and borrowed

    @property
    def cause(self) -> str:
        """Equal for problems that one change brought about."""
        if self.is_new:
            return f"new: {self.what}"
        if self.nearest is not None and (found := self.nearest.differences):
            # Another server's requests all miss, whatever else was edited in some of them.
            moved = [one for one in found if one.path == "api"]
            return "\n".join(cause(difference) for difference in moved or found)
        return f"{self.kind} {self.what}"


Miss = Problem


def headline(problem: Problem) -> str:
    """The first line: what happened to which request."""
    parts = [f"cas-llm: {problem.kind}", problem.what]
    if problem.model:
        parts.append(problem.model)
    if problem.ask:
        parts.append(f'"{problem.ask}"')
    return "   ".join(part for part in parts if part)


def explain(problem: Problem, *, test: str = "") -> str:
    """The whole explanation: headline, nearest recording, where it differs, what to do.

    *test* is the test (or the file, while it is imported) in which pytest found it.
    """
    lines = [headline(problem)]
    if problem.turns:
        later = problem.turns - problem.turn
        tail = f" ({_plural(later, 'later turn')} not tried)" if later > 0 else ""
        lines.append(f"  turn {problem.turn} of {problem.turns} not recorded{tail}")
    if problem.detail:
        lines += [f"  {line}" for line in problem.detail.splitlines()]
    if problem.is_miss:
        lines += _nearest_lines(problem)
        lines += [f"  {note}" for note in problem.notes]
        command = record_command(problem, test=test)
        if problem.pending:
            lines.append("  An answer waits for this test to pass: cas-llm pending")
            lines.append(f"  Take it in:  {command}      0 calls")
        else:
            lines.append(f"  Record it:  {command}      {price_text([problem])}")
    else:
        lines += [f"  {note}" for note in problem.notes]
    return "\n".join(lines)


def _nearest_lines(problem: Problem) -> list[str]:
    if problem.kind == UNREADABLE or problem.told_elsewhere:
        return []
    if problem.store_empty:
        return ["  The store is empty, so there is nothing near it."]
    near = problem.nearest
    if near is None or (problem.kind == EXHAUSTED and not near.differences):
        return [] if problem.kind == EXHAUSTED else ["  Nothing like it is recorded."]
    when = f", recorded {near.recorded_at}" if near.recorded_at else ""
    differs = f"differs at {_plural(len(near.differences), 'place')}"
    lines = [f"  nearest: {_whose(near, problem)} ({near.key[:12]}){when}; {differs}"]
    shown = near.differences[:_SHOWN_DIFFERENCES]
    lines += [f"    {describe(*pair)}" for pair in near.placed[:_SHOWN_DIFFERENCES]]
    if more := len(near.differences) - len(shown):
        lines.append(f"    and {more} more: cas-llm explain {problem.key[:12]}")
    if any(one.path == "api" and str(one.old).endswith("@loopback") for one in shown):
        lines.append(
            "  It was recorded from a server on this machine; to replay it, set OPENAI_BASE_URL "
            "(or its kin) to any http://127.0.0.1:PORT/v1"
        )
    return lines + _remedies(near)


def _whose(near: Nearest, problem: Problem) -> str:
    """The recording in words: its owner, and which turn of its tape it is."""
    if "::" not in near.scope:
        return "a recording"
    owner = near.scope
    if near.scope == problem.scope:
        owner = "this block" if near.scope.startswith("use::") else "this test"
    return f"{owner}'s turn {near.turn}" if near.turn else f"{owner}'s recording"


def describe(difference: Difference, place: str = "") -> str:
    """One difference in a line: the path, old and new, and what kind of value changed, where."""
    if difference.kind == "added":
        text = f"{difference.path}   not in the recording"
    elif difference.kind == "removed":
        text = f"{difference.path}   only in the recording"
    else:
        old, new = shorten_pair(difference.old, difference.new, 60)
        old, new = _quoted(difference.old, old), _quoted(difference.new, new)
        text = f"{difference.path}   {old} -> {new}"
    kind = volatile.said(difference)
    where = f"in {place}" if place else ""
    said = ", ".join(part for part in (kind, where) if part)
    return f"{text}    {said}" if said else text


def _quoted(value: object, text: str) -> str:
    return f'"{text}"' if isinstance(value, str) else text


def _remedies(near: Nearest) -> list[str]:
    """The ways out: make the program repeat itself, or say that the difference doesn't matter."""
    if any(one.path.partition("[")[0] in _RULES for one in near.differences):
        return ["  other key rules held when it was recorded:  cas-llm rekey --dry-run"]
    if not near.is_volatile:
        return []
    frozen = near.freezing
    lines = [f"  {'or ' if number else ''}freeze it:    {way}" for number, way in enumerate(frozen)]
    if near.rules:
        word = "or ignore it:" if lines else "ignore it:   "
        listed = ", ".join(json.dumps(rule, ensure_ascii=False) for rule in near.rules)
        lines.append(f"  {word} [tool.cas-llm] normalise = [{listed}]")
        lines.append(f"                cas-llm rekey --dry-run        {near.forecast}".rstrip())
    return lines


def record_command(problem: Problem, *, test: str = "") -> str:
    """The command that records what is missing."""
    name = test or problem.scope
    # What cannot be read is there, so only asking anew replaces it.
    mode = "capture" if problem.kind == UNREADABLE else "fallback"
    if not test and problem.fixture:
        # Whichever test asks for it; a conftest's and a plugin's may be any test.
        place = name.partition("::")[0]
        only = f"{shlex.quote(place)} " if place.rpartition("/")[2].startswith("test") else ""
        return f"pytest {only}--cas-llm={mode}"
    if "conftest.py::" in name:
        return f"pytest --cas-llm={mode}"
    if test or ("::" in name and not name.startswith("use::")):
        return f"pytest {shlex.quote(name)} --cas-llm={mode}"
    return f"run it once with CAS_LLM_MODE={mode}"


def price_text(problems: Sequence[Problem]) -> str:
    """How many calls recording takes, and about what they cost."""
    if all(problem.api == PYTHON.name for problem in problems):
        # What a function costs is known to nobody but itself.
        return _plural(len(problems), "function run")
    calls = _plural(len(problems), "call")
    known = [problem.price for problem in problems if problem.price is not None]
    if not known:
        return f"{calls}, price unknown"
    return f"{calls}, {prices.about(sum(known))}" if sum(known) else f"{calls}, free"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


@dataclass(frozen=True)
class Cause:
    """Problems that one change brought about."""

    first: Problem
    problems: tuple[Problem, ...]

    @property
    def scopes(self) -> tuple[str, ...]:
        """The tests concerned, each once."""
        return tuple(dict.fromkeys(problem.scope for problem in self.problems))


def grouped(problems: Iterable[Problem]) -> list[Cause]:
    """Problems by cause, the one with the most tests first."""
    groups: dict[str, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.cause, []).append(problem)
    causes = [Cause(group[0], tuple(group)) for group in groups.values()]
    return sorted(causes, key=lambda c: -len(c.problems))


def error_for(problems: Sequence[Problem]) -> CacheMiss:
    """The exception that carries *problems*; its text is the first one's explanation."""
    text = explain(problems[0])
    if len(problems) > 1:
        text += f"\n  and {len(problems) - 1} more like it or after it"
    return CacheMiss(text, misses=tuple(problems))
