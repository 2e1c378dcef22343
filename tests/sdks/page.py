"""The page of the documentation that says which SDKs hold the contract, made by the matrix."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Iterable, Sequence

from sdks.adapter import adapter_named
from sdks.outcome import COLUMNS, Outcome

LIBRARIES = ("httpx", "httpx2", "aiohttp")

_HEAD = """\
# SDKs

Each row is an environment of its own in which one suite, `tests/sdks`, runs against a provider on
loopback. *yes* in the first eight columns: the feature was recorded, then replayed as equal typed
objects while the provider was switched off. *one miss*: for every feature, with the SDK's own
retries on, a request without a recording made no call, was seen once, took less than 3 seconds and
said what is nearest and how to record it. *keyless*: the client is made and replays with no key
set. *cas-llm's own*: its clients, completions and command line work beside these packages.

"""


def page(outcomes: Sequence[Outcome]) -> str:
    """The whole page."""
    notes: list[str] = []
    # By the world's clock: the page must not depend on where it was made.
    today = dt.datetime.now(dt.UTC).date()
    made = f"Made on {today} with Python {platform.python_version()} by\n"
    command = "`python tests/sdks/matrix.py --write docs/reference/sdks.md`.\n\n"
    rows = "\n".join(_lines(outcomes, notes))
    more = "".join(f"\n{line}\n" for line in _beside(outcomes, notes))
    listed = "\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1))
    return f"{_HEAD}{made}{command}{rows}\n{more}\n## Notes\n\n{listed}\n"


def _beside(outcomes: Sequence[Outcome], notes: list[str]) -> Iterable[str]:
    """What a row promises beside the columns, a line each."""
    for outcome in outcomes:
        for cells in outcome.cells.values():
            for name in [name for name in cells if name not in COLUMNS]:
                mark = _mark(cells[name].state, cells[name].reason, notes)
                yield f"Beside the columns, in {outcome.row.name}: {name}: {mark}."


def _lines(outcomes: Sequence[Outcome], notes: list[str]) -> Iterable[str]:
    titles = ["row", "versions", "speaks", *COLUMNS.values()]
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    for outcome in outcomes:
        for adapter, cells in outcome.cells.items():
            name = outcome.row.name
            if len(outcome.cells) > 1:
                name += f" ({adapter_named(adapter).__class__.__name__})"
            marks = [_mark(cells[column].state, cells[column].reason, notes) for column in COLUMNS]
            if untold := outcome.untold.get(adapter):
                titled = ", ".join(COLUMNS[feature] for feature in untold)
                said = f"told by the test's failure, not in the SDK's exception: {titled}"
                at = list(COLUMNS).index("miss")
                marks[at] = _mark(cells["miss"].state, said, notes)
            speaks = outcome.speaks.get(adapter, "?")
            yield f"| {' | '.join([name, _versions(outcome, adapter), speaks, *marks])} |"


def _mark(state: str, reason: str, notes: list[str]) -> str:
    shown = f"**{state}**" if state == "no" else state
    if not reason:
        return shown
    reason = reason.replace("|", "\\|")
    if reason not in notes:
        notes.append(reason)
    return f"{shown} ({notes.index(reason) + 1})"


def _versions(outcome: Outcome, adapter: str) -> str:
    names = dict.fromkeys((adapter_named(adapter).package, "openai", *LIBRARIES))
    found = [f"{name} {outcome.versions[name]}" for name in names if name in outcome.versions]
    return ", ".join(found)
