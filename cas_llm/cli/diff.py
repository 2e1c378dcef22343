"""`cas-llm diff`: what changed in the answers, for a person, a program or a pull request."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cas_llm.cli.hints import command
from cas_llm.cli.options import JsonOption, StoreOption, settings_of
from cas_llm.errors import CasLLMError, ConfigError

if TYPE_CHECKING:
    from cas_llm.cli.diffing.page import Page, Title
    from cas_llm.cli.diffing.text import Line
    from cas_llm.drift import Compared
    from cas_llm.store.past.memory import Memory


class Format(StrEnum):
    """How a comparison is told."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    GITHUB = "github"
    HTML = "html"


_WIDEST = 120


def diff(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="REV", help="What to compare with; default: HEAD."),
    ] = None,
    *,
    reports: Annotated[
        list[str] | None,
        typer.Option("--report", metavar="FILE…", help="Reports of pytest --cas-llm-report."),
    ] = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Compare the answers that wait for their test.")
    ] = False,
    only: Annotated[
        str, typer.Option("--only", metavar="CLASSES", help="Only changes of these classes.")
    ] = "",
    word: Annotated[
        list[str] | None,
        typer.Option("-k", metavar="TEXT", help="Only tests with TEXT in their id."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show every change in full.")] = False,
    style: Annotated[
        Format, typer.Option("--format", help="github: also the summary of the job.")
    ] = Format.TEXT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="CLASSES", help="End with 1 for any of them.")
    ] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the answers with those of a commit or of where a branch began, test by test.

    Classes, the gravest first: error, tool-call, refusal, schema, cut-off, model, value,
    rewritten, shorter, longer, wording, same; and new, gone.
    Example: cas-llm diff origin/main --report cas-*.json --format=github
    """
    from cas_llm.cli.diffing import choosing, runs
    from cas_llm.cli.diffing.page import page
    from cas_llm.cli.output import say

    wanted, minded = choosing.classes_of(only, "--only"), choosing.classes_of(fail_on, "--fail-on")
    revision, files = _sorted(names or [], reports or [])
    title, every = _found(revision, store, pending=pending)
    ran = runs.read(files, every.tests)
    found = choosing.only(every, wanted, word or ()) if wanted or word else every
    style = Format.JSON if as_json else style
    if style is Format.JSON:
        from cas_llm.cli.diffing.document import document

        _write_json(document(title, found, ran), output)
    else:
        more = command("diff", *(["--pending"] if pending else [revision]), "--full", store=store)
        _tell(page(title, found, ran), style, output, full=full, more=more)
    hits = {name: found.counts[name] for name in minded if name in found.counts}
    for name, tests in (("new", found.added), ("gone", found.removed)):
        if name in minded and tests:
            hits[name] = hits.get(name, 0) + len(tests)
    if hits:
        told = "; ".join(f"{name} ({count:,})" for name, count in hits.items())
        say(f"cas-llm diff: failed on {told}", "red", stderr=True)
        raise typer.Exit(1)


def _sorted(names: Sequence[str], reports: Sequence[str]) -> tuple[str, list[str]]:
    """The revision and the reports: a shell makes several words of ``--report cas-*.json``."""
    files = [*reports]
    revisions: list[str] = []
    for name in names:
        is_file = bool(reports) and name.endswith(".json") and Path(name).is_file()
        (files if is_file else revisions).append(name)
    if "" in revisions:
        raise ConfigError("the revision is empty; leave it out to compare with HEAD", source="diff")
    if len(revisions) > 1:
        raise ConfigError(
            f"give one revision, not {len(revisions)}: {' '.join(revisions)}", source="diff"
        )
    return (revisions or ["HEAD"])[0], files


def _found(revision: str, store: Path | None, *, pending: bool) -> tuple[Title, Compared]:
    from cas_llm.cli.diffing import waiting
    from cas_llm.cli.diffing.page import PENDING, Title
    from cas_llm.cli.output import progress
    from cas_llm.drift import compared
    from cas_llm.drift.sources import opened
    from cas_llm.store import layout
    from cas_llm.store.past.memory import Memory

    root = settings_of(store).store
    layout.read_format(root)
    memory = Memory(root)
    if pending:
        return Title(PENDING), waiting.compared(memory)
    title = titled(memory, revision)
    with progress("comparing answers", None) as advance:
        return title, compared(*opened(memory, title.commit), advance)


def titled(memory: Memory, revision: str) -> Title:
    """What *revision* is called, and the commit it stands for.

    Raises:
        CasLLMError: the store is in no repository, or git does not know the revision.

    """
    from cas_llm import gitrepo
    from cas_llm.cli.changed import base_of
    from cas_llm.cli.diffing.page import Title

    if memory.top is None:
        raise CasLLMError(
            f"{memory.root} is in no git repository, so that there is nothing to compare it with; "
            "what waits can be compared: cas-llm diff --pending"
        )
    default = gitrepo.default_branch(memory.top)
    if revision == "HEAD" and gitrepo.run_git(memory.top, "rev-parse", "-q", "HEAD^0") is None:
        return Title(revision, "", default)
    return Title(revision, base_of(memory.top, revision), default)


def _tell(page: Page, style: Format, output: Path | None, *, full: bool, more: str) -> None:
    from cas_llm.cli.diffing import text
    from cas_llm.cli.diffing.html import html
    from cas_llm.cli.diffing.markdown import COMMENT, SUMMARY, markdown
    from cas_llm.cli.diffing.page import PENDING

    of_branch = page.title.revision not in {"HEAD", PENDING}
    heading = "cas-llm on this pull request" if of_branch else ""
    if style is Format.HTML:
        _write(html(page), output)
    elif style is Format.MARKDOWN:
        _write(markdown(page, most=COMMENT, more=more, heading=heading), output)
    elif style is Format.GITHUB:
        summary = _summary()
        room = SUMMARY - (summary.stat().st_size if summary and summary.exists() else 0)
        made = markdown(page, most=room, more=more, heading=heading)
        if summary:
            _append(made, summary)
            _in_log(text.plain(text.lines(page, _WIDEST, full=full or False, more=more)))
        if output or not summary:
            _write(made, output)
    else:
        lines = text.lines(page, _width(), full=full or None, more=more)
        print_lines(lines) if output is None else _write(text.plain(lines), output)


def _width() -> int:
    from cas_llm.cli.output import console

    return min(console().width, _WIDEST)


def print_lines(lines: Sequence[Line]) -> None:
    """Print *lines* with their styles."""
    from rich.text import Text

    from cas_llm.cli.output import console

    out = console()
    for line in lines:
        out.print(Text.assemble(*((text, style) for text, style in line)), soft_wrap=True)


def _in_log(text: str) -> None:
    """Print to a job's log, where nothing between the two is a workflow command."""
    token = secrets.token_hex(16)
    sys.stdout.write(f"::stop-commands::{token}\n{text}::{token}::\n")


def _summary() -> Path | None:
    named = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(named) if named else None


def _append(text: str, path: Path) -> None:
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise CasLLMError(
            f"cannot write {path} (GITHUB_STEP_SUMMARY): {error.strerror or error}"
        ) from error


def _write_json(value: object, output: Path | None) -> None:
    from cas_llm.cli.output import print_json

    if output is None:
        print_json(value)
        return
    from cas_llm.store.answer import pretty

    _write(pretty(value).decode("utf-8", "backslashreplace"), output)


def _write(text: str, output: Path | None) -> None:
    """Print *text*, or write it whole to the file *output*.

    Raises:
        CasLLMError: it cannot be written.

    """
    if output is None:
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode())
        return
    from cas_llm.store.files import Writer

    try:
        target = output.absolute()
        Writer(target.parent).replace(target, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise CasLLMError(f"cannot write {output}: {error.strerror or error}") from error
