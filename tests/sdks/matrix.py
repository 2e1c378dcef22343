"""Runs the contract of the SDKs in an environment per row, two at a time, and shows the table.

::

    python tests/sdks/matrix.py [--only ROW ...] [--fast] [--anew] [--write PAGE]

The exit code is 0 where everything that applies holds, 1 where something does not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sdks.environment import TREE, Environment, NotInstalled
from sdks.outcome import Outcome
from sdks.page import page
from sdks.rows import Row, chosen

HERE = Path(__file__).resolve().parent
SECONDS = 300
"""How long one row's tests may take."""


def run(row: Row, root: Path, *, anew: bool) -> Outcome:
    """Make the row's environment, run its tests there, and read what came of it."""
    outcome = Outcome.of(row)
    environment = Environment(row, root)
    try:
        outcome.set_up = environment.make(anew=anew)
    except NotInstalled as error:
        outcome.broke = f"not installed: {error}"
        return outcome
    outcome.versions = environment.versions()
    report = environment.folder / "report.xml"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    said = _pytest(environment, row, report)
    outcome.ran = time.monotonic() - began
    if not report.exists():
        outcome.broke = f"pytest wrote no report: {said}"
        return outcome
    return outcome.read(report)


def _pytest(environment: Environment, row: Row, report: Path) -> str:
    # The SDKs' own warnings are not this project's, so they are shown and no errors.
    options = ["-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1"]
    options += ["-o", "filterwarnings=default", "--tb=short", f"--junitxml={report}"]
    files = [str(HERE / name) for name in row.files]
    try:
        done = subprocess.run(
            [str(environment.python), "-m", "pytest", *options, *files],
            cwd=TREE,
            env=os.environ | {"SDK_ADAPTERS": " ".join(row.adapters)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {SECONDS} s"
    (environment.folder / "output.txt").write_text(done.stdout + done.stderr, "utf-8")
    return done.stdout[-2000:] + done.stderr[-2000:]


def show(outcome: Outcome) -> None:
    """One line for the row, and one for each promise that does not hold."""
    times = f"{outcome.set_up:.0f} s to set up, {outcome.ran:.0f} s to run"
    print(f"{outcome.row.name}: {outcome.passed} passed, {outcome.failed} failed ({times})")
    if outcome.broke:
        print(f"  {outcome.broke}")
        return
    for adapter, cells in outcome.cells.items():
        for column, cell in cells.items():
            if cell.state == "no":
                print(f"  {adapter} {column}: {cell.reason}")
    sys.stdout.flush()


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help="these rows only")
    parser.add_argument("--fast", action="store_true", help="the rows a change must pass")
    parser.add_argument("--anew", action="store_true", help="install again, so take what is newest")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table (all rows)")
    parser.add_argument("--venvs", type=Path, default=TREE / ".sdk-matrix", metavar="FOLDER")
    asked = parser.parse_args()
    if asked.write and (asked.only or asked.fast):
        parser.error("--write needs all rows: leave --only and --fast out")
    try:
        rows = chosen(asked.only, fast=asked.fast)
    except ValueError as error:
        parser.error(str(error))
    root = asked.venvs.resolve()
    root.mkdir(parents=True, exist_ok=True)
    (root / ".gitignore").write_text("*\n", "utf-8")
    outcomes = []
    with ThreadPoolExecutor(2) as pool:
        for outcome in pool.map(lambda row: run(row, root, anew=asked.anew), rows):
            show(outcome)
            outcomes.append(outcome)
    if asked.write:
        asked.write.parent.mkdir(parents=True, exist_ok=True)
        asked.write.write_text(page(outcomes), "utf-8")
        print(f"wrote {asked.write}")
    passed, failed = (sum(getattr(one, name) for one in outcomes) for name in ("passed", "failed"))
    broken = sum(bool(one.broke) for one in outcomes)
    print(f"{passed} passed, {failed + broken} failed")
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
