"""``cas-llm verify``: prove the store, and mend it from git.

What is asked of keys, providers and redaction stands in `guard.checks`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli.hints import command
from cas_llm.cli.options import JsonOption, StoreOption, nothing_at, settings_of
from cas_llm.cli.output import counted, print_json, progress, say
from cas_llm.errors import ConfigError, FormatTooNew, NotAStore
from cas_llm.guard.checks import checks, lines_of
from cas_llm.store import layout
from cas_llm.store.proof.census import REPAIR

if TYPE_CHECKING:
    from cas_llm.store.proof.repair import Mended
    from cas_llm.store.proof.verify import Finding, Subset

__all__ = ["checks", "lines_of", "verify"]

_SHOWN = 10
_STYLES = {"error": "red", "warning": "yellow", "info": "dim"}
_PART = re.compile(r"(?P<number>\d+)/(?P<of>\d+)\Z|(?P<percent>\d+(?:\.\d+)?)%\Z")


def verify(
    *,
    level: Annotated[
        int,
        typer.Option(
            "--level",
            min=0,
            max=4,
            help="0 names, 1 references, 2 bytes, 3 contents and keys, 4 git.",
        ),
    ] = 3,
    subset: Annotated[
        str, typer.Option("--subset", help="Levels 2 and 3 for a part only: 1/10, or 5%.")
    ] = "",
    repair: Annotated[
        bool, typer.Option("--repair", help="Restore damaged and missing files from git.")
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Read every file, also those that have the size, times and inode they had when "
            "they were last proved.",
        ),
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove the store: names, references, bytes, keys, git.

    Changes nothing, unless --repair is given; what was proved is noted in .local/, and not read
    again while its size, times and inode stay the same (a fresh clone has no notes). Ends with 1
    if an error was found; warnings and information don't count. Example: cas-llm verify --level 4
    """
    root = settings_of(store).store
    part = parsed_subset(subset)
    _must_be_readable(root, store)
    findings = list(examine(root, level=level, part=part, noted=not full))
    mended: list[Mended] = []
    if repair:
        mended, findings = mend(
            root, findings, lambda: examine(root, level=level, part=part, noted=not full)
        )
    if as_json:
        _print_as_json(root, level, part, findings, mended)
    else:
        _print(root, level, part, findings, mended, store=store)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def mend(
    root: Path, findings: list[Finding], again: Callable[[], Iterable[Finding]]
) -> tuple[list[Mended], list[Finding]]:
    """Mend what *findings* name and what shows only then; gives what was done and what is left.

    What a damaged file names is not known before it is restored, so *again* looks anew until
    nothing new is found.
    """
    from cas_llm.store.proof.repair import repair

    mended: list[Mended] = []
    tried: set[str] = set()
    while fresh := [finding for finding in findings if finding.path not in tried]:
        tried.update(finding.path for finding in fresh)
        done = list(repair(root, fresh))
        mended += done
        findings = list(again())
        if not done:
            break
    return mended, findings


def examine(root: Path, *, level: int, part: Subset, noted: bool = False) -> Iterator[Finding]:
    """Every finding on the store at *root*, with a progress bar for who watches.

    With *noted*, what was proved before and looks the same is not read again.
    """
    from cas_llm.store.proof import again, census, tracked
    from cas_llm.store.proof.verify import verify as findings_of

    judges = checks()

    def work() -> Iterator[Finding]:
        taken = census.take(root)
        with progress("verifying", taken.files) as seen:
            yield from findings_of(
                root, judges, level=level, subset=part, census=taken, seen=seen, noted=noted
            )

    if noted and level >= 2 and part.of == 1:
        with progress("looking for changes", None) as seen:
            look = again.look(root, judges.version, min(level, 3), seen=seen)
        found = list(work()) if look.found is None else look.found
        if look.found is None:
            look.note(found)
        yield from found
    else:
        yield from work()
    if level >= 4:
        with progress("asking git", None) as seen:
            yield from tracked.compare(root, seen)


def parsed_subset(text: str) -> Subset:
    """The part of all files that *text* means: ``n/t``, or a percentage, drawn by chance.

    Raises:
        ConfigError: it is neither.

    """
    from cas_llm.store.proof.verify import Subset

    if not text:
        return Subset()
    found = _PART.match(text)
    if found and found["percent"]:
        percent = float(found["percent"])
        if 0 < percent <= 100:
            of = max(1, round(100 / percent))
            return Subset(random.randrange(of) + 1, of)
    elif found and 1 <= int(found["number"]) <= int(found["of"]):
        return Subset(int(found["number"]), int(found["of"]))
    raise ConfigError(f"{text!r} is no part; write 1/10 or 5%", source="--subset")


def _must_be_readable(root: Path, store: Path | None) -> None:
    """Refuse where there is no store at all, or a later one; a damaged one is to be told about."""
    if not root.is_dir() or not any(root.iterdir()):
        raise nothing_at(root, store)
    try:
        layout.read_format(root)
    except FormatTooNew:
        raise
    except NotAStore:
        if not ((root / layout.REQUESTS).is_dir() or (root / layout.OBJECTS).is_dir()):
            raise nothing_at(root, store) from None
    except Exception:  # noqa: BLE001, S110 - it becomes a finding
        pass


def _counts(findings: list[Finding]) -> dict[str, int]:
    return {
        severity: sum(finding.severity == severity for finding in findings) for severity in _STYLES
    }


def _print_as_json(
    root: Path, level: int, part: Subset, findings: list[Finding], mended: list[Mended]
) -> None:
    from dataclasses import asdict

    document: dict[str, Any] = {
        "store": str(root),
        "level": level,
        "subset": f"{part.number}/{part.of}",
        "counts": _counts(findings),
        "findings": [asdict(finding) for finding in findings],
        "repaired": [asdict(one) for one in mended],
    }
    print_json(document)


def _print(
    root: Path,
    level: int,
    part: Subset,
    findings: list[Finding],
    mended: list[Mended],
    *,
    store: Path | None,
) -> None:
    failed = {one.path for one in mended if not one.restored}
    for one in mended:
        say(f"{'repaired' if one.restored else 'not repaired'}: {one.path}: {one.what}")
        if one.command:
            say(f"  record it:  {one.command}")
    for severity, style in _STYLES.items():
        alike: dict[tuple[str, str], list[Finding]] = {}
        for finding in findings:
            if finding.severity == severity:
                alike.setdefault((finding.code, finding.command), []).append(finding)
        for group in alike.values():
            in_vain = all(finding.path in failed for finding in group)
            _print_group(group, store, style, again=not in_vain)
    counts = _counts(findings)
    extent = f", part {part.number} of {part.of}" if part.of > 1 else ""
    told = ", ".join(
        counted(counts[name], name, plural)
        for name, plural in (("error", "errors"), ("warning", "warnings"), ("info", "infos"))
    )
    say(f"{root}: level {level}{extent}: {told}", "red" if counts["error"] else "green")


def _print_group(group: list[Finding], store: Path | None, style: str, *, again: bool) -> None:
    """Findings of one kind that one command mends; not *again* if it was tried in vain."""
    for finding in group[:_SHOWN]:
        say(f"{finding.code} {finding.severity}  {finding.path}: {finding.what}", style)
        if finding.why and (finding is group[0] or finding.why != group[0].why):
            say(f"  why:   {finding.why}")
        if finding.tests:
            more = f" and {len(finding.tests) - 3} more" if len(finding.tests) > 3 else ""
            say(f"  tests: {', '.join(finding.tests[:3])}{more}")
    if len(group) > _SHOWN:
        listing = command("verify", "--json", store=store)
        say(f"  and {len(group) - _SHOWN:,} more like it: {listing}")
    if group[0].command and again:
        repair = command("verify", "--repair", store=store)
        say(f"  next:  {repair if group[0].command == REPAIR else group[0].command}")
