"""`cas-llm rekey`: move the store to the key rules that hold now, offline.

What comes of it is decided in `cas_llm.rekey`; here is which rules are meant, and what is said.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cas_llm.cli.options import JsonOption, StoreOption, opened, settings_of
from cas_llm.errors import CasLLMError, ConfigError

if TYPE_CHECKING:
    from cas_llm.config import Settings
    from cas_llm.rekey import Plan, Target
    from cas_llm.store import Store

_PAIR = "OLD=NEW"


def rekey(
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Write what is shown.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show it: what happens without --apply.")
    ] = False,
    normalise: Annotated[
        list[str] | None,
        typer.Option("--normalise", metavar="RULE", help="One more rule than the settings have."),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar=_PAIR, help="Another name for an API, as ls shows it."),
    ] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option("--namespace", metavar=_PAIR, help="Another namespace; NEW may be empty."),
    ] = None,
    allow_clash: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-clash",
            metavar="KEY",
            help="Let two requests become one: on a tape its order decides, of two shared answers "
            "that of KEY.",
        ),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move the store to the key rules that hold now, without a call: a dry run, unless --apply.

    The rules are normalise, namespace, redact and hosts of the settings; what use() sets in code is
    not seen. Adds new keys, a new take of each tape and shared entries; deletes nothing, and
    answers stay as they are. Example: cas-llm rekey && cas-llm rekey --apply && pytest
    """
    from cas_llm.cli import rekeyed
    from cas_llm.cli.output import print_json

    if apply and dry_run:
        raise ConfigError("give --apply or --dry-run, not both", source="rekey")
    place, settings = opened(store), settings_of(store)
    target = _target(settings, normalise or (), rename or (), namespace or ())
    plan = _planned(place, target, frozenset())
    _refuse_unknown(target, plan)
    if allow_clash:
        plan = _planned(place, target, frozenset(_meant(allow_clash, plan)))
    refused = bool(plan.clashes)
    if apply and not refused:
        _written(place, plan)
    if as_json:
        print_json(rekeyed.document(place, target, plan, applied=apply and not refused))
    else:
        missing = [rule for rule in target.normalise if rule not in settings.normalise]
        told = rekeyed.Told(plan, target, missing, place, store)
        told.show(applied=apply and not refused)
    if refused and apply and not as_json:
        raise CasLLMError("nothing was changed: answers clash, see above")
    if refused:
        raise typer.Exit(1)


def _target(
    settings: Settings, more: Iterable[str], rename: Iterable[str], namespace: Iterable[str]
) -> Target:
    from cas_llm.redact import Redactor, secret_variables
    from cas_llm.rekey import Target

    rules = tuple(dict.fromkeys((*settings.normalise, *more)))
    _refuse_malformed(rules)
    return Target(
        normalise=rules,
        namespace=settings.namespace,
        hosts={host: name for host, name in settings.hosts.items() if name},
        apis=_pairs(rename, "--rename"),
        namespaces=_pairs(namespace, "--namespace"),
        redact=Redactor(secret_variables(os.environ), settings.redact).text,
    )


def _refuse_malformed(rules: Iterable[str]) -> None:
    """Raise ConfigError for what is no rule; the project's own functions lie in its folder."""
    from cas_llm.config import find_table
    from cas_llm.keys import normaliser

    project = str(find_table(Path.cwd())[0] or Path.cwd())
    for rule in rules:
        if "@" in rule and project not in sys.path:
            sys.path.append(project)
        normaliser(rule)


def _pairs(given: Iterable[str], option: str) -> dict[str, str]:
    found = {}
    for text in given:
        old, equals, new = text.partition("=")
        if not old or not equals or not (new or option == "--namespace"):
            raise ConfigError(f"{text!r} must read {_PAIR}", source=option)
        found[old] = new
    return found


def _refuse_unknown(target: Target, plan: Plan) -> None:
    for option, asked, known in (
        ("--rename", target.apis, plan.apis),
        ("--namespace", target.namespaces, plan.namespaces),
    ):
        for old in asked.keys() - known:
            there = ", ".join(sorted(known)) or "none"
            raise ConfigError(f"nothing is recorded of {old!r}; there is {there}", source=option)


def _planned(place: Store, target: Target, allow: frozenset[str]) -> Plan:
    from cas_llm.cli.output import progress
    from cas_llm.rekey import plan

    with progress("keying recordings anew", None) as seen:
        return plan(place, target, allow=allow, seen=seen)


def _written(place: Store, plan: Plan) -> None:
    from cas_llm.cli.output import progress
    from cas_llm.rekey import write

    total = len(plan.records) + len(plan.tapes) + len(plan.shared)
    with progress("writing", total) as seen:
        write(place, plan, seen=seen)
    place.close()


def _meant(words: Iterable[str], plan: Plan) -> Iterator[str]:
    """The keys that *words* are prefixes of, among those of clashes."""
    keys = {key for clash in plan.clashes for key in clash.keys}
    for word in words:
        found = sorted(key for key in keys if word and key.startswith(word.lower()))
        if len(found) != 1:
            which = f"{len(found)} keys that clash begin" if found else "no key that clashes begins"
            raise CasLLMError(f"{which} with {word!r}; see them with: cas-llm rekey")
        yield found[0]
