"""`cas-llm import --check`: what of the imported replays, and which cassettes can go.

Part of the command line; says what a run has shown, and runs nothing itself.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cas_llm.cli.options import opened, settings_of
from cas_llm.cli.output import counted, print_json, progress, say
from cas_llm.errors import CasLLMError

if TYPE_CHECKING:
    from cas_llm.cassettes.checking import Checked

_LISTED = 5
_CAUSES = 5


def tell_check(store: Path | None, *, as_json: bool) -> None:
    """Print how far the imported tests have come; ends with 1 while some do not replay.

    Raises:
        CasLLMError: nothing was imported.
        StoreError: the store cannot be read.

    """
    from cas_llm.cassettes.checking import check
    from cas_llm.cassettes.suite import root_of

    held, settings = opened(store), settings_of(store)
    with progress("Reading tapes", None) as advance:
        checked = check(held, settings, root_of(Path.cwd()), advance)
    if not checked.tests + len(checked.free) + len(checked.staying) + len(checked.nameless):
        raise CasLLMError("nothing here was imported: cas-llm import tests/cassettes")
    if as_json:
        print_json(_document(checked))
    else:
        for line in _lines(checked, theirs=settings.vcr == "keep"):
            say(line)
    if len(checked.replay) < checked.tests:
        raise typer.Exit(1)


def _document(checked: Checked) -> dict[str, object]:
    from cas_llm.session import causes

    bill = causes.bill(causes.missing(checked.problems), {})
    return {
        "tests": checked.tests,
        "replay": len(checked.replay),
        "missed": checked.missed,
        "not_played": checked.waited,
        "without_a_test": checked.nameless,
        "causes": [
            {"count": len(group), "cause": causes.told(group), "tests": causes.tests_of(group)}
            for group in causes.grouped(checked.problems)
        ],
        "calls": bill.calls,
        "price_usd": bill.price,
        "can_go": checked.free,
        "stay": dict(checked.staying),
    }


def _lines(checked: Checked, *, theirs: bool) -> list[str]:
    """What is printed; with *theirs* the tests that have a marker are still the other tool's."""
    all_replay = len(checked.replay) == checked.tests
    lines = [f"{len(checked.replay):,} of {checked.tests:,} replay. {_can_go(checked)}"]
    if checked.free and not _whole_folder(checked):
        lines += _few(checked.free)
    if not all_replay:
        lines += [*_missed(checked), *_waited(checked, theirs=theirs)]
    elif not checked.free and not checked.staying and not theirs:
        lines.append('  take out, all at once: the other tool, its markers, vcr = "replace"')
    if checked.nameless:
        lines.append(
            f"{counted(len(checked.nameless), 'cassette')} without a test, not played yet:"
        )
        lines += _few([name.removeprefix("use::") for name in checked.nameless])
    kept = {name: why for name, why in checked.staying.items() if why.startswith("other hosts")}
    lines += _few([f"{name}   {why}" for name, why in kept.items()])
    return lines


def _can_go(checked: Checked) -> str:
    hosts = sum(why.startswith("other hosts") for why in checked.staying.values())
    rest = len(checked.staying) - hosts
    stay = [f"{counted(hosts, 'file')} with other hosts {'stays' if hosts == 1 else 'stay'}"]
    if not hosts:
        stay = []
    if rest:
        stay.append(f"{counted(rest, 'file')} still needed")
    if not checked.free:
        return f"No cassette can go yet, {', '.join(stay)}." if stay else "No cassette is left."
    if _whole_folder(checked):
        place = os.path.commonpath([str(Path(name).parent) for name in checked.free])
        what = f"{place or '.'} can go"
    else:
        what = f"{counted(len(checked.free), 'cassette')} can go"
    return f"{', '.join([what, *stay])}."


def _whole_folder(checked: Checked) -> bool:
    """Whether all that can go is told by its folder: the rest of it has other hosts."""
    needed = any(not why.startswith("other hosts") for why in checked.staying.values())
    return len(checked.replay) == checked.tests and not needed and len(checked.free) > 1


def _missed(checked: Checked) -> list[str]:
    from cas_llm.session import causes

    if not checked.missed:
        return []
    groups = causes.grouped(checked.problems)
    tests = counted(len(checked.missed), "test")
    lines = [f"{tests} missed in the last run, {counted(len(groups), 'cause')}"]
    lines += [f"  {len(group):>4}  {causes.told(group)}" for group in groups[:_CAUSES]]
    if len(groups) > _CAUSES:
        lines.append(f"        and {len(groups) - _CAUSES} more causes")
    if missing := causes.missing(checked.problems):
        bill = causes.bill(missing, {})
        lines.append(f"  record: pytest --lf --cas-llm=fallback     {bill}")
    return lines


def _waited(checked: Checked, *, theirs: bool) -> list[str]:
    if not checked.waited:
        return []
    number = len(checked.waited)
    lines = [
        f"{counted(number, 'test')} {'has' if number == 1 else 'have'} not passed in replay yet:"
    ]
    command = f"pytest {shlex.quote(checked.waited[0])}" if number == 1 else "pytest"
    lines += _few(checked.waited)
    if theirs:
        lines.append('  first: vcr = "replace" in [tool.cas-llm]; without it')
        lines.append("         a test with @pytest.mark.vcr is left to the other tool")
    return [*lines, f"  run: {command}"]


def _few(names: Sequence[str]) -> list[str]:
    rest = [f"  and {len(names) - _LISTED:,} more"] if len(names) > _LISTED else []
    return [*(f"  {name}" for name in names[:_LISTED]), *rest]
