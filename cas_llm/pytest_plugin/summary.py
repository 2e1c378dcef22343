"""What people read at the end of a run, and the same for machines and for a pull request."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cas_llm.prices import money
from cas_llm.session.misses import UNREADABLE
from cas_llm.session.report import FORMAT

_MEND = "cas-llm verify --repair"
_CAUSES = 5
_LISTED = 5


def show(reporter: Any, document: Mapping[str, Any], config: pytest.Config) -> None:
    """Write the summary section, the JSON report and GitHub's step summary."""
    if config.pluginmanager.hasplugin("lfplugin"):
        document = {**document, "rerun": "pytest --lf"}
    happened = _happened(document)
    if happened:
        title = f"cas-llm: {document['mode']} ({_short_source(document['mode_source'])})"
        reporter.write_sep("-", title)
        for line in lines(document):
            reporter.write_line(line)
    path = config.getoption("cas_llm_report", default=None)
    if path:
        text = json.dumps({"format": FORMAT, **document}, indent=2, ensure_ascii=False)
        _write(reporter, config.invocation_params.dir / path, "w", text + "\n")
    step = os.environ.get("GITHUB_STEP_SUMMARY")
    if step and happened:
        _write(reporter, Path(step), "a", markdown(document))


def _write(reporter: Any, place: Path, mode: str, text: str) -> None:
    """Write *text*; a run that was paid for does not end in an error over where it is reported."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open(mode, encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        reporter.write_line(f"cas-llm: cannot write {place}: {error.strerror or error}", red=True)


def lines(document: Mapping[str, Any]) -> list[str]:
    """The summary, line by line: counts first, then what to do."""
    found = ["   ".join(_counts(document))]
    found += _cause_lines(document)
    found += _advice(document)
    return found


def markdown(document: Mapping[str, Any]) -> str:
    """The summary for a job's page."""
    body = "\n".join(lines(document))
    return f"### cas-llm: {document['mode']}\n\n```text\n{body}\n```\n"


def causes(document: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    """Problems by cause, the commonest first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for problem in document["problems"]:
        groups.setdefault(problem["cause"], []).append(problem)
    return sorted(groups.values(), key=len, reverse=True)


def _happened(document: Mapping[str, Any]) -> bool:
    sums = document["sums"]
    return bool(
        sums["served"]
        or sums["not_recorded"]
        or sums["live_calls"]
        or document["problems"]
        or document["unkept"]
        or document["new_tapes"]
    )


def _counts(document: Mapping[str, Any]) -> list[str]:
    sums = document["sums"]
    counts = [f"{sums['served']} served"]
    if sums["not_recorded"]:
        counts.append(f"{sums['not_recorded']} not recorded")
    if document["mode"] == "replay" and not sums["live_calls"]:
        counts.append("0 live connections")
    else:
        live = sums["live_calls"]
        counts.append(_plural(live, "call") if not sums["from_pending"] else _with_waiting(sums))
        if live:
            counts.append(_spent(sums))
    if document["blocked"]:
        counts.append(_plural(document["blocked"], "refused connection"))
    if sums["served"] and (sums["saved_usd"] or sums["saved_seconds"] >= 0.05):
        spared = [money(sums["saved_usd"])] if sums["saved_usd"] else []
        counts.append(f"saved {', '.join([*spared, _seconds(sums['saved_seconds'])])}")
    new, tapes = document["new_recordings"], document["new_tapes"]
    if new or tapes:
        what = _plural(new, "recording") if new else "no recording"
        counts.append(f"new: {what} in {_plural(tapes, 'test')}")
        counts.append(f"git add {document['store']}")
    if waiting := len(document["waiting"]):
        whose = "the test passes" if waiting == 1 else "their tests pass"
        counts.append(f"{waiting} recorded, kept until {whose}")
    if len(document["problems"]) == 1:
        if _missing(document):
            counts.append("     record all: pytest --cas-llm=fallback")
        elif _damaged(document):
            counts.append(f"     mend: {_MEND}")
    return counts


def _missing(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The problems that recording mends."""
    return [p for p in document["problems"] if p["records"] and p["kind"] != UNREADABLE]


def _damaged(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The problems of recordings that are there and cannot be read."""
    return [p for p in document["problems"] if p["kind"] == UNREADABLE]


def _with_waiting(sums: Mapping[str, Any]) -> str:
    used = _plural(sums["from_pending"], "waiting answer")
    return f"{_plural(sums['live_calls'], 'call')} ({used} used)"


def _cause_lines(document: Mapping[str, Any]) -> list[str]:
    groups = causes(document)
    misses, damaged = _missing(document), _damaged(document)
    if len(document["problems"]) < 2:
        return []
    tests = len({problem["scope"] for problem in document["problems"]})
    found = [f"{_plural(tests, 'test')}, {_plural(len(groups), 'cause')}"]
    for group in groups[:_CAUSES]:
        first = group[0]
        found.append(f"  {len(group):>4}  {_told(first, alone=len(group) == 1)}")
    if len(groups) > _CAUSES:
        found.append(f"        and {len(groups) - _CAUSES} more causes")
    if misses:
        prices = [problem["price_usd"] for problem in misses if problem["price_usd"] is not None]
        price = f"about {money(sum(prices))}" if sum(prices) else "free"
        calls = _plural(len(misses), "call")
        command = f"{document.get('rerun', 'pytest')} --cas-llm=fallback"
        found.append(f"  record: {command}     {calls}, {price if prices else 'price unknown'}")
    if damaged:
        found.append(f"  mend: {_MEND}     {_plural(len(damaged), 'recording')}")
    return found


def _told(problem: Mapping[str, Any], *, alone: bool) -> str:
    """A cause in a line: the first difference, else what happened to which requests."""
    if differs := _differs(problem["explanation"]):
        return differs
    if alone:
        return str(problem["headline"]).removeprefix("cas-llm: ")
    return f"{problem['what']}   {problem['kind']}"


def _differs(explanation: str) -> str:
    """The line that names the first difference, where there is one."""
    return next((line.strip() for line in explanation.splitlines() if line.startswith("    $")), "")


def _advice(document: Mapping[str, Any]) -> list[str]:
    found = [f"not kept: {said}" for said in dict.fromkeys(document["unkept"])]
    if document["borrowers"]:
        count = len(document["borrowers"])
        what, lives = ("1 test", "lives") if count == 1 else (f"{count} tests", "live")
        found.append(
            f"{what} without a tape of its own {lives} on others' recordings; "
            "pytest --cas-llm=fallback writes it without a call:"
        )
        found += _listed(document["borrowers"])
    if document["ties"]:
        count = len(document["ties"])
        what = "1 test was" if count == 1 else f"{count} tests were"
        found.append(f"{what} recorded on two branches; one take is served, always the same:")
        found += _listed(sorted(document["ties"]))
    return found


def _listed(names: Sequence[str]) -> list[str]:
    shown = [f"  {name}" for name in names[:_LISTED]]
    return [*shown, f"  and {len(names) - _LISTED} more"] if len(names) > _LISTED else shown


def _spent(sums: Mapping[str, Any]) -> str:
    if not sums["unknown_prices"]:
        return f"spent {money(sums['spent_usd'])}" if sums["spent_usd"] else "free"
    if not sums["spent_usd"]:
        return "spent: unknown"
    return f"spent {money(sums['spent_usd'])} and {sums['unknown_prices']} of unknown price"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _short_source(source: str) -> str:
    if source.startswith("default"):
        return "default"
    return "pyproject.toml" if source.endswith("[tool.cas-llm]") else source
