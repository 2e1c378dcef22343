"""Reports of several runs merged into one: shards, or several versions of Python.

A merged report is a report: it can be merged again, and the order never matters. Reads no file;
`session.received` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cas_llm.errors import CasLLMError
from cas_llm.session.causes import where
from cas_llm.session.received import FAILED, MEMBERS, WORST, Report
from cas_llm.session.report import merged

_ALIKE = {"commit": "commits", "project": "projects", "store": "stores"}


def merge(reports: Sequence[Report]) -> Report:
    """Several reports of one commit as one; a run that is in several of them counts once.

    Numbers are added. A test that ran more than once has its worst outcome, an answer it played
    in one run is not unplayed, and a problem that several runs met is one.

    Raises:
        CasLLMError: they are of different commits, projects or stores.

    """
    parts = _distinct(reports)
    _check_alike(parts)
    total = merged(parts)
    first = parts[0]
    modes = dict.fromkeys(mode for part in parts for mode in part["mode"].split(", ") if mode)
    shards = sorted(total["shards"], key=lambda shard: (shard["name"], shard["run"]))
    outcomes = _worst(parts)
    ran = Counter(test for part in parts for test in part["outcomes"])
    total |= {name: first[name] for name in ("format", "project", "store")}
    total |= {
        "commit": next((part["commit"] for part in parts if part["commit"]), ""),
        "mode": ", ".join(sorted(modes)),
        "shards": shards,
        "sums": _rounded(total["sums"]),
        "models": {name: _rounded(sums) for name, sums in sorted(total["models"].items())},
        "outcomes": outcomes,
        "repeated": sorted({*total["repeated"], *(test for test, n in ran.items() if n > 1)}),
        "differing": _differing(parts),
        "left": _left(parts, outcomes),
        "problems": _problems(parts),
        "tests": {name: _test(parts, name) for name in sorted(total["tests"])},
        "ties": {name: [*dict.fromkeys(tied)] for name, tied in sorted(total["ties"].items())},
        "places": {name: _first(parts, "places", name) for name in sorted(total["places"])},
    }
    for name in ("collected", "uncollected", "fixtures", "borrowers", "waiting", "unkept"):
        total[name] = sorted(set(total[name]))
    # What was added to a merged report is found out anew.
    return {name: total[name] for name in first if name in MEMBERS}


def _rounded(sums: Mapping[str, Any]) -> dict[str, Any]:
    # Added up in whatever order, the same.
    return {name: round(n, 9) if isinstance(n, float) else n for name, n in sums.items()}


def _distinct(reports: Sequence[Report]) -> list[Report]:
    """*reports* without those whose runs are all in another one, in an order of their own."""
    runs = [frozenset(shard["run"] for shard in report["shards"]) for report in reports]
    kept = [
        n
        for n, mine in enumerate(runs)
        if not any(mine < other or (mine == other and m < n) for m, other in enumerate(runs))
    ]
    for n in kept:
        for m in kept:
            if m < n and (both := runs[n] & runs[m]):
                raise CasLLMError(
                    f"the run {min(both)} is part of two reports that hold others besides; "
                    "merge the reports of the single runs"
                )
    return sorted((reports[n] for n in kept), key=lambda report: sorted(map(_run, _shards(report))))


def _check_alike(parts: Sequence[Report]) -> None:
    for member, word in _ALIKE.items():
        seen: dict[str, str] = {}
        for part in parts:
            if part[member] or member != "commit":
                seen.setdefault(part[member], part["shards"][0]["name"] or part["shards"][0]["run"])
        if len(seen) > 1:
            said = ", ".join(
                f"{name} is of {value[:12] if member == 'commit' else value or '(the top)'}"
                for value, name in seen.items()
            )
            raise CasLLMError(
                f"these reports are of different {word}: {said}; merge those of one run of CI"
            )


def _worst(parts: Sequence[Report]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in parts:
        for test, outcome in part["outcomes"].items():
            found[test] = max(found.get(test, outcome), outcome, key=WORST.__getitem__)
    return dict(sorted(found.items()))


def _differing(parts: Sequence[Report]) -> dict[str, list[str]]:
    """The outcomes of each test that had several."""
    seen: dict[str, set[str]] = {}
    for part in parts:
        for test, outcome in part["outcomes"].items():
            seen.setdefault(test, set()).add(outcome)
        for test, several in part["differing"].items():
            seen.setdefault(test, set()).update(several)
    return {test: sorted(several) for test, several in sorted(seen.items()) if len(several) > 1}


def _left(parts: Sequence[Report], outcomes: Mapping[str, str]) -> dict[str, list[str]]:
    """The keys that no run of a test played; of a test that failed somewhere nothing is known."""
    found: dict[str, Counter[str]] = {}
    for part in parts:
        for test, outcome in part["outcomes"].items():
            if outcome == "passed" and outcomes[test] != FAILED:
                mine = Counter(part["left"].get(test, ()))
                found[test] = found[test] & mine if test in found else mine
    return {test: sorted(keys.elements()) for test, keys in sorted(found.items()) if keys}


def _problems(parts: Sequence[Report]) -> list[dict[str, Any]]:
    """All problems; one that several runs met as often as the run that met it most."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for part in parts:
        mine: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for problem in part["problems"]:
            identity = (where(problem), problem["scope"], problem["kind"], problem["key"])
            mine.setdefault((*identity, "" if problem["key"] else problem["what"]), []).append(
                problem
            )
        for same, problems in mine.items():
            found[same] = max(found.get(same, []), problems, key=len)
    return [problem for same in sorted(found) for problem in found[same]]


def _test(parts: Sequence[Report], name: str) -> dict[str, Any]:
    mine = [part["tests"][name] for part in parts if name in part["tests"]]
    # A test that misses in one run and not in another needs what it lacks in the first.
    least = min(mine, key=lambda test: (test["passed"], len(test["used"]), str(test)))
    return {"passed": all(test["passed"] for test in mine), "used": least["used"]}


def _first(parts: Sequence[Report], member: str, name: str) -> str:
    return str(min(part[member][name] for part in parts if name in part[member]))


def _shards(report: Report) -> list[Mapping[str, Any]]:
    return list(report["shards"])


def _run(shard: Mapping[str, Any]) -> str:
    return str(shard["run"])
