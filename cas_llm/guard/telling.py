"""How findings are shown: a line each with its stable code, then why, then the command.

Pure functions on the values that `verify` reports in, too. No colour: hooks write to pipes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby

from cas_llm.store.proof.census import Finding

SHOWN = 20
"""How many findings of one kind are shown; the rest are counted."""

_SEVERITIES = ("error", "warning", "info")


def text(findings: Iterable[Finding], shown: int = SHOWN) -> str:
    """Each finding in a line, errors first, with why said once for all that have it in common.

    So is the command; where each has its own, it stands below its finding.
    """
    lines: list[str] = []
    ordered = sorted(findings, key=lambda one: (*_cause(one), one.path))
    for (_, _, why), group in groupby(ordered, key=_cause):
        alike = list(group)
        commands = dict.fromkeys(one.command for one in alike)
        for one in alike[:shown]:
            lines.append(f"{one.path}: {one.code} {one.severity}: {one.what}")
            if len(commands) > 1 and one.command:
                lines.append(f"  do:  {one.command}")
        if len(alike) > shown:
            lines.append(f"  ... and {len(alike) - shown} more like these")
        lines += [f"  why: {why}"] if why else []
        lines += [f"  do:  {command}" for command in commands if command and len(commands) == 1]
    return "".join(f"{_printable(line)}\n" for line in lines)


def as_json(findings: Sequence[Finding]) -> str:
    """The findings as one JSON document."""
    rows = [
        {
            "code": one.code,
            "severity": one.severity,
            "path": one.path,
            "what": one.what,
            "why": one.why,
            "command": one.command,
            "tests": list(one.tests),
        }
        for one in findings
    ]
    return json.dumps({"findings": rows}, indent=2) + "\n"


def _cause(finding: Finding) -> tuple[int, str, str]:
    return _SEVERITIES.index(finding.severity), finding.code, finding.why


def _printable(line: str) -> str:
    """The *line* without what ends it or drives a terminal: a file's name may hold anything."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
