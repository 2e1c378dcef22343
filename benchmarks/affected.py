"""What it costs to tell which tests a change affects: 2,000 tests over 300 modules.

``python benchmarks/affected.py [ROUNDS]`` prints a table. Each figure is a whole process, from the
start of Python to the answer: reading the log, taking the fingerprint, asking git for the staged
files, selecting. The log is one of a repository made for it in a temporary folder.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
MODULES, TEST_FILES, TESTS_EACH = 300, 200, 10

ASK = """
import sys
from pathlib import Path
from cas_llm.dependencies import fingerprint, runlog
from cas_llm.dependencies.selection import Tree, affected
from cas_llm.gitrepo import contents, files_in_index

top, paths = Path(sys.argv[1]), sys.argv[2:]
ids = files_in_index(top, ".")
tree = Tree(ids, lambda path: next((data for _, data in contents(top, [ids[path]])), None))
changed = {path: (top / path).read_bytes() for path in paths}
(log,) = runlog.read_all(top / "cache_store" / ".local")
found = affected(log, changed, fingerprint.take(), tree)
print(len(found.tests), len(found.doubts))
"""
IMPORTS = "import cas_llm.dependencies.selection, cas_llm.dependencies.fingerprint, cas_llm.gitrepo"


def build(top: Path) -> None:
    """A project with all its tests, and the log that a run of them would leave."""
    sys.path.insert(0, str(TREE))
    from cas_llm.dependencies import fingerprint, runlog
    from cas_llm.dependencies.journal import Finished, Lines
    from cas_llm.dependencies.merging import Facts, merged
    from cas_llm.dependencies.witness import READ, Seen

    chance = random.Random(7)
    for folder in ("app", "tests", "prompts", "docs"):
        (top / folder).mkdir()
    for number in range(MODULES):
        # Each needs some of those before it, as layers do; the first few are needed by most.
        needed = sorted({chance.randrange(number) for _ in range(3)}) if number else []
        lines = [f"from app import m{one}" for one in needed]
        lines += [f"def f{one}(x):\n    return x + {one}\n" for one in range(20)]
        (top / "app" / f"m{number}.py").write_text("\n".join(lines), "utf-8")
        (top / "prompts" / f"{number}.txt").write_text(f"Prompt {number}\n", "utf-8")
    finished, seen = [], [Seen(f"app/m{n}.py", READ, f"prompts/{n}.txt") for n in range(MODULES)]
    for number in range(TEST_FILES):
        path = f"tests/test_{number}.py"
        lines = [f"from app import m{chance.randrange(MODULES)}" for _ in range(3)]
        names = [f"test_{one}" for one in range(TESTS_EACH)]
        lines += [f"def {name}():\n    pass\n" for name in names]
        (top / path).write_text("\n".join(lines), "utf-8")
        for name in names:
            key, digest = (f"{chance.getrandbits(256):064x}" for _ in range(2))
            finished.append(
                Finished(f"{path}::{name}", path, "passed", ((key, digest),), (digest,))
            )
    (top / "docs" / "guide.md").write_text("How to.\n", "utf-8")
    (top / "pyproject.toml").write_text("[tool.cas-llm]\n", "utf-8")
    (top / ".gitignore").write_text("cache_store/.local\n", "utf-8")
    facts = Facts(
        top,
        ".",
        "sha1",
        time.time() + 1,
        fingerprint.take(),
        ("pyproject.toml",),
        complete=True,
    )
    log = merged(None, Lines(1, tuple(finished), seen=tuple(seen), roots=(".",)), facts)
    place = runlog.path_of(top / "cache_store" / ".local", ".")
    place.parent.mkdir(parents=True)
    place.write_bytes(runlog.encoded(log))
    own = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=top, env=own, check=True)


def measured(words: list[str], rounds: int, cache: Path) -> tuple[list[float], list[float], str]:
    """Milliseconds of each round, those of the processors, and what the last one printed."""
    # As installed: the modules are compiled already.
    own = {n: value for n, value in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    own |= {"PYTHONPYCACHEPREFIX": str(cache), "PYTHONPATH": str(TREE)}
    taken, busy, said = [], [], ""
    for _ in range(rounds + 1):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(words, env=own, capture_output=True, text=True, check=True)
        taken.append((time.perf_counter() - start) * 1000)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        busy.append(spent * 1000)
        said = done.stdout.strip()
    return taken[1:], busy[1:], said  # the first one fills the caches


def main(rounds: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
        top = Path(folder)
        build(top)
        size = runlog_size(top)
        ask = [sys.executable, "-c", ASK, str(top)]
        rows = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "the imports alone": [sys.executable, "-c", IMPORTS],
            "a file nobody depends on": [*ask, "docs/guide.md"],
            "a module that few import": [*ask, "app/m290.py"],
            "a module that most import": [*ask, "app/m0.py"],
            "a prompt file": [*ask, "prompts/150.txt"],
            "20 modules and 20 prompts": [
                *ask,
                *(f"app/m{n}.py" for n in range(100, 120)),
                *(f"prompts/{n}.txt" for n in range(200, 220)),
            ],
        }
        print(f"{TEST_FILES * TESTS_EACH:,} tests, {MODULES} modules, a log of {size:,} bytes\n")
        print("| whole process | median ms | smallest | largest | of processors | selected |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, words in rows.items():
            taken, busy, said = measured(words, rounds, Path(cache))
            figures = (statistics.median(taken), min(taken), max(taken), statistics.median(busy))
            cells = [name, *(f"{one:.0f}" for one in figures), said.partition(" ")[0]]
            print(f"| {' | '.join(cells)} |")


def runlog_size(top: Path) -> int:
    """Bytes of the log."""
    return sum(p.stat().st_size for p in (top / "cache_store" / ".local").rglob("*.json"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
