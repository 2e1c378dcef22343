"""What `cas-llm rekey` says: clashes first, what cannot be moved, the counts, what to type next.

Part of the command line; decides nothing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cas_llm.cli.hints import command, shown
from cas_llm.cli.output import counted, say
from cas_llm.keys import short
from cas_llm.rekey import Clash, Plan, Target
from cas_llm.session.misses import describe
from cas_llm.store import Store

_SHOWN = 5
_PLACES = 3
_ANSWER = 60
_IN_ORDER = "the first ask then gets the first's answer"


def document(place: Store, target: Target, plan: Plan, *, applied: bool) -> dict[str, Any]:
    """All of it as JSON."""
    clashes = [(one, False) for one in plan.clashes] + [(one, True) for one in plan.allowed]
    return {
        "store": str(place.root),
        "applied": applied,
        "normalise": list(target.normalise),
        "namespace": target.namespace,
        "kept": plan.kept,
        "moved": plan.moved,
        "calls": len(plan.stuck),
        "joined": plan.joined,
        "scopes": list(plan.scopes),
        "shared": len(plan.shared),
        "waiting": len(plan.waiting),
        "tied": list(plan.tied),
        "clashes": [_clash_document(clash, allowed=allowed) for clash, allowed in clashes],
        "stuck": [
            {"key": one.key, "digest": one.digest, "why": one.why, "scopes": list(one.scopes)}
            for one in plan.stuck
        ],
    }


def _clash_document(clash: Clash, *, allowed: bool) -> dict[str, Any]:
    return {
        "key": clash.key,
        "requests": [clash.first, clash.second],
        "answers": list(clash.answers),
        "scope": clash.scope,
        "differences": [describe(one) for one in clash.differences],
        "allowed": allowed,
    }


@dataclass(frozen=True)
class Told:
    """A plan, for people: `missing` are rules that the settings lack, `store` is what was named."""

    plan: Plan
    target: Target
    missing: Sequence[str]
    place: Store
    store: Path | None

    def show(self, *, applied: bool) -> None:
        """Print it."""
        plan = self.plan
        self._show_clashes()
        self._show_stuck()
        keep = "keeps its answer" if plan.kept == 1 else "keep their answers"
        calls, clashes = counted(len(plan.stuck), "call"), _clashes(len(plan.clashes))
        say(f"{counted(plan.kept, 'recording')} {keep}, {calls}, {clashes}")
        for line in self._notes(applied=applied):
            say(f"  {line}")
        if plan.is_done:
            say("Nothing to change: every key that can be is the one that holds now.")
        elif applied:
            say(f"Next: pytest && git add {shown(self.place.root)}; the old takes: cas-llm prune")
        elif not plan.clashes:
            again = command("rekey", "--apply", *self._given(), store=self.store)
            say(f"Nothing was changed. Next: {again}")

    def _notes(self, *, applied: bool) -> Iterator[str]:
        plan = self.plan
        if plan.allowed:
            yield f"{_clashes(len(plan.allowed))} allowed: their requests become one"
        if plan.joined:
            takes = "takes in several requests" if plan.joined == 1 else "take in several each"
            yield f"{counted(plan.joined, 'key')} {takes}, told apart by test or order:"
            yield "  there a request that is asked again gets the next answer"
        if plan.tied:
            yield f"tied tapes of {', '.join(plan.tied)}: the one in use now leads from then on"
        if plan.waiting:
            yield f"and {counted(len(plan.waiting), 'answer')} waiting for a test to pass"
        if not plan.tapes and not plan.shared:
            return
        gets = "got" if applied else "gets" if plan.moved == 1 else "get"
        tests = counted(len(plan.scopes), "new tape")
        shared = f" and {counted(len(plan.shared), 'shared entry', 'shared entries')}"
        where = f"{tests}{shared if plan.shared else ''}"
        yield f"{plan.moved:,} {gets} another key, in {where}   {_rules(self.target)}"
        if self.missing:
            yield f"first say so in [tool.cas-llm]:  {_normalise(self.target)}"

    def _show_clashes(self) -> None:
        clashes = self.plan.clashes
        for clash in clashes[:_SHOWN]:
            what = "two requests become one" if clash.differences else "a request recorded twice"
            say(f"Clash in {clash.scope or 'shared answers'}: {what}", "red")
            for key, answer in zip((clash.first, clash.second), clash.answers, strict=True):
                said = json.dumps(short(answer, _ANSWER), ensure_ascii=False)
                say(f"  {key[:12]}   answered {said}")
            for one in clash.differences[:_PLACES]:
                say(f"    {describe(one)}")
            if (more := len(clash.differences) - _PLACES) > 0:
                say(f"    and {more} more")
            then = "this one serves" if clash.leads else _IN_ORDER
            allow = command("rekey", "--allow-clash", clash.first[:12], store=self.store)
            say(f"  if it is meant:  {allow}    ({then})")
        if (more := len(clashes) - _SHOWN) > 0:
            say(f"  and {more:,} more: {command('rekey', '--json', store=self.store)}")

    def _show_stuck(self) -> None:
        groups: dict[tuple[str, tuple[str, ...]], int] = {}
        for one in self.plan.stuck:
            groups[one.why, one.scopes] = groups.get((one.why, one.scopes), 0) + 1
        for (why, scopes), count in list(groups.items())[:_SHOWN]:
            more = f" and {len(scopes) - 1} more" if len(scopes) > 1 else ""
            whose = f"{scopes[0]}{more}" if scopes else "no test"
            say(f"Cannot be moved: {counted(count, 'recording')} of {whose}", "yellow")
            say(f"  {why}")
            tests = [shlex.quote(scope) for scope in scopes[:_PLACES] if _is_test(scope)]
            anew = f"pytest {' '.join([*tests, '--cas-llm=fallback'])}"
            say(f"  record it anew:  {anew if tests else 'run it with CAS_LLM_MODE=fallback'}")
        if len(groups) > _SHOWN:
            listing = command("rekey", "--json", store=self.store)
            say(f"  and {counted(len(groups) - _SHOWN, 'more group')}: {listing}")

    def _given(self) -> Iterator[str]:
        """The options of this run, to be typed again."""
        for rule in self.missing:
            yield from ("--normalise", rule)
        for option, pairs in (
            ("--rename", self.target.apis),
            ("--namespace", self.target.namespaces),
        ):
            for old, new in pairs.items():
                yield from (option, f"{old}={new}")
        for key in dict.fromkeys(clash.first for clash in self.plan.allowed):
            yield from ("--allow-clash", key[:12])


def _rules(target: Target) -> str:
    namespace = f"   namespace = {json.dumps(target.namespace)}" if target.namespace else ""
    return f"{_normalise(target)}{namespace}"


def _normalise(target: Target) -> str:
    listed = ", ".join(json.dumps(rule, ensure_ascii=False) for rule in target.normalise)
    return f"normalise = [{listed}]"


def _clashes(count: int) -> str:
    return counted(count, "clash", "clashes")


def _is_test(scope: str) -> bool:
    return "::" in scope and not scope.startswith("use::") and "conftest.py::" not in scope
