"""What a merged report means: recordings nobody plays any more, and reasons to fail a build.

Decides on plain documents; what a file of the project says is asked of the caller. Doubt never
makes a recording unused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cas_llm.session import causes, misses
from cas_llm.session.causes import plural
from cas_llm.session.received import FAILED

REASONS = ("miss", "unused", "live", "failed", "tie")
"""What a build may be failed for."""


@dataclass(frozen=True)
class Unused:
    """Recordings that no test plays: `left` by tests that passed, and those of tests `gone`.

    `unknown` says why there may be more.
    """

    left: Mapping[str, int] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The recordings left unplayed and the tapes without a test, together."""
        return sum(self.left.values()) + len(self.gone)


def unused(
    report: Mapping[str, Any],
    scopes: Collection[str] | None,
    text_of: Callable[[str], str | None],
) -> Unused:
    """What of the store no test of *report* plays.

    *scopes* are those that have a tape, None where there is no store; *text_of* gives the text of
    a file of the project, None for one that is not there.
    """
    tests = _Tests(report)
    known = [scope for scope in scopes or () if scope.partition("::")[0].endswith(".py")]
    strangers = [scope for scope in sorted(known) if not tests.have(scope)]
    inside = [scope for scope in strangers if tests.cover(scope)]
    return Unused(
        {test: len(keys) for test, keys in report["left"].items()},
        tuple(scope for scope in inside if tests.lack(scope, text_of)),
        tuple(_doubts(report, len(strangers) - len(inside), stored=scopes is not None)),
    )


def failing(report: Mapping[str, Any], found: Unused, wanted: Collection[str]) -> Iterator[str]:
    """Why a build that minds what is *wanted* (of `REASONS`) must fail, a reason each."""
    problems = report["problems"]
    if "miss" in wanted and (count := len(lacking(problems))):
        yield f"miss ({count:,})"
    if "unused" in wanted and found.count:
        yield f"unused ({found.count:,})"
    live = report["sums"]["live_calls"] + sum(p["kind"] == misses.UNSEEN for p in problems)
    if "live" in wanted and live:
        yield f"live ({live:,})"
    failed = sum(outcome == FAILED for outcome in report["outcomes"].values())
    if "failed" in wanted and failed:
        yield f"failed ({failed:,})"
    if "tie" in wanted and report["ties"]:
        yield f"tie ({len(report['ties']):,})"
    if wanted and (stopped := [shard for shard in report["shards"] if shard["stopped"]]):
        # What it did not come to may be anything.
        yield f"not checked: {', '.join(_name(shard) for shard in stopped)} did not finish"


def lacking(problems: Collection[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The requests that got no answer for want of a recording that can be used."""
    kinds = causes.missing, causes.damaged, causes.unmade
    return [problem for kind in kinds for problem in kind(problems)]


def _doubts(report: Mapping[str, Any], outside: int, *, stored: bool) -> Iterator[str]:
    for shard in report["shards"]:
        if shard["stopped"]:
            yield f"{_name(shard)}: {shard['stopped']}"
        elif shard["mode"] != "replay":
            yield f"{_name(shard)}: its mode was {shard['mode'] or 'not said'}"
    if left := len(set(report["collected"]) - report["outcomes"].keys()):
        yield f"{plural(left, 'test')} did not run in any of the reports"
    if failed := sum(outcome == FAILED for outcome in report["outcomes"].values()):
        yield f"{plural(failed, 'test')} failed"
    if report["uncollected"]:
        yield f"{plural(len(report['uncollected']), 'module')} could not be collected"
    if not report["collected"]:
        yield "no test was found"
    if outside:
        yield f"{plural(outside, 'recorded test')} lie outside of what was run"
    if not stored:
        yield "there is no store here"


class _Tests:
    """The tests that the runs of a report found, and where they looked."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._names = frozenset(report["collected"])
        self._bases = frozenset(map(_base, self._names))
        self._fixtures = frozenset(report["fixtures"])
        self._closed = frozenset(report["uncollected"])
        self._asked = {place for shard in report["shards"] for place in shard["asked"]}

    def have(self, scope: str) -> bool:
        """Whether *scope* is a test that was found, or a fixture that one asks for."""
        return scope in self._names or _base(scope).rpartition("::")[2] in self._fixtures

    def cover(self, scope: str) -> bool:
        """Whether a run looked where the test would be."""
        place = scope.partition("::")[0]
        if any(place == module or place.startswith(f"{module}/") for module in self._closed):
            return False
        return any(
            one in {".", scope} or scope.startswith((f"{one}/", f"{one}::", f"{one}["))
            for one in self._asked
        )

    def lack(self, scope: str, text_of: Callable[[str], str | None]) -> bool:
        """Whether the test is no more, and not left out by a plugin before anyone counted it."""
        text, base = text_of(scope.partition("::")[0]), _base(scope)
        if text is None or base in self._bases:
            return True
        return re.search(rf"\b{re.escape(base.rpartition('::')[2])}\b", text) is None


def _base(scope: str) -> str:
    """The test without its parameters and its count."""
    place, mark, name = scope.partition("::")
    return f"{place}{mark}{name.partition('[')[0].partition('#')[0]}"


def _name(shard: Mapping[str, Any]) -> str:
    return str(shard["name"] or shard["run"])
