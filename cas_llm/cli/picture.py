"""A merged report in words: counts, causes, the command and its price, what else is amiss.

Part of the command line; prints nothing. Every line is safe to show, whoever wrote the report.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cas_llm.cli.changed import Changed
from cas_llm.session import causes
from cas_llm.session.causes import plural
from cas_llm.session.github import one_line
from cas_llm.session.judging import Unused, lacking
from cas_llm.store import layout

_CAUSES = 10
_LISTED = 5


@dataclass(frozen=True)
class Picture:
    """A merged report with what was found out about it; `command` records what is missing."""

    report: Mapping[str, Any]
    unused: Unused
    changed: Changed | None = None
    revision: str = ""
    command: str = ""


def lines(picture: Picture) -> Iterator[str]:
    """The picture for people: counts, causes, the command and its price, what else is amiss."""
    for line in _lines(picture):
        # GitHub finds its commands in a log's every line, behind spaces, and the old ones anywhere.
        said = one_line(line).replace("##[", "## [")
        yield f"\\{said.lstrip()}" if said.lstrip().startswith("::") else said


def counts(report: Mapping[str, Any]) -> dict[str, int]:
    """The numbers that everything begins with."""
    outcomes = list(report["outcomes"].values())
    return {
        "tests": len(outcomes),
        **{word: outcomes.count(word) for word in ("passed", "failed", "skipped")},
        "served": report["sums"]["served"],
        "not recorded": len(lacking(report["problems"])),
        "live connections": report["sums"]["live_calls"],
    }


def _lines(picture: Picture) -> Iterator[str]:
    report = picture.report
    of = f", commit {report['commit'][:12]}" if report["commit"] else ""
    mode = report["mode"] or "no mode"
    yield f"cas-llm: {mode}, {plural(len(report['shards']), 'report')}{of}"
    numbers = counts(report)
    yield "   ".join(
        f"{numbers[word]:,} {word}"
        for word in ("passed", "failed", "skipped", "served", "not recorded", "live connections")
    )
    for shard in report["shards"]:
        if shard["stopped"]:
            yield f"{shard['name'] or shard['run']} did not finish: {shard['stopped']}"
    yield from _problem_lines(picture)
    yield from _changed_lines(picture)
    yield from _unused_lines(picture)
    yield from _other_lines(report)


def _problem_lines(picture: Picture) -> Iterator[str]:
    problems = picture.report["problems"]
    groups = causes.grouped(problems)
    if groups:
        tests = plural(len(causes.tests_of(problems)), "test")
        yield f"{tests}, {plural(len(groups), 'cause')}"
    for group in groups[:_CAUSES]:
        yield f"  {len(group):>4}  {causes.told(group)}"
        yield from (f"          {name}" for name in _some(causes.tests_of(group)))
    if len(groups) > _CAUSES:
        yield f"        and {plural(len(groups) - _CAUSES, 'more cause')}"
    if price := price_of(picture.report):
        yield f"  a maintainer with a key:  {picture.command}    {price}"
    if damaged := causes.damaged(problems):
        count = plural(len(damaged), "recording")
        yield f"  mend: cas-llm verify --repair     {count}"


def price_of(report: Mapping[str, Any]) -> str:
    """What recording what is missing takes; empty where nothing is."""
    problems = report["problems"]
    missing = [*causes.missing(problems), *causes.unmade(problems)]
    used = {name: len(test["used"]) for name, test in report["tests"].items()}
    return str(causes.bill(missing, used)) if missing else ""


def _changed_lines(picture: Picture) -> Iterator[str]:
    found = picture.changed
    if found is None:
        return
    kinds = {"new": found.new, "recorded anew": found.anew, "gone": found.gone}
    kinds["only pruned"] = found.pruned
    said = ", ".join(f"{len(tests):,} {word}" for word, tests in kinds.items() if tests)
    yield f"tapes against {picture.revision} ({found.base[:12]}): {said or 'the same'}"
    for word, tests in kinds.items():
        yield from (f"  {word}: {name}" for name in _some(tests))


def _unused_lines(picture: Picture) -> Iterator[str]:
    found = picture.unused
    if found.left:
        count = plural(sum(found.left.values()), "recording")
        yield f"unused: {count} of {plural(len(found.left), 'test')} that no longer play them"
        yield from (f"  {name}" for name in _some(found.left))
        silent = [name for name in found.left if not _used(picture.report, name)]
        if len(silent) < len(found.left):
            yield "  write their tapes anew: pytest --cas-llm=fallback"
        if silent:
            # Nothing is recorded of a test that asks nothing, so nothing supersedes its tape.
            files = " ".join(_tape_of(picture.report["store"], name) for name in silent[:_LISTED])
            yield f"  take out what asks nothing any more: git rm {files}"
    if found.gone:
        yield f"unused: the tapes of {plural(len(found.gone), 'test')} that are gone: cas-llm prune"
        yield from (f"  {name}" for name in _some(found.gone))
    if found.unknown:
        more = " whether more are" if found.count else ""
        yield f"unused: unknown{more}: {'; '.join(found.unknown)}"
    elif not found.count:
        yield "unused: none"


def _used(report: Mapping[str, Any], test: str) -> bool:
    return bool(report["tests"].get(test, {}).get("used"))


def _tape_of(store: str, test: str) -> str:
    folder, stem = layout.tape_folder_and_stem(test)
    return shlex.quote(f"{store}/{folder}/{stem}.[0-9]*.json")


def _other_lines(report: Mapping[str, Any]) -> Iterator[str]:
    if report["repeated"]:
        differ = f", {len(report['differing']):,} with differing outcomes" * bool(
            report["differing"]
        )
        yield f"{plural(len(report['repeated']), 'test')} ran in several reports{differ}"
        told = [f"{test}: {', '.join(seen)}" for test, seen in report["differing"].items()]
        yield from (f"  {line}" for line in _some(told))
    if report["ties"]:
        yield f"{plural(len(report['ties']), 'test')} recorded on two branches, one take is served:"
        yield from (f"  {name}" for name in _some(report["ties"]))
    yield from (f"not kept: {said}" for said in _some(report["unkept"]))


def _some(names: Iterable[str]) -> list[str]:
    listed = list(names)
    more = [f"and {len(listed) - _LISTED:,} more"] if len(listed) > _LISTED else []
    return [*listed[:_LISTED], *more]
