"""From a finished live call to an answer on disk: redact, look once more for secrets, write.

What was read for the reviewer (ask, answer) comes from what is stored, never from what came in.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cas_llm import prices
from cas_llm.errors import SecretFound
from cas_llm.providers import PYTHON
from cas_llm.providers.base import Usage
from cas_llm.redact import Redactor
from cas_llm.redact.scan import find_secret, scan_for_secrets
from cas_llm.session import families
from cas_llm.session.asked import Asked
from cas_llm.session.encodings import decoder_for
from cas_llm.session.recorder import Heard
from cas_llm.session.runs import Told
from cas_llm.session.runtime import Runtime
from cas_llm.session.scopes import Kind, Use
from cas_llm.store import Answer, Recording, Shared, layout
from cas_llm.wire import Response


@dataclass(frozen=True)
class Kept:
    """A stored answer and what it cost; `cost` is None where the price is unknown."""

    digest: str
    answer: Answer
    cost: float | None


def cost_of(asked: Asked, message: Any) -> tuple[Usage | None, float | None]:
    """The tokens of an answer and their price in US dollars."""
    if asked.api is PYTHON:
        return None, 0.0
    usage = asked.provider.usage(message)
    if usage is None:
        return None, 0.0 if asked.api.name.endswith("@loopback") else None
    model = asked.provider.resolved_model(message) or asked.model
    return usage, prices.price(asked.api.name, model, usage)


def keep(asked: Asked, heard: Heard, runtime: Runtime, redactor: Redactor) -> Kept:
    """Store what was heard for this ask, pending where its scope must pass first.

    Raises:
        SecretFound: something that would be written looks like a secret; nothing was written.
        StoreError: the store cannot be written.

    """
    if not asked.scope.staged:
        # The answer says under which ordinal it is named.
        asked = asked._replace(number=shared_entry(asked, "", runtime).ordinal)
    answer, cost = answer_of(asked, heard, runtime.run.id, redactor)
    digest = write(asked, answer, runtime, redactor)
    return Kept(digest, answer, cost)


def write(asked: Asked, answer: Answer, runtime: Runtime, redactor: Redactor) -> str:
    """Write *answer* and name it: in the pending folder, or in the store as a shared entry."""
    parts = {digest: (part.ext, part.data) for digest, part in asked.record.parts.items()}
    recording = Recording(asked.record.data, answer, parts)
    digest, files = recording.files()
    refuse_secrets(asked, digest, files, redactor)
    scope, store, run = asked.scope, runtime.store, runtime.run
    if scope.staged:
        store.pending.stage(
            run.id,
            scope=scope.name,
            key=asked.key,
            ordinal=asked.number,
            digest=digest,
            captured=asked.mode.name == "CAPTURE",
            files=files,
        )
    else:
        store.prepare()
        store.write(files)
        store.add_shared(shared_entry(asked, digest, runtime))
    captured = asked.mode.name == "CAPTURE"
    told = Told(asked.number, digest, scope.name, scope.attempt, captured)
    run.tell(asked.key, told)
    return digest


def shared_entry(asked: Asked, digest: str, runtime: Runtime) -> Shared:
    """The shared entry for an answer: a new take in CAPTURE, else one more of the take in use."""
    append = asked.mode.name != "CAPTURE"
    return runtime.shared_entry(asked.key, asked.number, digest, append=append)


def note(
    asked: Asked,
    digest: str,
    ordinal: int,
    answer: Answer,
    runtime: Runtime,
    *,
    fresh: bool,
    tape: str = "",
) -> Use:
    """Note in the scope that it was given this answer; a child process tells its parent too."""
    use = Use(
        order=asked.order,
        key=asked.key,
        ordinal=ordinal,
        digest=digest,
        ask=answer.ask,
        answer=answer.answer,
        fresh=fresh,
        body=asked.record.body if asked.mode.records else None,
        tape=tape,
    )
    asked.scope.use(use)
    if asked.scope.joined:
        families.tell_use(runtime.run, asked.scope, use)
    return use


def answer_of(
    asked: Asked, heard: Heard, run: str, redactor: Redactor
) -> tuple[Answer, float | None]:
    """What was heard as the answer that *run* would store, and what it cost; writes nothing.

    Raises:
        SecretFound: the body stays encoded and hides a secret.

    """
    response = heard.response
    kind = response.header("content-type")
    _refuse_encoded_secret(response, redactor)
    body, chunks, findings = redactor.body(response.body, kind, response.chunks)
    headers = redactor.headers(response.headers)
    response = replace(response, body=body, chunks=chunks, headers=headers)
    message = asked.provider.message(body, kind)
    usage, cost = cost_of(asked, message)
    marks = [
        *(["incomplete"] if response.incomplete else []),
        *(["redacted"] if findings or asked.record.redacted else []),
    ]
    scope = asked.scope
    answer = Answer(
        key=asked.key,
        response=response,
        run=run,
        ordinal=asked.number,
        test="" if scope.kind is Kind.SHARED else scope.name,
        ask=asked.ask,
        answer=asked.provider.answer(message),
        provenance=_provenance(asked, heard, message, usage, cost, redactor=redactor),
        marks=tuple(marks),
    )
    return answer, cost


def refuse_secrets(
    asked: Asked, answer: str, files: Mapping[str, bytes], redactor: Redactor
) -> None:
    """Fail closed on all text that would be written, and on the name its tape would get.

    Raises:
        SecretFound: one of them holds what looks like a secret; says where.

    """
    scope = asked.scope
    if scope.kind is not Kind.SHARED:
        refuse_named_secret(scope.name, redactor)
    for name, data in files.items():
        try:
            data.decode()
        except UnicodeDecodeError:
            continue
        if name.endswith(f"{answer[2:]}.json"):
            where = "the answer"
        elif name.startswith(layout.REQUESTS):
            where = "the request"
        else:
            where = f"a part of the request or the answer (.{name.rpartition('.')[2]})"
        scan_for_secrets(data, where=where, redactor=redactor)


def refuse_named_secret(name: str, redactor: Redactor) -> None:
    """Refuse to name a file after a scope whose name holds a secret.

    Raises:
        SecretFound: it does; says how to name the test.

    """
    found = redactor.find(name) or find_secret(name.encode("utf-8", "replace"))
    if found is not None:
        raise SecretFound(
            f"the test's name holds a secret ({found.kind}), and its tape would be named after it; "
            "nothing was written. Give the parameter a name of its own: "
            'pytest.param(..., id="...")',
            path="test",
            kind=found.kind,
        )


def _refuse_encoded_secret(response: Response, redactor: Redactor) -> None:
    """Fail closed where a body that stays encoded, as its reader wants it, hides a secret."""
    decoder = decoder_for(response.header("content-encoding"))
    if decoder is None:
        return
    try:
        plain = decoder.feed(response.body) + decoder.finish()
    except Exception:  # noqa: BLE001 - cut short or damaged: there is no text to find it in
        return
    text = plain.decode("utf-8", "replace")
    if redactor.text(text) != text:
        raise SecretFound(
            "the answer's encoded body holds a secret, and taking it out would change the "
            "encoding; nothing was written. Ask for a plain body: accept-encoding: identity",
            path="body",
            kind="encoded",
        )


def _provenance(
    asked: Asked,
    heard: Heard,
    message: Any,
    usage: Usage | None,
    cost: float | None,
    *,
    redactor: Redactor,
) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "recorded_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "requested_model": asked.model,
        "model": asked.provider.resolved_model(message),
        "usage": _usage(usage),
        "cost_usd": None if cost is None else round(cost, 9),
        "latency_ms": round(heard.seconds * 1000, 1),
        "first_byte_ms": round(heard.first_byte * 1000, 1),
        "recorder": f"cas-llm/{_version()}",
        "sdk": redactor.text(asked.request.header("user-agent")),
    }
    return {name: value for name, value in found.items() if value not in ("", None)}


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    counts = {
        "input": usage.input,
        "output": usage.output,
        "cached_input": usage.cached_input,
        "reasoning": usage.reasoning,
    }
    return {name: count for name, count in counts.items() if count}


@functools.cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cas-llm")
    except PackageNotFoundError:
        return "unknown"
