"""Requests that tell a provider about a program and ask a model nothing, such as an SDK's traces.

They carry new ids and times whenever they are sent, often from a thread of their own and after
the test that caused them, so a recording of one would serve nobody. They are never recorded, never
a miss, and they never leave the process where no call may be made.
"""

from __future__ import annotations

from cas_llm.config import Settings
from cas_llm.providers import is_telemetry, provider_for
from cas_llm.session import policy
from cas_llm.session.actions import Action, Forward, Mark, Serve
from cas_llm.session.log import logger
from cas_llm.session.recorder import Recorder
from cas_llm.wire import Request, Response

_HEADERS = (("content-type", "application/json"),)


def answer(request: Request, settings: Settings) -> Action | None:
    """What to do with *request* if it is telemetry: forward it unrecorded, or swallow it."""
    if not is_telemetry(request):
        return None
    mode = settings.mode
    if (
        mode.live
        and not policy.placeholder_in(request)
        and not policy.barred_from_leaving(request, settings)
    ):
        quiet = Recorder(
            provider_for("http"), store=lambda _heard: None, give_up=lambda _error: None
        )
        return Forward(quiet)
    logger.info("TELEMETRY %s %s%s not sent", request.method, request.host, request.path)
    return Serve(Response(200, _HEADERS, b"{}"), Mark("telemetry"))
