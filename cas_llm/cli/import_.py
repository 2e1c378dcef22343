"""`cas-llm import`: other tools' cassettes as tapes of the tests that play them.

Reads cassettes and never changes one; what is not brought is named, with the reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli.options import JsonOption, StoreOption, settings_of
from cas_llm.cli.output import counted, print_json, progress, say

if TYPE_CHECKING:
    from cas_llm.cassettes.bringing import Brought
    from cas_llm.cassettes.planning import Tally

_LISTED = 5
_HOSTS = 4


def import_(  # noqa: PLR0917 - typer's options
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Cassettes and folders of them: vcrpy's, pytest-recording's, cassetter's, the "
            "completion cache's and the simulator's.",
            show_default=False,
        ),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="PATTERN=TEST",
            help="Whose a cassette is where its name does not tell: "
            "'tests/vcr/*.yaml=tests/test_bot.py::*'. May be repeated.",
            show_default=False,
        ),
    ] = None,
    keep_errors: Annotated[
        bool, typer.Option("--keep-errors", help="Take answers with a status of 400 or more, too.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="A new take where a test has other recordings already."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be brought; write nothing.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="After pytest: what of the imported replays, and which cassettes can go.",
        ),
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring other tools' cassettes into the store, each as the tape of the test that plays it.

    A request with different answers in several cassettes stays right for each test. Cassettes are
    never changed; running it again adds nothing. Afterwards set vcr = "replace" in
    [tool.cas-llm], run pytest, and ask --check what is left.
    """
    from cas_llm.cassettes import reading
    from cas_llm.cassettes.bringing import Bringing
    from cas_llm.cassettes.naming import Mapped, Naming
    from cas_llm.cassettes.planning import Planning
    from cas_llm.cassettes.suite import Suite, root_of
    from cas_llm.errors import ConfigError

    if check:
        from cas_llm.cli.import_check import tell_check

        tell_check(store, as_json=as_json)
        return
    if not places:
        raise ConfigError("name the cassettes or their folder: cas-llm import tests/cassettes")
    files = reading.files_of(places)
    root = root_of(Path.cwd())
    naming = Naming(Suite(root), [Mapped.parse(one) for one in mapped or ()])
    settings = settings_of(store)
    planning = Planning(settings, keep_errors=keep_errors)
    bringing = Bringing(root, naming, planning, again=again, dry=dry_run)
    with progress("Reading cassettes", len(files)) as advance:
        told = bringing.bring(files, advance)
    if as_json:
        print_json(_document(told, dry=dry_run))
    else:
        for line in _lines(told, len(files), dry=dry_run):
            say(line)
        if not dry_run and told.tapes and settings.vcr == "keep":
            say('Next: vcr = "replace" in [tool.cas-llm], pytest, cas-llm import --check')
    if told.bad or _refused(told):
        raise typer.Exit(1)


def _refused(told: Brought) -> list[Tally]:
    return [tally for tally in told.tallies if tally.refused]


def _sum(told: Brought, name: str) -> int:
    return sum(getattr(tally, name) for tally in told.tallies)


def _document(told: Brought, *, dry: bool) -> dict[str, Any]:
    return {
        "dry_run": dry,
        "files": [
            {
                "file": tally.path,
                "dialect": tally.dialect,
                "test": tally.owner.scope if tally.owner.is_test else None,
                "calls": tally.calls,
                "imported": tally.brought,
                "other_hosts": dict(tally.hosts),
                "errors": tally.errors,
                "without_body": tally.bodiless,
                "secrets": tally.secrets,
                "refused": tally.refused or None,
            }
            for tally in told.tallies
        ],
        "calls": told.calls,
        "requests": len(told.answers),
        "answers": _sum(told, "brought"),
        "several_answers": {"within_a_test": told.within, "across_tests": told.across},
        "other_hosts": dict(told.hosts),
        "errors": _sum(told, "errors"),
        "without_body": _sum(told, "bodiless"),
        "secrets": _sum(told, "secrets"),
        "new_tapes": told.tapes,
        "already_there": told.there,
        "left_as_they_are": told.others,
        "not_cassettes": told.strangers,
        "unreadable": told.bad,
    }


def _lines(told: Brought, looked_at: int, *, dry: bool) -> list[str]:
    files = len(told.tallies)
    if not files and not told.bad:
        what = counted(looked_at, "file") if looked_at else "no file of a kind"
        return [f"no cassette among {what}" if looked_at else f"no cassette: {what}"]
    requests, answers = counted(len(told.answers), "request"), _sum(told, "brought")
    first = f"{counted(files, 'file')}  {counted(told.calls, 'call')} -> {requests}, "
    lines = [first + counted(answers, "answer"), *_several(told), *_others(told)]
    lines.append(f"  {_left_out(told)}")
    lines += [f"  {line}" for line in _amiss(told)]
    lines.append(_outcome(told, dry=dry))
    return lines


def _several(told: Brought) -> list[str]:
    within, across = told.within, told.across
    if not within + across:
        return []
    several = counted(within + across, "request has", "requests have")
    return [
        (
            f"  {several} several answers: {within:,} within one test (in order), "
            f"{across:,} across tests (each test keeps its own)"
        )
    ]


def _others(told: Brought) -> list[str]:
    hosts = told.hosts
    if not hosts:
        return []
    calls, number = hosts.total(), len(hosts)
    which = "1 host that isn't an LLM" if number == 1 else f"{number:,} hosts that aren't LLMs"
    stay = "stays" if calls == 1 else "stay"
    named = [f"{host} {count:,}" for host, count in hosts.most_common(_HOSTS)]
    named += [f"{number - _HOSTS} more"] if number > _HOSTS else []
    return [
        f"  {calls:,} of the calls to {which} {stay} in the cassettes; hosts=[...] takes them over",
        f"    {', '.join(named)}",
    ]


def _left_out(told: Brought) -> str:
    errors, bodiless = _sum(told, "errors"), _sum(told, "bodiless")
    hint = " (--keep-errors)" if errors else ""
    parts = [
        f"{counted(errors, 'answer')} >= 400 skipped{hint}",
        f"{counted(_sum(told, 'secrets'), 'secret')} replaced",
        f"{bodiless:,} without a body",
    ]
    return "   ".join(parts)


def _amiss(told: Brought) -> list[str]:
    nameless = [tally.path for tally in told.tallies if not tally.owner.is_test]
    lines = _list(
        nameless,
        "without a test that was found: kept under the file's name, for any test (--map gives one)",
    )
    lines += _list(told.others, "with other recordings already: left as they are (--again adds)")
    if betas := _sum(told, "betas"):
        calls = counted(betas, "call")
        lines.append(f"{calls} of a beta API without the header anthropic-beta: these may miss")
    lines += _list(told.strangers, "no cassette: left alone")
    lines += [f"{name}: cannot be read: {reason}" for name, reason in told.bad.items()]
    return lines + [f"{tally.path}: not imported: {tally.refused}" for tally in _refused(told)]


def _list(names: list[str], what: str) -> list[str]:
    if not names:
        return []
    rest = [f"  and {len(names) - _LISTED:,} more"] if len(names) > _LISTED else []
    return [f"{len(names):,} {what}", *(f"  {name}" for name in names[:_LISTED]), *rest]


def _outcome(told: Brought, *, dry: bool) -> str:
    done = "would be written" if dry else "written"
    there = f", {counted(len(told.there), 'tape')} there already" if told.there else ""
    return f"{counted(len(told.tapes), 'tape')} {done}{there}"
