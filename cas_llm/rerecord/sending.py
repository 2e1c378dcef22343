"""One stored request on its way: sent, waited for, sent again where that may help, and recorded.

What comes back goes through the pipeline of every other call (redaction, key, the look for secrets,
staging), so that nothing is stored in another way here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from cas_llm.config import Settings
from cas_llm.keys import Rules, key_record
from cas_llm.modes import Mode
from cas_llm.providers import identify, provider_for
from cas_llm.rerecord.patience import Patience, may_pass, retry_after
from cas_llm.session import Kind, Scope, forwarding, refusals
from cas_llm.session.actions import Forward
from cas_llm.session.asked import Asked
from cas_llm.session.runtime import Runtime
from cas_llm.session.scopes import SHARED
from cas_llm.wire import Headers, Request


class Reply(Protocol):
    """A response whose body has not been read."""

    status: int
    headers: Headers

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives."""


Post = Callable[[Request, float], AbstractContextManager[Reply]]
"""Sends a request, with a time-out in seconds; raises `Broken` where no response comes."""


class Broken(Exception):
    """The connection failed, or nothing came in time; its text says which."""


class Unwritable(Broken):
    """The request cannot be put on a wire at all: its address, or a header."""


@dataclass(frozen=True)
class Job:
    """A request to send again: whose answer it is for, in which place, and what it may cost."""

    key: str
    digest: str
    request: Request
    scope: str
    ordinal: int
    namespace: str = ""
    expected: float | None = None
    model: str = ""

    @property
    def name(self) -> str:
        """What a ledger calls it."""
        return f"call:{self.key}:{self.digest}"


@dataclass(frozen=True)
class Sent:
    """What came of a job: the new answer's digest and price, else why there is none.

    `made` says that a request went out at all.
    """

    digest: str = ""
    cost: float | None = None
    why: str = ""
    attempts: int = 0
    made: bool = False


@dataclass(frozen=True)
class Sender:
    """Sends jobs for the store of *runtime*; `pause` waits, and says whether to stop."""

    settings: Settings
    runtime: Runtime
    post: Post
    patience: Patience
    pause: Callable[[float], bool]

    def send(self, job: Job) -> Sent:
        """Send *job* until there is an answer, or none is to be hoped for."""
        attempt = 0
        while True:
            attempt += 1
            scope = _scope(job)
            begun = self._begin(job, scope)
            if isinstance(begun, str):
                return Sent(why=begun, attempts=attempt - 1)
            why, wait = self._once(job, begun, attempt)
            if not why:
                return self._stored(job, scope, attempt)
            if wait is None or self.pause(wait):
                times = f" (asked {attempt} times)" if attempt > 1 else ""
                return Sent(why=f"{why}{times}", attempts=attempt, made=True)

    def _begin(self, job: Job, scope: Scope) -> Forward | str:
        settings, runtime, request = self.settings, self.runtime, job.request
        api = identify(request, settings.hosts)
        rules = Rules(normalise=settings.normalise, namespace=job.namespace)
        redact = runtime.redactor(settings, request).text
        record = key_record(request, api.name, rules, redact)
        asked = Asked(
            request=request,
            api=api,
            provider=provider_for(api.family),
            record=record,
            scope=scope,
            mode=Mode.CAPTURE,
            repeat="each",
            number=job.ordinal,
            order=time.monotonic_ns(),
            began=time.perf_counter(),
        )
        if record.key != job.key:
            return self._another(job, record.data)
        if refusals.barred(asked, settings, runtime) is not None:
            return scope.problems[-1].detail.replace("\n", "; ")
        return forwarding.forward(asked, "", settings, runtime)

    def _another(self, job: Job, data: bytes) -> str:
        """Why the request as it would be sent today is not the one that was recorded."""
        from cas_llm.keys import compare, load_record

        old = load_record(self.runtime.store.objects.get_request(job.key))
        found = compare(old, load_record(data), lambda _: None)
        where = f": {found[0].path}, {found[0].old!r} -> {found[0].new!r}" if found else ""
        return f"sent from here it would be another request{where[:200]}"

    def _once(self, job: Job, begun: Forward, attempt: int) -> tuple[str, float | None]:
        """What is wrong after one call, and how long to wait for the next, None to stop."""
        recorder, patience = begun.recorder, self.patience
        chance = random.random()
        try:
            with self.post(job.request, patience.timeout) as reply:
                if reply.status >= 400 and not self._records(reply.status):
                    recorder.fail()
                    named = retry_after(reply.headers, lambda: datetime.now(UTC))
                    wait = patience.wait(attempt, named, chance) if may_pass(reply.status) else None
                    asked = f", and asks to wait {named:g} s" if named and wait is None else ""
                    # A server may tell the key that it refuses.
                    hide = self.runtime.redactor(self.settings, job.request).text
                    return f"the server says {reply.status}{asked}: {_said(reply, hide)}", wait
                recorder.head(reply.status, reply.headers)
                for piece in reply.pieces():
                    recorder.chunk(piece)
                recorder.end()
        except Broken as error:
            recorder.fail(error)
            is_hopeless = isinstance(error, Unwritable)
            return str(error), None if is_hopeless else patience.wait(attempt, None, chance)
        except BaseException:
            recorder.fail()
            raise
        return "", None

    def _records(self, status: int) -> bool:
        wanted = self.settings.record_errors
        return wanted == "all" or (not isinstance(wanted, str) and status in wanted)

    def _stored(self, job: Job, scope: Scope, attempt: int) -> Sent:
        use = scope.uses.get((job.key, job.ordinal))
        if use is None:
            why = scope.problems[-1].detail if scope.problems else "its answer could not be kept"
            return Sent(why=why, attempts=attempt, made=True)
        cost = self.runtime.store.load(use.digest).provenance.get("cost_usd")
        return Sent(use.digest, cost, attempts=attempt, made=True)


def _scope(job: Job) -> Scope:
    kind = Kind.SHARED if job.scope == SHARED else Kind.TEST
    return Scope(job.scope, kind, staged=True)


def _said(reply: Reply, hide: Callable[[str], str]) -> str:
    """The beginning of what an error says, in one line, without the secrets that *hide* takes."""
    data = b""
    try:
        for piece in reply.pieces():
            data += piece
            if len(data) > 2000:
                break
    except Broken:
        pass
    return hide(" ".join(data.decode("utf-8", "replace").split()))[:160] or "nothing"


def over_http() -> tuple[Post, Callable[[], None]]:
    """A way to send requests, whose connections are kept alive, and what closes them."""
    from contextlib import contextmanager

    import httpx2

    client = httpx2.Client(follow_redirects=False)

    class Arrived:
        def __init__(self, response: Any) -> None:
            self.status = int(response.status_code)
            told = response.headers.multi_items()
            self.headers = tuple((name.lower(), value) for name, value in told)
            self._response = response

        def pieces(self) -> Iterator[bytes]:
            try:
                yield from self._response.iter_raw()
            except httpx2.HTTPError as error:
                raise Broken(f"the connection broke: {error or type(error).__name__}") from error

    @contextmanager
    def post(request: Request, timeout: float) -> Iterator[Reply]:
        limits = httpx2.Timeout(timeout, connect=min(timeout, 15.0))
        headers = [("accept-encoding", "identity"), *request.headers]
        try:
            with client.stream(
                request.method,
                request.url,
                headers=headers,
                content=request.body,
                timeout=limits,
            ) as response:
                yield Arrived(response)
        except (
            httpx2.LocalProtocolError,
            httpx2.UnsupportedProtocol,
            httpx2.InvalidURL,
            UnicodeError,
        ) as error:
            # Without its text, which may quote the key.
            why = f"its address or a header is none ({type(error).__name__})"
            raise Unwritable(f"the request cannot be sent: {why}") from error
        except httpx2.TimeoutException as error:
            raise Broken(f"no answer within {timeout:g} s") from error
        except httpx2.HTTPError as error:
            raise Broken(f"cannot reach {request.host}: {error or type(error).__name__}") from error

    return post, client.close
