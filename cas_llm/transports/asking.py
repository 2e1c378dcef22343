"""What every adapter does around a request: ask the session, wait, and step back for another.

Below the adapters of the libraries, above the session; imports no HTTP library.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus

from cas_llm.session import Forward, Pass, Serve, Wait, refusals
from cas_llm.session.actions import Action
from cas_llm.session.bindings import Binding
from cas_llm.transports.streams import pause
from cas_llm.wire import Headers, Request

WAIT_SECONDS = 0.005
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})
_BODILESS = frozenset({204, 304})

Settled = Serve | Forward | Pass
"""What an action comes to that has nobody to wait for."""

_settled: ContextVar[bool] = ContextVar("cas_llm_settled", default=False)


@contextmanager
def settled() -> Iterator[None]:
    """Let the libraries below send what is sent in this block: an adapter has dealt with it."""
    token = _settled.set(True)
    try:
        yield
    finally:
        _settled.reset(token)


def is_settled() -> bool:
    """Whether an adapter further up has dealt with the request that is on its way here."""
    return _settled.get()


def begin(binding: Binding, asked: Request) -> Action:
    """What *binding*'s session says to *asked*; never an exception."""
    try:
        return binding.session.begin(asked, binding.scope)
    except Exception as error:  # noqa: BLE001 - a normaliser of the project's may raise any
        # Raised here it would be a connection error to the SDK, retried and hidden.
        return refusals.unusable(asked, error, binding.scope, binding.session.runtime)


def outcome(action: Action) -> Settled:
    """What becomes of *action* once nobody else makes the same call; waits in this thread."""
    while isinstance(action, Wait):
        while not action.over():
            time.sleep(WAIT_SECONDS)
        action = action.again()
    return action


async def outcome_async(action: Action) -> Settled:
    """See `outcome`; lets the event loop run meanwhile."""
    while isinstance(action, Wait):
        while not action.over():
            await pause(WAIT_SECONDS)
        action = action.again()
    return action


def is_in_pieces(serve: Serve) -> bool:
    """Whether the body of *serve* comes piece by piece, or its length isn't known."""
    return bool(serve.response.chunks) or serve.response.incomplete


def served_headers(serve: Serve, method: str) -> Headers:
    """The headers of a replayed response in HTTP/1.1: those kept, its key, and its framing."""
    kept = [pair for pair in serve.response.headers if pair[0] not in _FRAMING]
    kept.append(("x-cas-llm-key", serve.mark.key))
    status = serve.response.status
    if method != "HEAD" and status not in _BODILESS and status >= 200:
        if is_in_pieces(serve):
            kept.append(("transfer-encoding", "chunked"))
        else:
            kept.append(("content-length", str(len(serve.response.body))))
    return tuple(kept)


def reason(serve: Serve) -> str:
    """The reason phrase; that of a refusal is all some libraries put into their exception."""
    if serve.mark.outcome in {"miss", "blocked"}:
        return "refused by cas-llm: the body says why"
    try:
        return HTTPStatus(serve.response.status).phrase
    except ValueError:
        return ""
