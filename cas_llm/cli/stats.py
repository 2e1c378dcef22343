"""`cas-llm stats`: how much is recorded, what it took to record it, where the bytes are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cas_llm.cli.options import JsonOption, StoreOption, opened
from cas_llm.session.catalogue import Entry, catalogue
from cas_llm.store import layout
from cas_llm.store.retaking import current_tapes

if TYPE_CHECKING:
    from cas_llm.store import Store

_FOLDERS = (layout.REQUESTS, layout.OBJECTS, "manifest")


@dataclass(frozen=True)
class Spent:
    """What a group of recordings took: `unknown` of them have no known price."""

    recordings: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    unknown: int


@dataclass(frozen=True)
class Stats:
    """Counts of a whole store; `files` and `bytes` by folder."""

    recordings: int
    current: int
    requests: int
    tapes: int
    current_tapes: int
    tests: int
    shared_entries: int
    pending: int
    files: dict[str, int]
    bytes: dict[str, int]
    total: Spent
    by_model: dict[str, Spent]
    by_namespace: dict[str, Spent]
    oldest: str
    newest: str
    damaged: tuple[str, ...]


def measure(store: Store) -> Stats:
    """The counts of *store*."""
    held = catalogue(store, lines=())
    # Moved to another key by rekey, an answer has two, and was paid for once.
    by_use = sorted(held.entries, key=lambda entry: entry.current)
    entries = tuple({entry.digest: entry for entry in by_use}.values())
    sizes = {folder: _size(store.root / folder) for folder in _FOLDERS}
    times = sorted(entry.recorded_at for entry in entries if entry.recorded_at)
    return Stats(
        recordings=len(entries),
        current=sum(entry.current for entry in entries),
        requests=len({entry.key for entry in entries}),
        tapes=len(held.tapes),
        current_tapes=len(current_tapes(held.tapes)),
        tests=len({tape.scope for tape in held.tapes}),
        shared_entries=len(held.shared),
        pending=len({waiting.digest for waiting in store.pending.all()}),
        files={folder: count for folder, (count, _) in sizes.items()},
        bytes={folder: size for folder, (_, size) in sizes.items()},
        total=_spent(entries),
        by_model=_grouped(entries, lambda entry: entry.model),
        by_namespace=_grouped(entries, lambda entry: entry.namespace),
        oldest=times[0] if times else "",
        newest=times[-1] if times else "",
        damaged=held.damaged,
    )


def stats(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Count recordings, files, bytes, tokens, and the money it took to record them.

    Ends with 1 if a recording cannot be read.
    """
    from cas_llm.cli.output import print_json, tell_unreadable

    found = measure(opened(store))
    unreadable = len(found.damaged)
    print_json({**asdict(found), "unreadable": unreadable}) if as_json else _print(found)
    tell_unreadable(unreadable)


def _size(folder: Path) -> tuple[int, int]:
    count = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            if name != layout.KEEP:
                count += 1
                size += Path(place, name).stat().st_size
    return count, size


def _grouped(entries: Iterable[Entry], name: Callable[[Entry], str]) -> dict[str, Spent]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(name(entry), []).append(entry)
    return {group: _spent(groups[group]) for group in sorted(groups)}


def _spent(entries: Iterable[Entry]) -> Spent:
    entries = tuple(entries)
    return Spent(
        recordings=len(entries),
        input_tokens=sum(entry.usage.get("input", 0) for entry in entries),
        output_tokens=sum(entry.usage.get("output", 0) for entry in entries),
        cost_usd=round(sum(entry.cost or 0.0 for entry in entries), 9),
        unknown=sum(entry.cost is None for entry in entries),
    )


def _print(found: Stats) -> None:
    from cas_llm.cli.output import counted, say, size_text

    say(
        f"{counted(found.recordings, 'recording')} of {counted(found.requests, 'request')}, "
        f"{found.current:,} in use"
    )
    tests = counted(found.tests, "test or block", "tests or blocks")
    shared = counted(found.shared_entries, "shared entry", "shared entries")
    say(f"{counted(found.tapes, 'tape')} of {tests}, {found.current_tapes:,} in use; {shared}")
    files, size = sum(found.files.values()), sum(found.bytes.values())
    parts = ", ".join(f"{name} {size_text(found.bytes[name])}" for name in _FOLDERS)
    say(f"{counted(files, 'file')}, {size_text(size)} ({parts})")
    if found.newest:
        say(f"recorded {found.oldest[:10]} to {found.newest[:10]}")
    if found.pending:
        say(f"{counted(found.pending, 'answer')} waiting for a test to pass: cas-llm pending")
    if found.recordings:
        _print_spent("model", found.by_model, found.total)
    if set(found.by_namespace) - {""}:
        _print_spent("namespace", found.by_namespace, found.total)


def _print_spent(what: str, groups: dict[str, Spent], total: Spent) -> None:
    from cas_llm.cli.output import print_table

    columns = (what, "recordings", "tokens in", "tokens out", "cost to record")
    rows = [_row(name or "(none)", spent) for name, spent in groups.items()]
    if len(rows) > 1:
        rows.append(_row("all", total))
    print_table(columns, rows, right=columns[1:])


def _row(name: str, spent: Spent) -> tuple[str, ...]:
    from cas_llm.prices import money

    cost = money(spent.cost_usd)
    if spent.unknown == spent.recordings:
        cost = "unknown"
    elif spent.unknown:
        cost += f" and {spent.unknown} unknown"
    counts = (spent.recordings, spent.input_tokens, spent.output_tokens)
    return (name, *(f"{count:,}" for count in counts), cost)
