"""Measure cas-llm beside its floor, a yardstick and its peers; print Markdown.

``python benchmarks/run.py`` measures every row; ``--rows hit,session`` some of them; ``--quick``
sooner and with more noise; ``--write DIR`` writes the page and its plot there as well. Peers are
taken from the Python that runs this; those it lacks are skipped and named.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cold_start
import hits
import plot
import recording
import report
import start_up
import verifying
from measuring import Effort, Spread, Stores
from outcomes import Outcome

Row = Callable[[Stores, Effort], Outcome]

ROWS: dict[str, Row] = {
    "hit": hits.hit,
    "session": hits.session,
    "flat": hits.flat,
    "async": hits.asynchronous,
    "long": hits.long,
    "stream": hits.stream,
    "vectors": hits.vectors,
    "cold": cold_start.cold,
    "record": recording.record,
    "cassette": recording.cassette,
    "verify": verifying.verify,
    "start": start_up.start,
    "plugin": start_up.plugin,
}


def measure(names: list[str], stores: Stores, effort: Effort) -> dict[str, Outcome]:
    """The outcome of each row in *names*, and of all of them together."""
    outcomes = {}
    for name in names:
        began = time.perf_counter()
        report.note(f"{name} ...")
        outcomes[name] = ROWS[name](stores, effort)
        report.note(f"{name}: {time.perf_counter() - began:.0f} s")
    misses = sum(outcome.misses for outcome in outcomes.values())
    everywhere = Outcome()
    everywhere.held("24", Spread(misses, misses, misses))
    return {**outcomes, "all": everywhere}


def main(words: list[str] | None = None) -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rows", default=",".join(ROWS), help="comma separated (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller stores")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="without the peers")
    parser.add_argument("--stores", type=Path, help="keep and share stores in this folder")
    parser.add_argument("--write", type=Path, help="write the page and its plot into this folder")
    given = parser.parse_args(words)
    names = given.rows.split(",")
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    load = report.load()
    effort = Effort.quick(peers=given.peers) if given.quick else Effort(peers=given.peers)
    with tempfile.TemporaryDirectory(prefix="cas-llm-benchmark-") as temporary:
        stores = Stores(given.stores or Path(temporary))
        outcomes = measure(names, stores, effort)
    text = report.figures(outcomes, " ".join(["python benchmarks/run.py", *_said(given)]), load)
    print(text)
    if given.write:
        for path in report.written(text, plot.svg(outcomes), given.write):
            report.note(f"wrote {path}")


def _said(given: argparse.Namespace) -> list[str]:
    rows = [] if given.rows == ",".join(ROWS) else ["--rows", given.rows]
    flags = {"--quick": given.quick, "--no-peers": not given.peers}
    return [*rows, *(flag for flag, on in flags.items() if on)]


if __name__ == "__main__":
    main()
