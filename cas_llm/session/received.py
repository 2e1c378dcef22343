"""Reports that came from elsewhere: found, read, and checked before anything is made of them.

They may have been written by anybody's pull request. `session.shards` merges them.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from cas_llm.errors import CasLLMError
from cas_llm.session.report import FORMAT

Report = dict[str, Any]

FAILED = "failed"
WORST = {FAILED: 2, "passed": 1, "skipped": 0}
"""What counts of a test that ran more than once: a skip says nothing against a pass."""

_PROBLEM_TEXTS = (
    *("kind", "scope", "what", "key", "api", "model"),
    *("cause", "headline", "explanation", "test"),
)
_SHARD_TEXTS = ("run", "name", "python", "mode", "stopped")
MEMBERS: dict[str, type] = {
    **dict.fromkeys(("format", "commit", "project", "store", "mode"), str),
    **dict.fromkeys(("shards", "problems", "collected", "uncollected", "fixtures"), list),
    **dict.fromkeys(("borrowers", "repeated", "waiting", "unkept"), list),
    **dict.fromkeys(("sums", "models", "ties", "tests", "outcomes", "differing"), dict),
    **dict.fromkeys(("places", "left"), dict),
    **dict.fromkeys(("blocked", "new_recordings", "new_tapes"), int),
}
_OBJECTS = frozenset({"shards", "problems"})


def files_of(names: Iterable[str], folder: Path) -> list[Path]:
    """The files that *names* stand for, each once; a name that is no file may be a pattern.

    Raises:
        CasLLMError: there is no such file, or a pattern that matches none.

    """
    found: dict[Path, None] = {}
    for name in names:
        path = folder / name
        if path.exists() or not glob.has_magic(name):
            if not path.is_file():
                what = "is a folder" if path.is_dir() else "there is no such file"
                raise CasLLMError(f"{name}: {what}; write one: pytest --cas-llm-report={name}")
            found[path] = None
            continue
        matched = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - may be absolute
        if not matched:
            raise CasLLMError(
                f"{name}: the pattern matches no file; write one: pytest --cas-llm-report=FILE"
            )
        found |= dict.fromkeys(map(Path, matched))
    return list(found)


def read(path: Path) -> Report:
    """The report at *path*; a single run's carries the file's name from then on.

    Raises:
        CasLLMError: it cannot be read, is cut off, is no report, or one of another format.

    """
    # A file of another kind was named by mistake, and must not be written over.
    name = path.name if path.suffix == ".json" else "report.json"
    again = f"write {'it anew' if name == path.name else 'one'}: pytest --cas-llm-report={name}"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CasLLMError(f"{path}: cannot be read ({error}); {again}") from error
    try:
        report = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CasLLMError(f"{path}: cut off, or no JSON ({error}); {again}") from error
    said = report.get("format") if isinstance(report, dict) else None
    if said != FORMAT:
        if isinstance(said, str) and said.startswith(FORMAT.rpartition("/")[0]):
            raise CasLLMError(
                f"{path}: its format is {said}, and this version of cas-llm reads {FORMAT}; use "
                "the version that wrote it"
            )
        raise CasLLMError(f"{path}: no report of cas-llm; {again}")
    try:
        _check(report)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CasLLMError(f"{path}: a report with something amiss: {error}; {again}") from error
    if len(report["shards"]) == 1 and not report["shards"][0]["name"]:
        report["shards"][0]["name"] = path.name
    return cast("Report", report)


def _check(report: Report) -> None:
    """Raise where a member of *report* is not what it must be."""
    for name, kind in MEMBERS.items():
        if not isinstance(report[name], kind):
            raise TypeError(f"{name} is no {kind.__name__}")
    if not report["shards"]:
        raise ValueError("it is of no run")
    for name, kind in MEMBERS.items():
        _must(kind is not list or name in _OBJECTS or _texts(report[name]), name)
    for shard in report["shards"]:
        _must(_texts(shard[name] for name in _SHARD_TEXTS), "shards")
        _must(_texts([*shard["narrowed"], *shard["asked"]]), "shards")
    _must(all(outcome in WORST for outcome in report["outcomes"].values()), "outcomes")
    _must(_texts(report["places"].values()), "places")
    for name in ("left", "differing", "ties"):
        _must(all(isinstance(v, list) and _texts(v) for v in report[name].values()), name)
    for name in ("served", "live_calls", "not_recorded"):
        _must(type(report["sums"][name]) is int, "sums")
    for test in report["tests"].values():
        _must(isinstance(test["passed"], bool) and isinstance(test["used"], list), "tests")
    for problem in report["problems"]:
        _must(_texts(problem[name] for name in _PROBLEM_TEXTS), "problems")
        _must(type(problem["turn"]) is type(problem["turns"]) is int, "problems")
        _must(isinstance(problem["price_usd"], (int, float, type(None))), "problems")
        _must(isinstance(problem["nearest"], (dict, type(None))), "problems")
        _must({type(problem[name]) for name in ("records", "new", "fixture")} == {bool}, "problems")


def _texts(several: Iterable[Any]) -> bool:
    return all(isinstance(one, str) for one in several)


def _must(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(f"{name} does not hold what it must")
