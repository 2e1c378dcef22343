"""What the git hooks cost: for a commit that is none of theirs, for one that records, for all.

Whole programs, as pre-commit starts them. Beside them is an empty interpreter, which no hook in
Python can be faster than. ``python benchmarks/hooks.py`` measures these rows alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import Command, Effort, Stores, environment, timed
from outcomes import Outcome, ratios

NAMES = ("verify", "stale", "secrets")
_BASE = "python -c pass"
_COMMIT = {"GIT_INDEX_FILE": ".git/index"}
_RECORDED, _ALL = 500, 20_000
_OWN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
_WHO = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org", "-c", "gc.auto=0")


def hooks(stores: Stores, effort: Effort) -> Outcome:
    """Each hook for an unrelated commit, for one of new recordings, and for a whole store."""
    outcome = Outcome()
    recorded, everything = effort.at_most(_RECORDED), effort.at_most(_ALL)
    plain = _repository(stores.scratch())
    (plain / "app.py").write_text("PROMPT = 'Be brief.'\n")
    _git(plain, "add", "-A")
    found = _timed(plain, 2 * effort.starts, _COMMIT, ("replayable",))
    outcome.tables.append(ratios("A commit of one file that is no test's", found, _BASE))
    fresh = _repository(stores.copy("cas-llm", "chat", recorded).parent)
    _git(fresh, "add", "-A")
    found = _timed(fresh, effort.starts, _COMMIT)
    title = f"A commit that adds {recorded:,} recordings ({2 * recorded:,} files of content)"
    outcome.tables.append(ratios(title, found, _BASE))
    whole = _repository(stores.copy("cas-llm", "chat", everything).parent)
    _git(whole, "add", "-A")
    _git(whole, "commit", "-q", "-m", "recordings")
    found = _timed(whole, effort.proofs, {"PRE_COMMIT": "1"})
    title = f"pre-commit run --all-files, {everything:,} recordings"
    outcome.tables.append(ratios(title, found, _BASE, note="Objects as git wrote them, loose."))
    return outcome


def _timed(folder: Path, rounds: int, said: dict[str, str], more: tuple[str, ...] = ()):
    commands = {_BASE: Command([sys.executable, "-c", "pass"], folder)}
    for name in (*NAMES, *more):
        line = [sys.executable, "-m", "cas_llm.hook", name]
        commands[f"cas-llm-{name}"] = Command(line, folder, more={**_OWN, **said})
    return timed(commands, rounds)


def _repository(folder: Path) -> Path:
    """A repository in *folder* with one commit of a file, and what lies there not added."""
    (folder / "README.md").write_text("A project.\n")
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", "README.md")
    _git(folder, "commit", "-q", "-m", "Begin")
    return folder


def _git(folder: Path, *words: str) -> None:
    line = ["git", *_WHO, *words]
    subprocess.run(line, cwd=folder, env={**environment(), **_OWN}, check=True)


def main() -> None:
    """Measure and print the tables."""
    with tempfile.TemporaryDirectory(prefix="cas-llm-benchmark-") as temporary:
        for table in hooks(Stores(Path(temporary)), Effort()).tables:
            print(f"\n{table.title}\n")
            for line in (table.columns, *table.lines):
                print("  ".join(f"{cell:>16}" for cell in line))


if __name__ == "__main__":
    main()
