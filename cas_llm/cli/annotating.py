"""A merged report on a pull request: annotations beside the lines, and the page of the job.

Part of the command line. Test names, prompts and answers are whoever's opened the pull request, so
that every word of theirs goes through `session.github`.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cas_llm.cli.picture import Picture, counts, price_of
from cas_llm.errors import CasLLMError
from cas_llm.session import causes
from cas_llm.session.github import code, command, one_line

# GitHub shows ten annotations of a kind for a step.
_ANNOTATIONS = 10
_TESTS = 20
_LONGEST = 300


def tell(picture: Picture, lines: Sequence[str], wanted: Collection[str]) -> None:
    """Print *lines* and the annotations, and append to the page ``GITHUB_STEP_SUMMARY`` names.

    Raises:
        CasLLMError: the page cannot be written.

    """
    # Nothing between the two is a command, whatever a test is called.
    token = secrets.token_hex(16)
    out = [f"::stop-commands::{token}", *lines, f"::{token}::", *commands(picture, wanted)]
    sys.stdout.write("\n".join(out) + "\n")
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(page).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(markdown(picture))
        except OSError as error:
            raise CasLLMError(
                f"cannot write {page} (GITHUB_STEP_SUMMARY): {error.strerror or error}; set it to "
                "a file that can be written, or leave --format=github out"
            ) from error


def commands(picture: Picture, wanted: Collection[str]) -> Iterator[str]:
    """One workflow command for each cause, at the first of its tests."""
    groups = causes.grouped(picture.report["problems"])
    level = "error" if "miss" in wanted or not wanted else "warning"
    shown = groups if len(groups) <= _ANNOTATIONS else groups[: _ANNOTATIONS - 1]
    for group in shown:
        tests = causes.tests_of(group)
        title = f"cas-llm: {causes.plural(len(group), 'request')} {group[0]['kind']}"
        others = f" and {causes.plural(len(tests) - 1, 'other test')}" if len(tests) > 1 else ""
        said = [_short(causes.told(group)), f"in {_short(tests[0])}{others}"]
        if price := price_of({**picture.report, "problems": group}):
            said.append(f"{picture.command}    {price}")
        yield command(level, "\n".join(said), title=title, **_place(group[0], picture.report))
    if rest := groups[len(shown) :]:
        count = sum(map(len, rest))
        said_of = f"{causes.plural(len(rest), 'more cause')}, {causes.plural(count, 'request')}"
        yield command(level, f"{said_of}: see the job's summary", title="cas-llm")
    if found := picture.unused.count:
        level = "error" if "unused" in wanted else "notice"
        names = [*picture.unused.left, *picture.unused.gone]
        said_of = f"{causes.plural(found, 'recording')} unused: {_short(', '.join(names[:3]))}"
        yield command(level, said_of, title="cas-llm: unused recordings")


def markdown(picture: Picture) -> str:
    """The page of the job."""
    report, numbers = picture.report, counts(picture.report)
    rows = [f"| {' | '.join(numbers)} |", "| ---: " * len(numbers) + "|"]
    rows.append(f"| {' | '.join(f'{number:,}' for number in numbers.values())} |")
    parts = [f"### cas-llm: {code(report['mode'] or 'no mode')}", "", *rows, ""]
    parts += [
        f"- {_code(shard['name'] or shard['run'])} did not finish: {_code(shard['stopped'])}"
        for shard in report["shards"]
        if shard["stopped"]
    ]
    groups = causes.grouped(report["problems"])
    for group in groups[:_ANNOTATIONS]:
        parts.append(f"- **{len(group):,}** {_code(causes.told(group))}")
        parts += _listed(causes.tests_of(group))
    if len(groups) > _ANNOTATIONS:
        parts.append(f"- and {causes.plural(len(groups) - _ANNOTATIONS, 'more cause')}")
    if price := price_of(report):
        parts.append(f"- a maintainer with a key: {code(picture.command)} {price}")
    if changed := picture.changed:
        parts.append(f"- tapes against {_code(picture.revision)}:")
        for word, tests in (("new", changed.new), ("anew", changed.anew), ("gone", changed.gone)):
            parts += [f"  - {len(tests):,} {word}", *_listed(tests, 2)] if tests else []
    if picture.unused.count:
        parts.append(f"- {causes.plural(picture.unused.count, 'recording')} unused:")
        parts += _listed([*picture.unused.left, *picture.unused.gone])
    parts += [f"- unused unknown: {_code(said)}" for said in picture.unused.unknown]
    parts += _listed(report["ties"], 0, "recorded on two branches: ")
    parts += [
        f"- {_code(test)} in several runs: {', '.join(seen)}"
        for test, seen in list(report["differing"].items())[:_TESTS]
    ]
    return "\n".join(parts) + "\n\n"


def _place(problem: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, object]:
    """Where on the pull request: the definition of the test, else its file."""
    test = causes.where(problem)
    known = report["places"].get(problem["scope"]) or report["places"].get(test)
    path, _, line = known.rpartition(":") if known else (test.partition("::")[0], "", "")
    if not path.endswith(".py"):
        return {}
    inside = f"{report['project']}/{path}" if report["project"] else path
    return {"file": inside, "line": line}


def _listed(names: Collection[str], depth: int = 1, word: str = "") -> list[str]:
    margin, listed = "  " * depth, list(names)
    found = [f"{margin}- {word}{_code(name)}" for name in listed[:_TESTS]]
    rest = len(listed) - _TESTS
    return [*found, f"{margin}- and {rest:,} more"] if rest > 0 else found


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _code(text: str) -> str:
    return code(_short(text))
