"""The pipeline, spelled out once: request -> redact -> key -> mode -> store -> replay or forward.

`Session.begin` takes a wire request and says what to do with it, as a value of
`cas_llm.session.actions`. It never touches the network and never blocks: a call that somebody
else is making comes back as `Wait`.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace

from cas_llm.config import Rank, Settings, read_option
from cas_llm.errors import ConfigError, StoreError
from cas_llm.keys import Rules, key_record, normaliser
from cas_llm.modes import Act, Mode, decide
from cas_llm.providers import PYTHON, identify, provider_for
from cas_llm.session import (
    counting,
    forwarding,
    keeping,
    lookup,
    misses,
    policy,
    refusals,
    telemetry,
)
from cas_llm.session.actions import Action, Mark, Pass, Serve, Wait
from cas_llm.session.asked import Asked
from cas_llm.session.lookup import Absent, Found
from cas_llm.session.runtime import Runtime
from cas_llm.session.scopes import Kind, Scope
from cas_llm.store import Answer
from cas_llm.streams.pacing import delays
from cas_llm.wire import Request, Response

_OWN_RULE = re.compile(r"[\w.]+:\w+@")
_RETRIED = frozenset({408, 409, 429})


class Session:
    """A mode, a store and rules, and the log of what happened."""

    def __init__(
        self,
        settings: Settings,
        runtime: Runtime,
        *,
        every_request: bool = False,
        replace_edited: bool = False,
    ) -> None:
        self.settings = settings
        self.runtime = runtime
        self.every_request = every_request
        self.replace_edited = replace_edited
        self._rules: dict[str, Rules] = {}
        for rule in settings.normalise:
            # A bad one is told here, not by the first request's SDK. A function of the project's
            # own is imported when it is used: its module may not be importable yet.
            if not _OWN_RULE.match(rule):
                _check(rule, settings.sources.get("normalise", ""))

    def derived(self, settings: Settings) -> Session:
        """A session on the same store and run with other settings."""
        return Session(settings, self.runtime, replace_edited=self.replace_edited)

    def begin(self, request: Request, scope: Scope) -> Action:
        """What to do with *request*, which belongs to *scope*."""
        began = time.perf_counter()
        settings = self.settings
        if self.runtime.recorders:
            self.runtime.settle()
        if not self.every_request and not policy.counts(request, settings, self.runtime.matched):
            return refusals.blocked(request, settings, scope, self.runtime) or Pass()
        aside = telemetry.answer(request, settings)
        if aside is not None:
            return aside
        mode = self._mode(request, scope)
        namespace = request.header(policy.NAMESPACE_HEADER) or settings.namespace
        repeat = _repeat(request) or settings.repeat or _usual(mode, scope)
        api = identify(request, settings.hosts)
        record = key_record(
            request,
            api.name,
            self._rules_for(namespace),
            self.runtime.redactor(settings, request).text,
        )
        mock = scope.home.mocks.get(record.key)
        number = order = 0
        refused = None
        if mock is None and mode is not Mode.DISABLED:
            try:
                number, order = scope.take(self.runtime.run, record.key, claimed=mode.records)
            except StoreError as error:
                refused = error
        asked = Asked(
            request=request,
            api=api,
            provider=provider_for(api.family),
            record=record,
            scope=scope,
            mode=mode,
            repeat=repeat,
            number=number,
            order=order,
            began=began,
        )
        if mock is not None:
            return self._serve(asked, Found("", 1), mock)
        if refused is not None:
            return self._unwritable(asked, refused)
        return (
            self._decide(asked)
            if number
            else forwarding.unstored(asked, self.settings, self.runtime)
        )

    def begin_call(self, request: Request, scope: Scope, *, anew: bool = False) -> Action:
        """What to do with a call of a function, in the form `cas_llm.functions` gives it.

        It has one ordinal however often it is asked, so a repetition is always a hit. With *anew*
        the call is made and its answer stored as a new take, unless nothing is stored at all.
        """
        asked = self._called(request, scope)
        if asked.mode is Mode.DISABLED:
            return forwarding.unstored(asked, self.settings, self.runtime)
        if not anew:
            return self._decide(asked)
        if scope.kind is Kind.SHARED:
            self.runtime.begin_take(asked.key)
        return forwarding.forward(
            asked._replace(mode=Mode.CAPTURE), "", self.settings, self.runtime
        )

    def peek(self, request: Request, scope: Scope) -> Response | None:
        """The recorded answer to a call of a function, if there is one; never refuses."""
        asked = self._called(request, scope)
        found = lookup.find(asked, self.runtime, self.settings.exhausted)
        if not isinstance(found, Found):
            return None
        return self._serve(asked, found, self.runtime.store.load(found.digest)).response

    def _called(self, request: Request, scope: Scope) -> Asked:
        namespace = request.header(policy.NAMESPACE_HEADER) or self.settings.namespace
        redactor = self.runtime.redactor(self.settings, request)
        return Asked(
            request=request,
            api=PYTHON,
            provider=provider_for(PYTHON.family),
            record=key_record(request, PYTHON.name, self._rules_for(namespace), redactor.text),
            scope=scope,
            mode=self._mode(request, scope),
            repeat="once",
            number=1,
            order=time.monotonic_ns(),
            began=time.perf_counter(),
        )

    def _decide(self, asked: Asked) -> Action:
        try:
            found = self._find(asked)
            if isinstance(found, Found):
                answer = self.runtime.store.load(found.digest)
                if not lookup.is_repeated_error(answer, found, asked):
                    return self._serve(asked, found, answer)
                found = Absent()
            if asked.mode is not Mode.CAPTURE and decide(asked.mode, hit=False) is Act.REFUSE:
                return refusals.missing(asked, found, self.runtime)
        except (StoreError, OSError) as error:
            return refusals.unreadable(asked, error, self.runtime)
        try:
            return self._live(asked)
        except (StoreError, OSError) as error:
            return self._unwritable(asked, error)

    def _unwritable(self, asked: Asked, error: Exception) -> Action:
        """The refusal of a call that is better not made: its answer could not be kept."""
        detail = f"The call was not made: {error}"
        return refusals.refuse(asked, misses.NOT_STORED, self.runtime, detail=detail)

    def _find(self, asked: Asked) -> Found | Absent:
        if asked.mode is not Mode.CAPTURE:
            return lookup.find(asked, self.runtime, self.settings.exhausted)
        kept = None if self.replace_edited else lookup.edited(asked, self.runtime)
        return kept or lookup.find_captured(asked, self.runtime) or Absent()

    def _serve(self, asked: Asked, found: Found, answer: Answer) -> Serve:
        response = answer.response
        if found.digest:
            fresh = found.pending or (asked.mode.records and self._is_fresh(found))
            keeping.note(
                asked,
                found.digest,
                found.ordinal,
                answer,
                self.runtime,
                fresh=fresh,
                tape=found.tape,
            )
            if fresh and asked.scope.staged and not found.pending:
                self._wait_too(asked, found)
        counting.hit(asked, found, answer, self.runtime)
        forwarding.follow(response, self.runtime)
        return Serve(
            replayable(response),
            Mark("hit", asked.key, found.digest, found.ordinal),
            delays=delays(response.chunks, self.settings.pace),
            read_on=refusals.reading_on(asked, self.runtime) if response.incomplete else None,
        )

    def _wait_too(self, asked: Asked, found: Found) -> None:
        """Let this scope, too, find the answer that another one of the run has pending."""
        pending, run = self.runtime.store.pending, self.runtime.run
        keeping.refuse_named_secret(asked.scope.name, self.runtime.last_redactor)
        if pending.has(run.id, found.digest):
            pending.enter(
                run.id,
                scope=asked.scope.name,
                key=asked.key,
                ordinal=found.ordinal,
                digest=found.digest,
                captured=asked.mode is Mode.CAPTURE,
            )

    def _is_fresh(self, found: Found) -> bool:
        return not self.runtime.store.objects.has(found.digest)

    def _live(self, asked: Asked) -> Action:
        refusal = refusals.barred(asked, self.settings, self.runtime)
        if refusal is not None:
            return refusal
        flight = self._flight(asked)
        runtime, run = self.runtime, self.runtime.run
        if not run.take_off(flight):
            if not (run.is_own(flight) or runtime.stalled(flight)):
                return Wait(
                    over=lambda: not run.in_flight(flight) or runtime.stalled(flight),
                    again=lambda: self._decide(asked),
                )
            # The program reads that stream later, perhaps after this one: it would wait for itself.
            flight = f"{flight}.{asked.number}"
            run.take_off(flight)
        # Whoever held the flight may have landed between our look-up and our taking off.
        found = self._find_quietly(asked)
        if found is not None:
            runtime.land(flight)
            return self._decide(asked)
        return forwarding.forward(asked, flight, self.settings, self.runtime)

    def _find_quietly(self, asked: Asked) -> Found | None:
        try:
            found = self._find(asked)
            if not isinstance(found, Found):
                return None
            answer = self.runtime.store.load(found.digest)
        except (StoreError, OSError):
            return None
        return None if lookup.is_repeated_error(answer, found, asked) else found

    @staticmethod
    def _flight(asked: Asked) -> str:
        if asked.mode is Mode.CAPTURE or asked.repeat == "each":
            number = 1 if asked.repeat == "once" else asked.number
            return f"{asked.key}.{number}"
        return asked.key

    def _mode(self, request: Request, scope: Scope) -> Mode:
        asked_for = request.header(policy.MODE_HEADER)
        settings = self.settings
        if asked_for:
            settings = settings.says(asked_for, Rank.CALL, f"header {policy.MODE_HEADER}")
        mode = settings.mode
        return Mode.FALLBACK if scope.locked and mode is Mode.CAPTURE else mode

    def _rules_for(self, namespace: str) -> Rules:
        rules = self._rules.get(namespace)
        if rules is None:
            rules = Rules(normalise=self.settings.normalise, namespace=namespace)
            self._rules[namespace] = rules
        return rules


def replayable(response: Response) -> Response:
    """The recorded response as it is given back: an error does not make SDKs back off again."""
    if response.status < 500 and response.status not in _RETRIED:
        return response
    kept = [pair for pair in response.headers if not pair[0].startswith("retry-after")]
    return replace(response, headers=(*kept, ("retry-after-ms", "1")))


def _check(rule: str, source: str) -> None:
    try:
        normaliser(rule)
    except ConfigError as error:
        raise ConfigError(str(error), source=source) from None


def _repeat(request: Request) -> str:
    asked_for = request.header(policy.REPEAT_HEADER)
    if asked_for:
        read_option("repeat", asked_for, f"header {policy.REPEAT_HEADER}")
    return asked_for


def _usual(mode: Mode, scope: Scope) -> str:
    return "each" if mode is Mode.CAPTURE and scope.kind is not Kind.SHARED else "once"
