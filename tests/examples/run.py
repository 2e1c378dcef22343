"""Does what the READMEs of the examples say, in an environment for each set of SDKs, two at a time.

::

    python tests/examples/run.py [NAME ...] [--anew]

The exit code is 0 where every command did what its README says, 1 where one did not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sdks.environment import Environment, NotInstalled
from sdks.rows import Row
from support.example_projects import TREE, Broken, Example, every_example


def followed(requirements: tuple[str, ...], examples: list[Example], root: Path, anew: bool) -> int:
    """Follow *examples*, which need the same, in one environment; how many don't keep their word."""
    environment = Environment(Row("example", requirements, ()), root)
    try:
        set_up = environment.make(anew=anew)
    except NotInstalled as error:
        print(f"{', '.join(one.name for one in examples)}: not installed: {error}", flush=True)
        return len(examples)
    said = f"{set_up:.0f} s to set up {' '.join(requirements)}"
    failed = 0
    for example in examples:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="cas-llm-example-") as scratch:
            try:
                lines = list(example.follow(Path(scratch), environment.python.parent))
            except Broken as error:
                failed += 1
                print(f"{error}", flush=True)
                continue
        took = f"{time.monotonic() - began:.0f} s; {said}"
        print(f"{example.name}: {len(lines)} commands ({took})", *lines, sep="\n  ", flush=True)
        said = "the same environment"
    return failed


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="these only; default: all")
    parser.add_argument("--anew", action="store_true", help="install again, so take what is newest")
    parser.add_argument("--venvs", type=Path, default=TREE / ".sdk-matrix", metavar="FOLDER")
    asked = parser.parse_args()
    examples = [one for one in every_example() if not asked.names or one.name in asked.names]
    if unknown := {*asked.names} - {one.name for one in examples}:
        there = ", ".join(one.name for one in every_example())
        parser.error(f"no example {', '.join(sorted(unknown))}; there are {there}")
    root = asked.venvs.resolve()
    root.mkdir(parents=True, exist_ok=True)
    (root / ".gitignore").write_text("*\n", "utf-8")
    groups: dict[tuple[str, ...], list[Example]] = {}
    for example in examples:
        groups.setdefault(example.requirements, []).append(example)
    with ThreadPoolExecutor(2) as pool:
        failed = sum(pool.map(lambda group: followed(*group, root, asked.anew), groups.items()))
    print(f"{len(examples) - failed} examples keep their word, {failed} don't")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
