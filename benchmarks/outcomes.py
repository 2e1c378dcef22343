"""What a row of the benchmarks comes to: tables to read, and ratios held to their targets.

Values only; how they were measured is in `measuring`, how they look on a page in `report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from measuring import Measured, Spread


@dataclass(frozen=True)
class Target:
    """A limit that must hold (`hard`), and the one to aim at; smaller is better."""

    number: str
    what: str
    hard: float
    stretch: float
    unit: str = ""


TARGETS = {
    target.number: target
    for target in (
        Target("1", "hit, 2 KB / floor", 1.12, 1.06),
        Target("2", "hit at 10,000 recordings / at 1", 1.10, 1.03),
        Target("3a", "hit, async / floor", 1.12, 1.06),
        Target("3b", "hit, 50 at once, per call / floor", 1.4, 1.2),
        Target("4", "hit, 50 KB / floor", 1.15, 1.08),
        Target("5", "hit, stream of 200 chunks / floor", 1.06, 1.03),
        Target("6", "hit, 825 KB of embeddings / floor", 1.15, 1.08),
        Target("9", "start to first hit / `import openai`", 1.08, 1.04),
        Target("9b", "start to first hit / to first call of the bare SDK", 1.08, 1.04),
        Target("10", "peak memory, minus the floor's", 10, 5, " MiB"),
        Target("11", "record one at 10,000, synced later / floor", 1.6, 1.4),
        Target("12", "record one at 10,000, synced at once / floor", 2.2, 1.8),
        Target("13", "record one at 10,000 / at 1", 1.25, 1.1),
        Target("14", "verify everything / hashing every file in one thread", 1.3, 0.95),
        Target("15", "verify again, nothing changed / the same", 0.5, 0.3),
        Target("21a", "`cas-llm --help` / that of an empty typer app", 1.2, 1.0),
        Target("21b", "what a hook imports / `python -c pass`", 5, 3),
        Target("22", "`import cas_llm` / `python -c pass`", 6, 3),
        Target("23", "pytest with the plugin / without it", 1.05, 1.02),
        Target("24", "misses in all replays", 0, 0),
    )
}


@dataclass(frozen=True)
class Verdict:
    """A measured figure beside its target; `note` says what the figure is of."""

    target: Target
    measured: Spread
    note: str = ""

    @property
    def word(self) -> str:
        """Whether the target is met."""
        if self.measured.median <= self.target.stretch:
            return "stretch met"
        return "met" if self.measured.median <= self.target.hard else "**missed**"


@dataclass(frozen=True)
class Table:
    """A table of one row: its title, what to know of it, and its cells as text."""

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    note: str = ""


@dataclass
class Outcome:
    """All that one row of the benchmarks found; `skipped` names what could not be measured."""

    tables: list[Table] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    misses: int = 0
    growth: dict[str, dict[int, float]] = field(default_factory=dict)

    def held(self, number: str, measured: Spread, note: str = "") -> None:
        """Hold *measured* to the target *number*."""
        self.verdicts.append(Verdict(TARGETS[number], measured, note))

    def count_misses(self, found: dict[str, Measured], own: str = "cas-llm") -> None:
        """Add up what cas-llm's own variants had to ask an upstream for."""
        self.misses += sum(m.misses or 0 for name, m in found.items() if name.startswith(own))


def ratios(title: str, found: dict[str, Measured], base: str, *, note: str = "") -> Table:
    """The table of variants beside *base*: ratio with its spread, median, calls, misses."""
    columns = ("variant", "ratio", "min - max", "median", "calls", "misses", "peak MiB")
    lines = []
    for name, measured in found.items():
        spread = measured.over(found[base])
        lines.append(
            (
                name,
                f"{spread.median:.3f}" if spread.median < 2 else f"{spread.median:.1f}",
                f"{spread.low:.2f} - {spread.high:.2f}",
                duration(measured.seconds),
                str(measured.calls),
                "" if measured.misses is None else str(measured.misses),
                f"{measured.peak_kib / 1024:.0f}" if measured.peak_kib else "",
            )
        )
    used = [n for n, _ in enumerate(columns) if any(line[n] for line in lines)]
    return Table(
        title, [columns[n] for n in used], [[line[n] for n in used] for line in lines], note
    )


def duration(seconds: float) -> str:
    """Seconds in the unit a person would use."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e6:.0f} us"
