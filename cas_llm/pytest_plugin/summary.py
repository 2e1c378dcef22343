"""What people read at the end of a run, and the same for a pull request's page."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cas_llm.prices import money
from cas_llm.providers import KEY_VARIABLES
from cas_llm.session import causes, github
from cas_llm.session.causes import plural

_MEND = "cas-llm verify --repair"
_CAUSES = 5
_LISTED = 5
_PULL_REQUEST = re.compile(r"refs/pull/(\d+)/")


def show(
    reporter: Any, document: Mapping[str, Any], config: pytest.Config, unwritten: str = ""
) -> None:
    """Write the summary section and GitHub's step summary; *unwritten* is why no report was."""
    document = {**document, "command": _record_command(config)}
    failed = reporter.stats.get("failed") or reporter.stats.get("error")
    keyless = _keyless(document) if failed else []
    happened = _happened(document) or bool(keyless)
    if happened:
        title = f"cas-llm: {document['mode']} ({_short_source(document['mode_source'])})"
        reporter.write_sep("-", title)
        for line in (*lines(document), *keyless):
            reporter.write_line(line)
    if unwritten:
        # A run that was paid for does not end in an error over where it is reported.
        reporter.write_line(f"cas-llm: {unwritten}", red=True)
    step = os.environ.get("GITHUB_STEP_SUMMARY")
    if step and happened:
        _append(reporter, Path(step), markdown(document))


def _record_command(config: pytest.Config) -> str:
    """What records the missing: on CI, where a report was written, what a person can do with it."""
    report = config.getoption("cas_llm_report", default=None)
    if report and os.environ.get("CI"):
        checkout = _PULL_REQUEST.match(os.environ.get("GITHUB_REF", ""))
        first = f"gh pr checkout {checkout[1]} && " if checkout else ""
        command = f"pytest --cas-llm=fallback --cas-llm-from={shlex.quote(Path(report).name)}"
        return f"a maintainer with a key:  {first}{command}"
    rerun = "pytest --lf" if config.pluginmanager.hasplugin("lfplugin") else "pytest"
    return f"record: {rerun} --cas-llm=fallback"


def _append(reporter: Any, place: Path, text: str) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("a", encoding="utf-8", errors="backslashreplace") as file:
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
    return f"### cas-llm: {document['mode']}\n\n{github.fenced(body)}\n"


def _happened(document: Mapping[str, Any]) -> bool:
    sums = document["sums"]
    return bool(
        sums["served"]
        or sums["not_recorded"]
        or sums["live_calls"]
        or document["problems"]
        or document["unkept"]
        or document["new_tapes"]
        or document["wanted"]
    )


def _keyless(document: Mapping[str, Any]) -> list[str]:
    """Why tests may have failed before they asked: only replay has stand-ins for keys."""
    sums = document["sums"]
    asked = sums["served"] or sums["live_calls"] or document["problems"]
    calls = document["mode"] in {"fallback", "capture"}
    if not calls or asked or any(map(os.environ.get, KEY_VARIABLES)):
        return []
    return [
        "Nothing was asked, and no provider key is set: most SDKs want one before they ask.",
        "  Set it, as with export OPENAI_API_KEY=...; where all is recorded any value will do,",
        "  and most servers on this machine take any.",
    ]


def _counts(document: Mapping[str, Any]) -> list[str]:
    sums = document["sums"]
    counts = [f"{sums['served']} served"]
    if sums["not_recorded"]:
        counts.append(f"{sums['not_recorded']} not recorded")
    if document["mode"] == "replay" and not sums["live_calls"]:
        counts.append("0 live connections")
    else:
        live = sums["live_calls"]
        counts.append(plural(live, "call") if not sums["from_pending"] else _with_waiting(sums))
        if live:
            counts.append(_spent(sums))
    if document["blocked"]:
        counts.append(plural(document["blocked"], "refused connection"))
    if sums["served"] and (sums["saved_usd"] or sums["saved_seconds"] >= 0.05):
        spared = [money(sums["saved_usd"])] if sums["saved_usd"] else []
        counts.append(f"saved {', '.join([*spared, _seconds(sums['saved_seconds'])])}")
    new, tapes = document["new_recordings"], document["new_tapes"]
    if new or tapes:
        what = plural(new, "recording") if new else "no recording"
        counts.append(f"new: {what} in {plural(tapes, 'test')}")
        counts.append(f"git add {document['store']}")
    if waiting := len(document["waiting"]):
        whose = "the test passes" if waiting == 1 else "their tests pass"
        counts.append(f"{waiting} recorded, kept until {whose}")
    if len(document["problems"]) == 1:
        if causes.missing(document["problems"]):
            if document.get("command", "record: ").startswith("record: "):
                counts.append("     record all: pytest --cas-llm=fallback")
        elif causes.damaged(document["problems"]):
            counts.append(f"     mend: {_MEND}")
    return counts


def _with_waiting(sums: Mapping[str, Any]) -> str:
    used = plural(sums["from_pending"], "waiting answer")
    return f"{plural(sums['live_calls'], 'call')} ({used} used)"


def _cause_lines(document: Mapping[str, Any]) -> list[str]:
    problems = document["problems"]
    found: list[str] = []
    if len(problems) > 1:
        groups = causes.grouped(problems)
        tests = plural(len(causes.tests_of(problems)), "test")
        found.append(f"{tests}, {plural(len(groups), 'cause')}")
        found += [f"  {len(group):>4}  {causes.told(group)}" for group in groups[:_CAUSES]]
        if len(groups) > _CAUSES:
            found.append(f"        and {len(groups) - _CAUSES} more causes")
    command = document.get("command", "record: pytest --cas-llm=fallback")
    alone = len(problems) == 1 and command.startswith("record: ")
    if (missing := causes.missing(problems)) and not alone:
        used = {name: len(test["used"]) for name, test in document["tests"].items()}
        found.append(f"  {command}     {causes.bill(missing, used)}")
    if (damaged := causes.damaged(problems)) and len(problems) > 1:
        found.append(f"  mend: {_MEND}     {plural(len(damaged), 'recording')}")
    return found


def _advice(document: Mapping[str, Any]) -> list[str]:
    found = [f"not kept: {said}" for said in dict.fromkeys(document["unkept"])]
    found += document["wanted"]
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


def _short_source(source: str) -> str:
    if source.startswith("default"):
        return "default"
    return "pyproject.toml" if source.endswith("[tool.cas-llm]") else source
