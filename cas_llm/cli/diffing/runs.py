"""What the runs of the tests say about a change: how many replay, and why the others do not.

Part of the command line. Reads reports through `session.received`, which checks them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cas_llm.prices import money
from cas_llm.session import causes, misses
from cas_llm.session.causes import plural

_CAUSES = 3


@dataclass(frozen=True)
class Runs:
    """Several reports as one, seen from the tests that a change is about; none: all tests."""

    report: Mapping[str, Any]
    tests: Collection[str] = ()

    @property
    def outcomes(self) -> Mapping[str, str]:
        """What became of the tests concerned that ran."""
        every: Mapping[str, str] = self.report["outcomes"]
        found = {*every, *self.report["collected"]}.intersection(self.tests)
        return {test: every.get(test, "not run") for test in sorted(found)} or every

    @property
    def green(self) -> int:
        """How many of them passed."""
        return sum(outcome == "passed" for outcome in self.outcomes.values())

    @property
    def live(self) -> int:
        """How many connections left for a provider."""
        unseen = [p for p in self.report["problems"] if p["kind"] == misses.UNSEEN]
        return int(self.report["sums"]["live_calls"]) + len(unseen)

    @property
    def told(self) -> list[str]:
        """The numbers, for the line that has them all."""
        word = "replays" if self.report["mode"] == "replay" else "runs"
        spent = float(self.report["sums"]["spent_usd"])
        paid = [f"the runs spent {money(spent)}"] if spent else []
        return [
            f"{word} green: {self.green:,} of {len(self.outcomes):,}",
            f"{self.live:,} live",
            *paid,
        ]

    @property
    def lines(self) -> list[str]:
        """What went wrong, by cause, the commonest first."""
        groups = causes.grouped(self.report["problems"])
        found = [f"{len(some):>4} missed: {causes.told(some)}" for some in groups[:_CAUSES]]
        if len(groups) > _CAUSES:
            found.append(f"     and {plural(len(groups) - _CAUSES, 'more cause')}: cas-llm report")
        stopped = [shard for shard in self.report["shards"] if shard["stopped"]]
        return found + [
            f"{shard['name'] or shard['run']} did not finish: {shard['stopped']}"
            for shard in stopped
        ]


def read(names: Sequence[str], tests: Collection[str]) -> Runs | None:
    """The reports *names* stand for, merged; None where none is named.

    Raises:
        CasLLMError: one cannot be read, or they are not of one commit.

    """
    if not names:
        return None
    from cas_llm.session import received, shards

    parts = [received.read(path) for path in received.files_of(names, Path.cwd())]
    return Runs(shards.merge(parts), tests)
