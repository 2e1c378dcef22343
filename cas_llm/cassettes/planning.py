"""From the cassettes of one owner to the tape they amount to: the way a live call would go.

Each call is identified, redacted, keyed and looked over for secrets as if it had been made now;
only the network is missing. Writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from cas_llm.cassettes.exchange import Cassette, Exchange
from cas_llm.cassettes.naming import Owner
from cas_llm.config import Settings
from cas_llm.digest import digest_of
from cas_llm.errors import SecretFound
from cas_llm.keys import Rules, key_record
from cas_llm.modes import Mode
from cas_llm.providers import identify, is_telemetry, provider_for
from cas_llm.session import policy
from cas_llm.session.asked import Asked
from cas_llm.session.keeping import answer_of, refuse_named_secret, refuse_secrets
from cas_llm.session.recorder import Heard, Recorder
from cas_llm.session.runtime import Runtime
from cas_llm.session.scopes import Kind, Scope
from cas_llm.store import Answer, Recording, Tape
from cas_llm.store.tape import Turn
from cas_llm.wire import Chunk, Request, header

CASSETTE = "cassette"
"""The member of an answer's provenance that names the file it came from."""
_ANTHROPIC_VERSION = ("anthropic-version", "2023-06-01")


@dataclass(frozen=True)
class Piece:
    """One call as it will be stored: its recording, the files of it, what a report counts.

    `said` is the digest of status and body, equal for equal answers; `secrets` were replaced.
    """

    recording: Recording
    digest: str
    files: Mapping[str, bytes] = field(repr=False)
    said: str
    secrets: int = 0


@dataclass
class Tally:
    """What became of the calls of one cassette; `refused` says why none of it is brought."""

    path: str
    dialect: str
    owner: Owner
    calls: int = 0
    brought: int = 0
    hosts: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    bodiless: int = 0
    secrets: int = 0
    betas: int = 0
    refused: str = ""

    @property
    def stays(self) -> bool:
        """Whether the file holds calls that the store does not."""
        return bool(self.hosts or self.bodiless or self.refused)


@dataclass(frozen=True)
class Planned:
    """The tape of one owner, with all that it names, and what became of each of its cassettes."""

    tallies: tuple[Tally, ...]
    pieces: tuple[Piece, ...] = ()
    tape: Tape | None = None


class Planning:
    """Makes tapes of cassettes by the rules of *settings*; *keep_errors* takes failures as well."""

    def __init__(self, settings: Settings, *, keep_errors: bool = False) -> None:
        self.runtime = Runtime(settings)
        self._settings = settings
        self._keep_errors = keep_errors
        self._rules = Rules(normalise=settings.normalise, namespace=settings.namespace)

    def plan(self, owner: Owner, cassettes: Sequence[tuple[str, Cassette]]) -> Planned:
        """The tape that *cassettes*, each with its name, make for *owner*; all of them or none."""
        tallies = tuple(Tally(name, one.dialect, owner) for name, one in cassettes)
        kind = Kind.TEST if owner.is_test else Kind.BLOCK
        scope = Scope(owner.scope, kind, staged=True)
        pieces: list[Piece] = []
        try:
            refuse_named_secret(owner.scope, self.runtime.redactor(self._settings))
            for tally, (_, cassette) in zip(tallies, cassettes, strict=True):
                pieces += self._pieces(tally, cassette, scope, len(pieces), Counter(_keys(pieces)))
        except SecretFound as error:
            for tally in tallies:
                tally.refused, tally.brought = str(error), 0
            return Planned(tallies)
        if not pieces:
            return Planned(tallies)
        answers = [(piece.recording.answer, piece.digest) for piece in pieces]
        turns = tuple(Turn(a.key, digest, a.ask, a.answer) for a, digest in answers)
        return Planned(tallies, tuple(pieces), Tape(owner.scope, 0, owner.source, turns))

    def _pieces(
        self, tally: Tally, cassette: Cassette, scope: Scope, before: int, asked: Counter[str]
    ) -> list[Piece]:
        tally.calls = len(cassette.exchanges)
        # A gateway that one call gives away counts whole, as it would while recording.
        for one in cassette.exchanges:
            self._counts(one.request)
        found: list[Piece] = []
        for one in cassette.exchanges:
            if not self._counts(one.request) or is_telemetry(one.request):
                tally.hosts[policy.netloc(one.request)] += 1
            elif one.body is None:
                tally.bodiless += 1
            elif not self._is_wanted(one.status):
                tally.errors += 1
            else:
                order = before + len(found)
                piece = self._piece(one, scope, asked, order, tally)
                found.append(piece)
                tally.secrets += piece.secrets
        tally.brought = len(found)
        return found

    def _counts(self, request: Request) -> bool:
        return policy.counts(request, self._settings, self.runtime.matched)

    def _is_wanted(self, status: int) -> bool:
        wanted = self._settings.record_errors
        listed = wanted == "all" or (not isinstance(wanted, str) and status in wanted)
        return status < 400 or self._keep_errors or listed

    def _piece(
        self, one: Exchange, scope: Scope, numbers: Counter[str], order: int, tally: Tally
    ) -> Piece:
        request = one.request
        api = identify(request, self._settings.hosts)
        if api.name == "anthropic" and not request.header(_ANTHROPIC_VERSION[0]):
            # Its SDKs always send it, and some suites' serializers take it out.
            request = replace(request, headers=(*request.headers, _ANTHROPIC_VERSION))
        if api.family == "anthropic" and "beta=true" in request.parts.query:
            tally.betas += not request.header("anthropic-beta")
        redactor = self.runtime.redactor(self._settings, request)
        record = key_record(request, api.name, self._rules, redactor.text)
        numbers[record.key] += 1
        asked = Asked(
            request=request,
            api=api,
            provider=provider_for(api.family),
            record=record,
            scope=scope,
            mode=Mode.FALLBACK,
            repeat="each",
            number=numbers[record.key],
            order=order,
            began=0.0,
        )
        heard = _heard(one, asked)
        # The same file gives the same bytes, whenever and wherever it is read.
        run = digest_of(f"{CASSETTE} {tally.path}".encode())[:8]
        answer, _ = answer_of(asked, heard, run, redactor)
        answer = replace(answer, provenance=_provenance(one, asked, answer, tally.path))
        parts = {digest: (part.ext, part.data) for digest, part in record.parts.items()}
        recording = Recording(record.data, answer, parts)
        digest, files = recording.files()
        refuse_secrets(asked, digest, files, redactor)
        secrets = len(record.redacted) + (answer.response.body != heard.response.body)
        return Piece(recording, digest, files, said(answer), secrets)


def said(answer: Answer) -> str:
    """A digest of status and body, equal for answers that a program cannot tell apart."""
    return digest_of(f"{answer.response.status}\n".encode() + answer.response.body)


def _keys(pieces: Sequence[Piece]) -> list[str]:
    return [piece.recording.answer.key for piece in pieces]


def _heard(one: Exchange, asked: Asked) -> Heard:
    """The response as a recorder would have heard it, in one piece."""
    found: list[Heard] = []
    recorder = Recorder(asked.provider, store=found.append, give_up=lambda _error: None)
    recorder.head(one.status, one.answer_headers)
    if one.answer:
        recorder.chunk(one.answer)
    recorder.end()
    heard, seconds = found[0], one.seconds or 0.0
    chunks = tuple(Chunk(chunk.length, seconds) for chunk in heard.response.chunks)
    response = replace(heard.response, chunks=chunks)
    return replace(heard, response=response, first_byte=seconds, seconds=seconds)


def _provenance(one: Exchange, asked: Asked, answer: Answer, path: str) -> dict[str, Any]:
    """What is known of the recording; when it was made, and not when it was brought here."""
    found = dict(answer.provenance)
    found["recorded_at"] = one.recorded_at or _made_at(asked, answer)
    if one.seconds is None:
        del found["latency_ms"], found["first_byte_ms"]
    found[CASSETTE] = path
    return {name: value for name, value in found.items() if value != ""}


def _made_at(asked: Asked, answer: Answer) -> str:
    """When the provider says that it made the answer; empty where it does not."""
    response = answer.response
    message = asked.provider.message(response.body, header(response.headers, "content-type"))
    if not isinstance(message, dict):
        return ""
    when = message.get("created") or message.get("created_at")
    if isinstance(when, bool) or not isinstance(when, (int, float)):
        return ""
    try:
        return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return ""
