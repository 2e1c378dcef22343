"""`cas-llm explain`: what went into a key and why, or why a request had no recording."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli import naming
from cas_llm.cli.options import JsonOption, StoreOption, opened
from cas_llm.errors import CasLLMError
from cas_llm.keys import load_record, parts_of, short
from cas_llm.session.report import read_last_run

if TYPE_CHECKING:
    from cas_llm.store import Store

LEFT_OUT = (
    ("authorization, api keys, cookies", "say who asks, not what is asked"),
    ("user-agent, SDK and client versions", "an upgrade must not lose recordings"),
    ("timeouts, retry counts, idempotency keys", "differ between attempts at one request"),
    ("scheme, port, and the host where its provider is known", "the api member stands for them"),
    ("multipart boundaries, the order of JSON members", "carry no meaning"),
    ('"stream": false', "the same as no stream member; no other default is left out"),
)
"""What is never part of a key, and why."""

_PLACEHOLDER = re.compile(r"\[cas-llm:([^\[\]\s]+):\d+\]")
_VALUE = 44
_LISTED = 5
_HEX = re.compile(r"[0-9a-f]{4,64}\Z")
_WHY = {
    "k": "the version of these rules",
    "api": "whose: family, and provider where another",
    "method": "as sent",
    "path": "as sent",
    "query": "all parameters but credentials, sorted",
    "headers": "the few that change an answer",
    "namespace": "keeps equal requests apart; set by namespace=",
    "normalise": "named rules that were applied to the body",
    "redacted": "version of the rules that replaced a secret before hashing",
    "multipart": "the fields of the form, files by digest",
    "subtype": "of a multipart body that is no form",
    "form": "the fields of the form, in order",
    "bytes": "a body that is not JSON, by its exact bytes",
}


@dataclass(frozen=True)
class Reason:
    """One thing that is part of a key: its name, its value in short, why it counts."""

    name: str
    value: str
    why: str


@dataclass(frozen=True)
class Explained:
    """A key taken apart; `redacted` are the classes of secrets that were replaced."""

    key: str
    reasons: tuple[Reason, ...]
    redacted: tuple[str, ...]
    parts: tuple[tuple[str, str], ...]


def explain_key(store: Store, key: str) -> Explained:
    """What went into *key*, member by member."""
    data = store.objects.get_request(key)
    record = load_record(data)
    reasons = [
        Reason(name, short(value, _VALUE), _WHY.get(name, "part of the request"))
        for name, value in record.items()
        if name != "body"
    ]
    body = record.get("body")
    if isinstance(body, dict):
        reasons += [Reason(f"$.{name}", _summary(value), "body") for name, value in body.items()]
    elif "body" in record:
        reasons.append(Reason("$", _summary(body), "body"))
    found = sorted(set(_PLACEHOLDER.findall(data.decode())))
    return Explained(key, tuple(reasons), tuple(found), tuple(sorted(parts_of(record).items())))


def problems_of(problems: Sequence[Mapping[str, Any]], word: str) -> list[Mapping[str, Any]]:
    """Those *problems* whose key begins with *word*, or whose test has it in its id."""
    if not word:
        return list(problems)
    return [
        problem
        for problem in problems
        if word in problem["scope"]
        or (_HEX.match(word.lower()) and problem["key"].startswith(word.lower()))
    ]


def explain(
    name: Annotated[
        str,
        typer.Argument(metavar="KEY|TEST", help="A key, or a test of the last run; default: all."),
    ] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what went into a key and why; or, for a test or the last run, why requests missed."""
    from cas_llm.cli.output import print_json

    place = opened(store)
    problems = problems_of(read_last_run(place), name)
    if problems:
        print_json({"problems": problems}) if as_json else _print_problems(problems)
        return
    if not name:
        if as_json:
            print_json({"problems": []})
            return
        from cas_llm.cli.output import say

        say("The last run had no misses, or none was kept. A key explains itself too:")
        say("  cas-llm explain KEY      keys: cas-llm ls")
        return
    if not _HEX.match(name.lower()):
        raise CasLLMError(
            f"the last run had no miss in a test called {name!r}. "
            f"If it passed, its keys are in: cas-llm show {name}; all there are: cas-llm ls"
        )
    found = naming.find(place, name)
    key = found.key or (place.load(found.digest).key if found.digest else "")
    if not key:
        raise CasLLMError(f"{name!r} is a test; its keys are listed by: cas-llm show {name}")
    explained = explain_key(place, key)
    print_json({**asdict(explained), "left_out": LEFT_OUT}) if as_json else _print_key(explained)


def _summary(value: Any) -> str:
    if isinstance(value, list):
        return (
            f"{len(value)} items: {short(value, _VALUE - 10)}"
            if len(value) > 1
            else short(value, _VALUE)
        )
    if isinstance(value, dict) and "$cas:part" in value:
        return f"part {value['$cas:part'][:12]}.{value['type']}"
    return short(json.dumps(value, ensure_ascii=False), _VALUE)


def _print_problems(problems: Sequence[Mapping[str, Any]]) -> None:
    from cas_llm.cli.output import counted, say

    groups: dict[str, list[Mapping[str, Any]]] = {}
    for problem in problems:
        groups.setdefault(problem["cause"], []).append(problem)
    tests = len({problem["scope"] for problem in problems})
    say(
        f"{counted(len(problems), 'problem')} in {counted(tests, 'test')}, "
        f"{counted(len(groups), 'cause')}"
    )
    for group in sorted(groups.values(), key=len, reverse=True):
        first = group[0]
        say()
        say(first["explanation"])
        differences = (first.get("nearest") or {}).get("differences", [])
        if len(differences) > 3:
            say("  every place that differs:")
            for line in differences:
                say(f"    {line}")
        if len(group) > 1:
            others = sorted({problem["scope"] for problem in group} - {first["scope"]})
            say(f"  the same in {counted(len(group) - 1, 'more request')}{':' if others else ''}")
            for name in others[:_LISTED]:
                say(f"    {name}")
            if len(others) > _LISTED:
                say(f"    and {counted(len(others) - _LISTED, 'more test')}")


def _print_key(explained: Explained) -> None:
    from cas_llm.cli.output import print_table, say

    say(f"key {explained.key}")
    say("= SHA-256 of the key record, as cas-llm show KEY --request prints it", "dim")
    rows = [(reason.name, reason.value, reason.why) for reason in explained.reasons]
    print_table(("part of the key", "value", "why"), rows)
    if explained.redacted:
        say(f"replaced before hashing, by class and order: {', '.join(explained.redacted)}")
    for digest, ext in explained.parts:
        say(f"part by digest: {digest[:12]}.{ext}")
    print_table(("not part of the key", "because"), LEFT_OUT)
