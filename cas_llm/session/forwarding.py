"""A request that goes out: what is heard is kept, counted, and the flight given up.

Part of the pipeline, for when it has decided that a call is made. Calls nobody itself; adapters
feed what arrives into the `Recorder` of the `Forward` that it gives.
"""

from __future__ import annotations

from cas_llm.config import Settings
from cas_llm.errors import SecretFound, StoreError
from cas_llm.session import counting, keeping, misses, policy, refusals
from cas_llm.session.actions import Action, Forward
from cas_llm.session.asked import Asked
from cas_llm.session.recorder import Heard, Recorder
from cas_llm.session.runtime import Runtime
from cas_llm.wire import Request, Response


def forward(asked: Asked, flight: str, settings: Settings, runtime: Runtime) -> Forward:
    """Let the call be made, and keep its answer; *flight* is what others wait for, if any do."""
    recorder = Recorder(
        asked.provider,
        store=lambda heard: _heard(asked, heard, flight, settings, runtime),
        give_up=lambda error: _gave_up(asked, flight, runtime, error),
        owner=asked.scope,
    )
    if flight:
        runtime.recorders[flight] = recorder
    return Forward(recorder, asked.key)


def unstored(asked: Asked, settings: Settings, runtime: Runtime) -> Action:
    """Let the call be made and counted, and keep nothing; or refuse it where calls are barred."""
    refusal = refusals.barred(asked, settings, runtime)
    if refusal is not None:
        return refusal

    def heard(response: Heard) -> None:
        kind = response.response.header("content-type")
        _, cost = keeping.cost_of(asked, asked.provider.message(response.response.body, kind))
        counting.live(asked, response, runtime, cost=cost)

    return Forward(Recorder(asked.provider, store=heard, give_up=lambda _error: None))


def follow(response: Response, runtime: Runtime) -> None:
    """Let the host a redirect leads to count: its hops belong to their request."""
    if 300 <= response.status < 400:
        target = Request("GET", response.header("location"))
        if target.host:
            runtime.matched.add(policy.netloc(target))


def _heard(asked: Asked, heard: Heard, flight: str, settings: Settings, runtime: Runtime) -> None:
    cost, digest = None, ""
    try:
        if _is_wanted(heard.response.status, settings.record_errors):
            redactor = runtime.redactor(settings, asked.request)
            kept = keeping.keep(asked, heard, runtime, redactor)
            number = kept.answer.ordinal
            keeping.note(asked, kept.digest, number, kept.answer, runtime, fresh=True)
            cost, digest = kept.cost, kept.digest
        else:
            asked.scope.give_back(runtime.run, asked.key, asked.number)
            cost = 0.0
    except (SecretFound, StoreError, OSError) as error:
        kind = misses.SECRET if isinstance(error, SecretFound) else misses.NOT_STORED
        asked.scope.give_back(runtime.run, asked.key, asked.number)
        refusals.trouble(asked, kind, runtime, detail=str(error))
    finally:
        runtime.land(flight)
    follow(heard.response, runtime)
    counting.live(asked, heard, runtime, cost=cost, digest=digest)


def _gave_up(asked: Asked, flight: str, runtime: Runtime, error: BaseException | None) -> None:
    if isinstance(error, Exception):
        # Most SDKs say no more of it than "Connection error".
        said = f"{type(error).__name__}: {error}"
        asked.scope.unanswered[policy.netloc(asked.request)] = " ".join(said.split())
    asked.scope.give_back(runtime.run, asked.key, asked.number)
    runtime.land(flight)


def _is_wanted(status: int, record_errors: frozenset[int] | str) -> bool:
    return status < 400 or record_errors == "all" or status in record_errors
