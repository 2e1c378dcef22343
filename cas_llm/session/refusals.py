"""Requests that get no answer: why, told once, in the words of `cas_llm.session.misses`.

A refusal is an HTTP response in the family's own error shape, because an exception raised in a
transport is swallowed and retried by some SDKs. The problem it stands for is noted first, so that
it is known however the program treats the response.
"""

from __future__ import annotations

from collections.abc import Callable

from cas_llm import prices
from cas_llm.config import Settings
from cas_llm.errors import CasLLMError, ObjectMissing
from cas_llm.keys import short
from cas_llm.modes import Mode
from cas_llm.providers import PYTHON, identify, provider_for
from cas_llm.providers.base import Provider, Usage
from cas_llm.session import counting, families, lookup, misses, policy
from cas_llm.session.actions import Mark, Serve
from cas_llm.session.asked import Asked
from cas_llm.session.lookup import Absent
from cas_llm.session.misses import Problem
from cas_llm.session.nearest import nearest
from cas_llm.session.runtime import Runtime
from cas_llm.session.scopes import Kind, Scope
from cas_llm.store import layout, pick
from cas_llm.wire import Request, Response

STATUS = 424
_TYPICAL_OUTPUT = 200
_CHARACTERS_PER_TOKEN = 4
_LONGEST_ASK = 120


def missing(asked: Asked, absent: Absent, runtime: Runtime) -> Serve:
    """The refusal of a request that has no recording, or no further one."""
    if not absent.held:
        return refuse(asked, misses.NOT_RECORDED, runtime)
    tied = absent.sequence.tied if absent.sequence else ()
    notes = tuple(
        f"A tied tape would have served it: {tape.path(runtime.store.root)}"
        for tape in tied
        if len(tape.answers.get(asked.key, ())) >= asked.number
    )
    times = f"asked {asked.number} times, recorded {absent.held}"
    return refuse(asked, misses.EXHAUSTED, runtime, detail=times, notes=notes)


def barred(asked: Asked, settings: Settings, runtime: Runtime) -> Serve | None:
    """The refusal of a call that may not be made whatever the mode says, if it is one."""
    if asked.api is PYTHON:
        # It leaves nowhere; what its body asks of a provider is judged by itself.
        return None
    if policy.placeholder_in(asked.request):
        variable = policy.key_variable(asked.api.name)
        detail = (
            f"{variable} is not set, and this call would go to the provider.\n"
            f"Set it:  export {variable}=…"
        )
        return refuse(asked, misses.PLACEHOLDER, runtime, detail=detail)
    if policy.barred_from_leaving(asked.request, settings):
        detail = (
            f"CI is set, so no request may leave this machine ({asked.request.host}).\n"
            "Allow it:  pytest --cas-llm-live-on-ci   or   CAS_LLM_LIVE_ON_CI=1"
        )
        return refuse(asked, misses.LIVE_ON_CI, runtime, detail=detail)
    spent, limit = runtime.run.spent(), settings.max_cost
    # A call that is known to cost nothing never exceeds a budget.
    if spent >= limit and estimate(asked) != 0:
        detail = (
            f"This run has spent {prices.money(spent)} of the {prices.money(limit)} it may.\n"
            "What was paid for is kept. Go on:  pytest --cas-llm=fallback --cas-llm-max-cost=N"
        )
        return refuse(asked, misses.OVER_BUDGET, runtime, detail=detail)
    return None


def blocked(request: Request, settings: Settings, scope: Scope, runtime: Runtime) -> Serve | None:
    """The refusal of a request that is none of an LLM's, where replay refuses all, if it does."""
    if (
        settings.block_network != "all"
        or settings.mode is not Mode.REPLAY
        or policy.listed(request, settings.ignore_hosts)
        or policy.is_loopback(request.host)
    ):
        return None
    path = runtime.redactor(settings, request).text(request.path)
    problem = Problem(
        kind=misses.BLOCKED,
        scope=scope.name,
        what=f"{request.method} {policy.netloc(request)}{path}",
        detail='block_network is "all", and this host is not a recorded one.\n'
        "Let it through: add it to ignore_hosts in [tool.cas-llm]; record it: to hosts",
    )
    report(scope, problem, runtime)
    return _serve(problem, provider_for("http"), Mark("blocked"))


def unusable(request: Request, error: Exception, scope: Scope, runtime: Runtime) -> Serve:
    """The refusal of a request that the settings in force cannot be applied to."""
    said = str(error) if isinstance(error, CasLLMError) else f"{type(error).__name__}: {error}"
    path = runtime.last_redactor.text(request.path)
    problem = Problem(
        kind=misses.BAD_SETTING,
        scope=scope.name,
        what=f"{request.method} {policy.netloc(request)}{path}",
        detail=said,
    )
    report(scope, problem, runtime)
    return _serve(problem, provider_for(identify(request).family), Mark("miss"))


def refuse(
    asked: Asked,
    kind: str,
    runtime: Runtime,
    *,
    detail: str = "",
    notes: tuple[str, ...] = (),
) -> Serve:
    """Note the problem, give the ask's number back, and answer with the explanation."""
    problem = trouble(asked, kind, runtime, detail=detail, notes=notes)
    if asked.number:
        # In replay the claim of this number, if there is one, is another process's.
        claimed = asked.mode.records
        asked.scope.give_back(runtime.run, asked.key, asked.number, claimed=claimed)
    counting.miss(asked, runtime)
    return _serve(problem, asked.provider, Mark("miss", asked.key))


def trouble(
    asked: Asked,
    kind: str,
    runtime: Runtime,
    *,
    detail: str = "",
    notes: tuple[str, ...] = (),
) -> Problem:
    """Find out what there is to say about a request that went wrong, and note it."""
    scope, store = asked.scope, runtime.store
    near = tape = None
    pending = lookup.waits(asked, runtime)
    if kind == misses.NOT_RECORDED:
        near = nearest(asked, runtime)
        tape = pick.current(scope.tapes(store), scope.source)
        if store.exists and not pending:
            request = layout.sharded(layout.REQUESTS, asked.key)
            notes = (*notes, *_once_had(request, asked, runtime))
    problem = Problem(
        kind=kind,
        scope=scope.name,
        what=asked.what,
        key=asked.key,
        api=asked.api.name,
        model=asked.model,
        ask=_shown(asked),
        detail=detail,
        nearest=near,
        store_empty=kind == misses.NOT_RECORDED and store.is_empty(),
        pending=pending,
        turn=len(scope.served) + 1 if tape else 0,
        turns=len(tape.turns) if tape else 0,
        price=estimate(asked),
        fixture=scope.kind is Kind.FIXTURE,
        notes=notes,
    )
    report(scope, problem, runtime)
    return problem


def report(scope: Scope, problem: Problem, runtime: Runtime) -> None:
    """Note *problem* with its scope and the log, and in a child with the parent."""
    if scope.joined:
        runtime.log.begin_anew_in_child()
    scope.problems.append(problem)
    runtime.log.trouble(problem)
    if scope.joined:
        families.tell_problem(runtime.run, scope, problem)


def unreadable(asked: Asked, error: Exception, runtime: Runtime) -> Serve:
    """The refusal of a request whose recording cannot be read; says who took it out, if anybody."""
    notes: tuple[str, ...] = ()
    if isinstance(error, ObjectMissing) and error.path:
        name = "/".join(error.path.parts[-3:])
        notes = _once_had(name, asked, runtime)
    return refuse(asked, misses.UNREADABLE, runtime, detail=str(error), notes=notes)


def _once_had(path: str, asked: Asked, runtime: Runtime) -> tuple[str, ...]:
    """What git tells of the store path *path*, if a commit deleted it."""
    note = runtime.pruned.note(path, asked.key)
    return (note,) if note else ()


def reading_on(asked: Asked, runtime: Runtime) -> Callable[[], Exception]:
    """What to call when the reader wants more of a stream than was read when it was recorded."""

    def problem() -> Exception:
        detail = (
            "The reader of this stream left early when it was recorded; now it reads on.\n"
            f"Record it anew:  {_capture_command(asked.scope)}"
        )
        return misses.error_for([trouble(asked, misses.READ_ON, runtime, detail=detail)])

    return problem


def _shown(asked: Asked) -> str:
    """What is asked, in a line: the last message, or all arguments of a function."""
    ask = asked.ask
    return short(", ".join(ask), _LONGEST_ASK) if asked.api is PYTHON else ask[-1] if ask else ""


def estimate(asked: Asked) -> float | None:
    """About what the call would cost in US dollars, before it is made; None if unknown."""
    tokens = len(asked.request.body) // _CHARACTERS_PER_TOKEN + 1
    usage = Usage(input=tokens, output=_TYPICAL_OUTPUT)
    return prices.price(asked.api.name, asked.model, usage)


def _serve(problem: Problem, provider: Provider, mark: Mark) -> Serve:
    headers = (("content-type", "application/json"), ("x-should-retry", "false"))
    body = provider.error(STATUS, misses.explain(problem))
    return Serve(Response(STATUS, headers, body), mark)


def _capture_command(scope: Scope) -> str:
    if scope.kind is Kind.TEST:
        return f"pytest '{scope.name}' --cas-llm=capture"
    return "run it once with CAS_LLM_MODE=capture"
