"""Change `cas_llm.keys` and `cas_llm.store` in small ways; tell which changes no test notices.

``python tests/mutation/run.py`` draws a seeded sample, ``--all`` takes every mutant (hours),
names take those. It works on a copy in a temporary folder and prints a table by module, then the
survivors with the lines they change. Needs mutmut, at the version the ``mutation`` extra pins.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

from mutants import Mutant, copy, plant, sample

PROJECT = Path(__file__).resolve().parents[2]
TESTS = (
    "tests/keys",
    "tests/store",
    "tests/promises/test_fuzz_keys.py",
    "tests/promises/test_fuzz_store.py",
    "tests/promises/test_flipped_bytes.py",
)
QUIET = ("-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly")
ALIVE = {"survived", "untested"}
FRESH_LIMIT = 300


def judge(folder: Path, chosen: list[Mutant]) -> dict[str, str]:
    """The outcome of each of *chosen*, by name, in the copy that *folder* holds."""
    plan, results = folder / "plan.json", folder / "results.jsonl"
    plan.write_text(json.dumps([mutant.name for mutant in chosen]), "utf-8")
    told = {"MUTATION_PLAN": str(plan), "MUTATION_RESULTS": str(results)}
    words = ["-p", "forks", f"--basetemp={folder / 'tmp'}", "-o", "tmp_path_retention_policy=none"]
    done = _pytest(folder, [*words, *TESTS], told)
    if done.returncode:
        said = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        raise SystemExit(f"{said}\nthe mutants can't be judged (exit code {done.returncode})")
    outcomes = {}
    for line in map(json.loads, results.read_text("utf-8").splitlines()):
        alive = line["outcome"] in ALIVE
        # What ran while the tests were collected ran without the mutant: ask a new process.
        anew = alive and line["at_import"]
        outcomes[line["name"]] = _anew(folder, line["name"]) if anew else line["outcome"]
    return outcomes


def _anew(folder: Path, name: str) -> str:
    _, package, *modules, _ = name.split(".")
    own = f"tests/{package}/test_{modules[-1] if modules else package}.py"
    if not (folder / own).is_file():
        own = f"tests/{package}"
    try:
        done = _pytest(folder, ["-x", own], {"MUTANT_UNDER_TEST": name}, FRESH_LIMIT)
    except subprocess.TimeoutExpired:
        return "timeout"
    return "killed" if done.returncode else "survived"


def _pytest(
    folder: Path, words: list[str], more: dict[str, str], limit: float | None = None
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), str(folder / "tests" / "mutation")])
    return subprocess.run(
        [sys.executable, "-m", "pytest", *QUIET, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0", **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=limit,
    )


def table(mutants: list[Mutant], chosen: list[Mutant], outcomes: dict[str, str]) -> str:
    """A Markdown table: a row a module, and their sum."""
    total = Counter(mutant.module for mutant in mutants)
    lines = ["| Module | Mutants | Tried | Killed | By time-out | Survived | Killed % |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for module in [*sorted(total), ""]:
        own = [outcomes[m.name] for m in chosen if module in {"", m.module}]
        if own:
            count = total[module] if module else len(mutants)
            lines.append(_row(f"`{module}`" if module else "all", count, own))
    return "\n".join(lines)


def _row(title: str, count: int, outcomes: list[str]) -> str:
    alive = sum(outcome in ALIVE for outcome in outcomes)
    killed = len(outcomes) - alive
    late = outcomes.count("timeout")
    rate = 100 * killed / len(outcomes)
    return f"| {title} | {count} | {len(outcomes)} | {killed} | {late} | {alive} | {rate:.1f} |"


def main() -> None:
    """Read the command line, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", help="mutants, or patterns of their names")
    parser.add_argument("--all", action="store_true", help="every mutant: this takes hours")
    parser.add_argument("--sample", type=int, default=600, help="how many (default 600)")
    parser.add_argument("--least", type=int, default=8, help="of each module (default 8)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default 1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cas-llm-mutation-") as name:
        folder = Path(name)
        copy(PROJECT, folder)
        mutants = plant(folder)
        if options.names:
            chosen = [m for m in mutants if any(fnmatch(m.name, word) for word in options.names)]
        elif options.all:
            chosen = mutants
        else:
            chosen = sample(mutants, options.sample, options.least, options.seed)
        outcomes = judge(folder, chosen)
    print(table(mutants, chosen, outcomes))
    for mutant in chosen:
        if outcomes[mutant.name] in ALIVE:
            print(f"\n{mutant.name} ({outcomes[mutant.name]})\n{mutant.diff}")


if __name__ == "__main__":
    main()
