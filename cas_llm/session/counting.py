"""One line in the log for each request, and to the run what the log of a child says."""

from __future__ import annotations

import time

from cas_llm.session import families
from cas_llm.session.asked import Asked
from cas_llm.session.log import HIT, LIVE, MISS, Call
from cas_llm.session.lookup import Found
from cas_llm.session.recorder import Heard
from cas_llm.session.runtime import Runtime
from cas_llm.store import Answer


def hit(asked: Asked, found: Found, answer: Answer, runtime: Runtime) -> None:
    """Count an answer that was served, and what that spared."""
    provenance = answer.provenance
    call = Call(
        HIT,
        asked.key,
        asked.api.name,
        asked.path,
        provenance.get("requested_model", ""),
        asked.scope.name,
        time.perf_counter() - asked.began,
        digest=found.digest,
        ordinal=found.ordinal,
        status=answer.response.status,
        cost=provenance.get("cost_usd"),
        saved_seconds=provenance.get("latency_ms", 0.0) / 1000,
        from_pending=found.pending,
    )
    _count(asked, call, runtime)


def miss(asked: Asked, runtime: Runtime) -> None:
    """Count a request that was refused."""
    call = Call(
        MISS,
        asked.key,
        asked.api.name,
        asked.path,
        asked.model,
        asked.scope.name,
        time.perf_counter() - asked.began,
    )
    _count(asked, call, runtime)


def live(
    asked: Asked, heard: Heard, runtime: Runtime, *, cost: float | None, digest: str = ""
) -> None:
    """Count a call that was made, with its price in US dollars; stored where it has a *digest*."""
    if cost:
        runtime.run.spend(cost)
    call = Call(
        LIVE,
        asked.key,
        asked.api.name,
        asked.path,
        asked.model,
        asked.scope.name,
        heard.seconds,
        digest=digest,
        ordinal=asked.number,
        status=heard.response.status,
        cost=cost,
        stored=bool(digest),
    )
    _count(asked, call, runtime)


def _count(asked: Asked, call: Call, runtime: Runtime) -> None:
    log = runtime.log
    if not asked.scope.joined:
        log.add(call)
        return
    log.begin_anew_in_child()
    log.add(call)
    families.tell_log(runtime.run, log)
