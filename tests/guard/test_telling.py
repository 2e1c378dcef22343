"""Findings are lines that a person can act on, and JSON for programs."""

from __future__ import annotations

import json

from cas_llm.guard.codes import CODES
from cas_llm.guard.telling import as_json, text
from cas_llm.store.proof.census import Finding
from cas_llm.store.proof.repair import _MENDABLE


def alike(number: int, command: str = "mend") -> Finding:
    return Finding("CAS060", "error", f"a/{number:03}", "was edited", "names are digests", command)


def test_what_findings_have_in_common_is_said_once() -> None:
    """Errors come first; each line begins with the path, as editors and log viewers expect it."""
    warning = Finding("CAS063", "warning", "b", "has 1.0 MB")
    assert text([warning, alike(2), alike(1)]) == (
        "a/001: CAS060 error: was edited\n"
        "a/002: CAS060 error: was edited\n"
        "  why: names are digests\n"
        "  do:  mend\n"
        "b: CAS063 warning: has 1.0 MB\n"
    )


def test_a_command_of_its_own_stands_below_its_finding() -> None:
    """So that nobody must guess which belongs to which."""
    assert text([alike(1, "mend 1"), alike(2, "mend 2")]).splitlines()[:3] == [
        "a/001: CAS060 error: was edited",
        "  do:  mend 1",
        "a/002: CAS060 error: was edited",
    ]


def test_twenty_of_a_kind_are_shown_and_the_rest_counted() -> None:
    """A store that was reformatted has thousands."""
    lines = text(map(alike, range(1000))).splitlines()
    assert len(lines) == 20 + 3
    assert lines[20] == "  ... and 980 more like these"


def test_a_name_that_drives_a_terminal_is_spelt() -> None:
    """A file's name may hold anything, a line end too."""
    shown = text([Finding("CAS004", "error", "a\n\x1b[31mb", "is foreign")])
    assert shown == "a\\n\\x1b[31mb: CAS004 error: is foreign\n"


def test_json_holds_every_member() -> None:
    """All findings, however many."""
    rows = json.loads(as_json([alike(number) for number in range(30)]))["findings"]
    assert len(rows) == 30
    assert set(rows[0]) == {"code", "severity", "path", "what", "why", "command", "tests"}


def test_every_code_has_a_severity_and_a_meaning() -> None:
    """The table is what the documentation is made from."""
    assert {severity for severity, _ in CODES.values()} == {"error", "warning", "info"}
    assert len({meaning for _, meaning in CODES.values()}) == len(CODES)
    assert set(CODES) >= _MENDABLE
