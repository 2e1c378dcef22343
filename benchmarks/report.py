"""The page: targets first, then a table a row, then what was measured on what. Markdown."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from outcomes import Outcome, Table, Verdict

_PAGE = Path(__file__).with_name("page.md")
_QUIET = 0.7
_BUSY = (
    "**The machine was busy with other work while this was measured. These figures show that the "
    "program runs, and are no verdict.**"
)
_PACKAGES = (
    "cas-llm",
    "openai",
    "httpx2",
    "orjson",
    "typer",
    "pytest",
    "vcrpy",
    "cassetter",
    "hishel",
    "diskcache",
    "langchain-core",
    "langchain-openai",
    "langchain-community",
)


def written(figures: str, picture: str, folder: Path) -> list[Path]:
    """Write the page around *figures*, and the picture it shows; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    text = _PAGE.read_text("utf-8").replace("{{figures}}\n", figures)
    page = folder / "performance.md"
    files = {page: text, page.with_suffix(".svg"): picture}
    if not picture:
        lines = [line for line in text.splitlines() if not line.startswith("![")]
        files = {page: "\n".join(lines) + "\n"}
    for path, content in files.items():
        path.write_text(content, "utf-8")
    return list(files)


def figures(outcomes: dict[str, Outcome], command: str, load: float = 0.0) -> str:
    """Everything measured, as Markdown without a title; *load* is the machine's before the run."""
    blocks = [machine(command, load), _summary(outcomes.values())]
    if load > _QUIET:
        blocks.insert(0, _BUSY)
    for name, outcome in outcomes.items():
        blocks += [f"### {table.title} (`{name}`)\n\n{_table(table)}" for table in outcome.tables]
    skipped = sorted({one for outcome in outcomes.values() for one in outcome.skipped})
    if skipped:
        blocks.append(f"Skipped, as not installed: {', '.join(skipped)}.")
    return "\n\n".join(blocks) + "\n"


def _summary(outcomes: Iterable[Outcome]) -> str:
    verdicts = [verdict for outcome in outcomes for verdict in outcome.verdicts]
    columns = ("target", "what", "measured", "min - max", "must be", "aim", "")
    lines = [_verdict(verdict) for verdict in verdicts]
    return f"### Targets\n\n{_table(Table('', columns, lines))}"


def _verdict(verdict: Verdict) -> Sequence[str]:
    target, measured = verdict.target, verdict.measured
    what = f"{target.what} ({verdict.note})" if verdict.note else target.what
    shown = (measured.median, measured.low, measured.high)
    middle, low, high = (f"{value:.2f}" for value in shown)
    return (
        target.number,
        what,
        f"**{middle}**{target.unit}",
        f"{low} - {high}",
        f"<= {target.hard:g}{target.unit}",
        f"<= {target.stretch:g}{target.unit}",
        verdict.word,
    )


def _table(table: Table) -> str:
    rows = [table.columns, ["---"] * len(table.columns), *table.lines]
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"{table.note}\n\n{text}" if table.note else text


def load() -> float:
    """How many processes wanted to run in the last minute, or 0 where that can't be known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def machine(command: str, before: float) -> str:
    """What was measured on what: command, date, commit, machine, Python, packages."""
    facts = {
        "command": f"`{command}`",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()} "
        f"{platform.release().partition('-')[0]}; load before {before:.1f}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(_versions()),
    }
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())


def _versions() -> Iterator[str]:
    for package in _PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            if package == "cas-llm":
                yield "cas-llm, not installed"


def _processor() -> str:
    with_name = Path("/proc/cpuinfo")
    if with_name.exists():
        for line in with_name.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def _commit() -> str:
    words = ["git", "-C", str(Path(__file__).parent)]
    try:
        name = subprocess.run(
            [*words, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*words, "status", "--porcelain", "--", "../cas_llm"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} with changes" if changed else name


def note(text: str) -> None:
    """Say on standard error how far the run is."""
    print(text, file=sys.stderr, flush=True)
