"""`cas-llm report`: the reports of several runs as one, for people, programs and pull requests.

Merging and judging are in `session.shards` and `session.judging`, the words in `cli.picture`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli.options import JsonOption, StoreOption, settings_of
from cas_llm.errors import ConfigError, NotAStore

if TYPE_CHECKING:
    from cas_llm.cli.picture import Picture


class Format(StrEnum):
    """How a merged report is told."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def report(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Reports of pytest --cas-llm-report, or patterns."),
    ],
    *,
    base: Annotated[
        str, typer.Option("--base", metavar="REV", help="Also name the tapes that differ from REV.")
    ] = "",
    style: Annotated[
        Format, typer.Option("--format", help="github: annotations and the job's summary.")
    ] = Format.TEXT,
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on",
            metavar="WORDS",
            help="End with 1 for any of: miss, unused, live, failed, tie.",
        ),
    ] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Merge the reports of shards, or of several versions of Python, into one picture.

    What it prints with --format=json is a report again, for this command and for
    pytest --cas-llm-from. Example: cas-llm report 'cas-*.json' --fail-on=miss,unused
    """
    from cas_llm.cli.output import print_json, say
    from cas_llm.cli.picture import lines
    from cas_llm.session.judging import failing

    wanted = _reasons(fail_on)
    picture = _seen(files, base, store)
    if as_json or style is Format.JSON:
        print_json(_document(picture))
    elif style is Format.GITHUB:
        from cas_llm.cli import annotating

        annotating.tell(picture, list(lines(picture)), wanted)
    else:
        for line in lines(picture):
            say(line)
    if reasons := list(failing(picture.report, picture.unused, wanted)):
        say(f"cas-llm report: failed on {'; '.join(reasons)}", "red", stderr=True)
        raise typer.Exit(1)


def _reasons(said: str) -> tuple[str, ...]:
    from cas_llm.session.judging import REASONS

    words = tuple(word.strip() for word in said.split(",") if word.strip())
    if unknown := [word for word in words if word not in REASONS]:
        raise ConfigError(
            f"--fail-on: {unknown[0]!r} is none of {', '.join(REASONS)}",
            source="report",
        )
    return words


def _seen(names: Sequence[str], revision: str, store: Path | None) -> Picture:
    from cas_llm.cli.changed import changed
    from cas_llm.cli.output import progress
    from cas_llm.cli.picture import Picture
    from cas_llm.session import received, shards
    from cas_llm.session.judging import lacking, unused

    root = settings_of(store).store
    # Told before anything that takes time.
    differs = changed(root, revision) if revision else None
    parts = []
    paths = received.files_of(names, Path.cwd())
    with progress("reading reports", len(paths)) as advance:
        for path in paths:
            parts.append(received.read(path))
            advance(1)
    merged = shards.merge(parts)
    lack = [p.name for p, part in zip(paths, parts, strict=True) if lacking(part["problems"])]
    found = unused(merged, _scopes(root), _text_below(Path.cwd()))
    return Picture(merged, found, differs, revision, _command(lack, names))


def _scopes(root: Path) -> frozenset[str] | None:
    """The tests that have a tape; None where there is no store."""
    from cas_llm.store import layout, tape

    try:
        layout.read_format(root)
    except NotAStore:
        return None
    found = set()
    for path in (root / layout.TAPES).rglob("*.json"):
        found.add(tape.decode(path.read_bytes(), path).scope)
    return frozenset(found)


def _text_below(folder: Path) -> Any:
    def text(name: str) -> str | None:
        path = folder / name
        try:
            # A report is anybody's: it names no file outside.
            inside = path.resolve().is_relative_to(folder.resolve())
            return path.read_text("utf-8", "replace") if inside else None
        except OSError:
            return None

    return text


def _command(lack: Sequence[str], names: Sequence[str]) -> str:
    """What records all that the reports *lack*."""
    import shlex

    if len(lack) <= 2:
        given = " ".join(f"--cas-llm-from={shlex.quote(name)}" for name in lack)
        return f"pytest --cas-llm=fallback {given}"
    merge = f"cas-llm report {shlex.join(names)} --json > report.json"
    return f"{merge} && pytest --cas-llm=fallback --cas-llm-from=report.json"


def _document(picture: Picture) -> dict[str, Any]:
    changed = None
    if picture.changed is not None:
        changed = {"revision": picture.revision, **asdict(picture.changed)}
    return {**picture.report, "unused": asdict(picture.unused), "changed": changed}
