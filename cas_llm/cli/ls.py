"""`cas-llm ls`: the recordings, oldest first, as many as a filter lets through."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli.hints import command
from cas_llm.cli.naming import short
from cas_llm.cli.options import JsonOption, StoreOption, opened
from cas_llm.errors import ConfigError
from cas_llm.session.catalogue import LINES, Entry, age_text, catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cas_llm.store import Store

_AGE = re.compile(r"(\d+)\s*(m|min|h|d|w)\Z")
_ASK = 90
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Filter:
    """Which recordings to list; an empty member lets all through."""

    api: str = ""
    model: str = ""
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    test: str = ""
    text: str = ""


def parse_age(text: str, option: str) -> timedelta:
    """The time that ``30d``, ``12h``, ``45m`` or ``2w`` means.

    Raises:
        ConfigError: it means none; names *option*.

    """
    found = _AGE.match(text.strip().lower())
    if found is None:
        raise ConfigError(f"{text!r} is no age; write one like 45m, 12h, 30d or 2w", source=option)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def select(
    entries: Iterable[Entry], wanted: Filter, store: Store, now: datetime
) -> tuple[Entry, ...]:
    """The *entries* that *wanted* lets through, in their order."""
    return tuple(entry for entry in entries if _fits(entry, wanted, store, now))


def document(entry: Entry) -> dict[str, Any]:
    """A recording as JSON."""
    return {
        "key": entry.key,
        "digest": entry.digest,
        "api": entry.api,
        "path": entry.path,
        "model": entry.model,
        "namespace": entry.namespace,
        "recorded_at": entry.recorded_at,
        "status": entry.status,
        "take": entry.take,
        "current": entry.current,
        "tests": list(entry.tests),
        "shared": len(entry.tests) < len({naming.scope for naming in entry.namings}),
        "cost_usd": entry.cost,
        "usage": dict(entry.usage),
        "marks": list(entry.marks),
        "ask": list(entry.ask),
        "answer": list(entry.answer),
    }


def ls(
    *,
    api: Annotated[str, typer.Option("--api", help="This API or provider only.")] = "",
    model: Annotated[str, typer.Option("--model", help="This model; * and ? as in a shell.")] = "",
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Older than 45m, 12h, 30d, 2w.")
    ] = "",
    newer_than: Annotated[
        str, typer.Option("--newer-than", metavar="AGE", help="Newer than that.")
    ] = "",
    test: Annotated[
        str, typer.Option("--test", metavar="GLOB", help="Of this test, file, or pattern.")
    ] = "",
    text: Annotated[str, typer.Option("--text", help="With this text, in any case.")] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what is recorded, oldest first; a line is one answer to one request.

    Ends with 1 if a recording cannot be read.
    """
    from cas_llm.cli.output import print_json, tell_unreadable

    wanted = Filter(
        api,
        model,
        parse_age(older_than, "--older-than") if older_than else None,
        parse_age(newer_than, "--newer-than") if newer_than else None,
        test,
        text,
    )
    place, now = opened(store), datetime.now(UTC)
    held = catalogue(place, lines=LINES if as_json or text else ("ask",))
    found = select(held.entries, wanted, place, now)
    if as_json:
        recordings = [document(entry) for entry in found]
        print_json({"recordings": recordings, "unreadable": len(held.damaged)})
    else:
        _print(found, len(held.entries), now, store)
    tell_unreadable(len(held.damaged))


def _print(found: Sequence[Entry], total: int, now: datetime, store: Path | None) -> None:
    from cas_llm.cli.output import counted, print_table, say

    rows = []
    for entry in found:
        tests = entry.tests or ("shared",)
        whose = tests[0] + (f" and {len(tests) - 1} more" if len(tests) > 1 else "")
        state = "" if entry.current else "superseded"
        facts = (whose, entry.api, entry.model, state, *entry.marks)
        says = f"{'   '.join(filter(None, facts))}\n> {' '.join(entry.ask)[:_ASK]}"
        rows.append((short(entry.key), age_text(entry.when, now), entry.take, says))
    if rows:
        columns = ("key", "age", "take", "test, api, model and ask")
        print_table(columns, rows, right=("age", "take"))
    count = counted(total, "recording")
    say(count if len(found) == total else f"{len(found):,} of {count}")
    if rows:
        say(f"Look at one: {command('show', short(found[-1].key), store=store)}", "dim")
    elif not total:
        say("Record: pytest --cas-llm=fallback, or run a script with CAS_LLM_MODE=fallback")


def _fits(entry: Entry, wanted: Filter, store: Store, now: datetime) -> bool:
    if wanted.api and wanted.api not in {entry.api, *entry.api.split("@")}:
        return False
    if wanted.model and not _glob(entry.model, wanted.model):
        return False
    if wanted.test and not any(_is_test(scope, wanted.test) for scope in entry.tests):
        return False
    when = entry.when
    age = now - when if when else None
    if wanted.older_than is not None and (age is None or age < wanted.older_than):
        return False
    if wanted.newer_than is not None and (age is None or age >= wanted.newer_than):
        return False
    return not wanted.text or _says(entry, wanted.text, store)


def _glob(name: str, pattern: str) -> bool:
    # Square brackets are part of test ids, so only * and ? are special.
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _is_test(scope: str, pattern: str) -> bool:
    if "*" in pattern or "?" in pattern:
        return _glob(scope, pattern)
    return scope == pattern or scope.startswith((f"{pattern}::", f"{pattern}[", f"{pattern}/"))


def _says(entry: Entry, text: str, store: Store) -> bool:
    """Whether the excerpts, or else the whole request or answer, hold *text* in any case."""
    wanted = text.casefold()
    if wanted in "\n".join((*entry.ask, *entry.answer)).casefold():
        return True
    from cas_llm.cli.show import prompt_text

    body = store.load(entry.digest).response.body.decode("utf-8", "replace")
    return wanted in body.casefold() or wanted in prompt_text(store, entry.key).casefold()
