"""`cas-llm show`: a request with its answers, or a scope's tape, for people."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli import naming, prompts
from cas_llm.cli.hints import shown
from cas_llm.cli.options import JsonOption, StoreOption, opened
from cas_llm.errors import CasLLMError
from cas_llm.keys import load_record, restore
from cas_llm.session.catalogue import Entry, age_text, catalogue, latest_tape
from cas_llm.session.nearest import part_loader

if TYPE_CHECKING:
    from cas_llm.store import Answer, Store, Tape


@dataclass(frozen=True)
class Reply:
    """One answer: where it is named, what it says, its bytes."""

    entry: Entry
    answer: Answer
    text: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Exchange:
    """A request, its parts put back in, and all its answers, the current ones first."""

    key: str
    record: dict[str, Any]
    body: Any
    replies: tuple[Reply, ...]


def exchange(store: Store, key: str, digest: str = "") -> Exchange:
    """The request *key* with its answers; only the answer *digest* where one is given."""
    record, body = request_of(store, key)
    entries = [e for e in catalogue(store).entries if e.key == key and digest in {"", e.digest}]
    if not entries and digest:
        entries = [_unnamed(store, key, digest)]
    entries.sort(key=lambda entry: (not entry.current, *_place(entry)))
    return Exchange(key, record, body, tuple(_reply(store, entry) for entry in entries))


def request_of(store: Store, key: str) -> tuple[dict[str, Any], Any]:
    """The key record of *key*, and the body it stands for with its texts put back in."""
    record = load_record(store.objects.get_request(key))
    load = part_loader(store, {})
    form = next((name for name in ("body", "multipart", "form", "bytes") if name in record), "")
    return record, restore(record[form], load) if form else None


def prompt_text(store: Store, key: str) -> str:
    """All that was said in the request *key*, on lines."""
    _, body = request_of(store, key)
    return "\n".join(turn.text for turn in prompts.conversation(body))


def raw(store: Store, named: naming.Named) -> bytes:
    """The body of the one answer that *named* names, byte for byte.

    Raises:
        CasLLMError: it names several; lists their digests.

    """
    if named.digest:
        return store.load(named.digest).response.body
    if named.tapes:
        tape = latest_tape(named.tapes)
        digests = [turn.digest for turn in tape.turns] if tape else []
    else:
        held = catalogue(store).entries
        digests = [e.digest for e in held if e.key == named.key and e.current]
    found = list(dict.fromkeys(digests))
    if len(found) != 1:
        listed = "".join(f"\n  cas-llm show {naming.short(digest)} --raw" for digest in found)
        raise CasLLMError(f"{len(found)} answers, and --raw prints one; choose it:{listed}")
    return store.load(found[0]).response.body


def document(shown: Exchange) -> dict[str, Any]:
    """An exchange as JSON."""
    return {
        "key": shown.key,
        "request": {**shown.record, **({"body": shown.body} if "body" in shown.record else {})},
        "answers": [_reply_document(reply) for reply in shown.replies],
    }


def tape_document(tape: Tape, store: Store) -> dict[str, Any]:
    """A tape as JSON."""
    return {
        "scope": tape.scope,
        "take": tape.take,
        "source": tape.source,
        "path": tape.path(store.root).as_posix(),
        "turns": [
            {
                "key": turn.key,
                "digest": turn.digest,
                "ask": list(turn.ask),
                "answer": list(turn.answer),
            }
            for turn in tape.turns
        ],
    }


def show(
    name: Annotated[
        str, typer.Argument(metavar="KEY|TEST", help="A key or digest, a test id, a tape's file.")
    ],
    raw_body: Annotated[
        bool, typer.Option("--raw", help="Print the answer's body, byte for byte.")
    ] = False,
    request: Annotated[
        bool, typer.Option("--request", help="Print the key record, byte for byte.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a request and its answers, or what a test asked and was answered.

    KEY is a key or the digest of an answer, of which 4 hex digits are enough.
    """
    from cas_llm.cli.output import print_json

    place = opened(store)
    named = naming.find(place, name)
    if raw_body:
        _write(raw(place, named))
    elif named.tapes and not request:
        tape = latest_tape(named.tapes)
        if tape is not None:
            print_json(tape_document(tape, place)) if as_json else _print_tape(tape, named, place)
    else:
        key = named.key or (place.load(named.digest).key if named.digest else "")
        if not key:
            raise CasLLMError("--request shows one request; give its key, as cas-llm show lists it")
        if request:
            _write(place.objects.get_request(key))
            return
        shown = exchange(place, key, named.digest)
        print_json(document(shown)) if as_json else _print_exchange(shown)


def _unnamed(store: Store, key: str, digest: str) -> Entry:
    answer = store.load(digest)
    return Entry(
        key=key,
        digest=digest,
        namings=(),
        model=str(answer.provenance.get("model", "")),
        recorded_at=str(answer.provenance.get("recorded_at", "")),
        status=answer.response.status,
        cost=answer.provenance.get("cost_usd"),
        usage=answer.provenance.get("usage") or {},
        answer=answer.answer,
        marks=answer.marks,
    )


def _place(entry: Entry) -> tuple[str, int, int, str]:
    if not entry.namings:
        return "", 0, 0, entry.digest
    first = min(entry.namings, key=lambda naming: (naming.scope, naming.take, naming.ordinal))
    return first.scope, first.take, first.ordinal, entry.digest


def _reply(store: Store, entry: Entry) -> Reply:
    from cas_llm.providers import Generic, provider_for

    answer = store.load(entry.digest)
    record = load_record(store.objects.get_request(entry.key))
    provider = provider_for(str(record["api"]).partition("@")[0])
    response = answer.response
    message = provider.message(response.body, response.header("content-type"))
    text = provider.text(message)
    blocks = provider.answered(message) if isinstance(provider, Generic) else []
    rest = tuple(block for block in blocks if block.strip() and block != text)
    return Reply(entry, answer, text, rest if text or rest else answer.answer)


def _reply_document(reply: Reply) -> dict[str, Any]:
    response = reply.answer.response
    return {
        "digest": reply.entry.digest,
        "current": reply.entry.current,
        "named_by": [
            {"scope": n.scope, "take": n.take, "ordinal": n.ordinal, "current": n.current}
            for n in reply.entry.namings
        ],
        "status": response.status,
        "headers": [list(pair) for pair in response.headers],
        "text": reply.text,
        "answer": list(reply.lines),
        "provenance": dict(reply.answer.provenance),
        "marks": list(reply.answer.marks),
        "bytes": len(response.body),
        "chunks": len(response.chunks),
    }


def _write(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _print_exchange(shown: Exchange) -> None:
    from cas_llm.cli.output import say

    record = shown.record
    say(f"{record['method']} {record['api']} {record['path']}   key {naming.short(shown.key)}")
    body = shown.body
    facts = [f"{name}={value}" for name, value in prompts.options(body)]
    model = body.get("model") if isinstance(body, dict) else ""
    say("   ".join([str(model or ""), *facts]).strip(), "dim")
    for turn in prompts.conversation(body):
        _print_said(turn.role, turn.text)
    for reply in shown.replies:
        _print_reply(reply, alone=len(shown.replies) == 1)
    if not shown.replies:
        say("\nno answer is named by a tape or a shared entry; waiting ones: cas-llm pending")


def _print_said(role: str, text: str) -> None:
    from cas_llm.cli.output import say

    say()
    say(role, "bold")
    for line in text.splitlines() or [""]:
        say(f"  {line}")


def _print_reply(reply: Reply, *, alone: bool) -> None:
    from cas_llm.cli.output import say

    entry = reply.entry
    title = "answer" if alone else f"answer {naming.short(entry.digest)}"
    _print_said(title + ("" if entry.current or alone else "   (superseded)"), reply.text)
    for line in "\n".join(reply.lines).splitlines():
        say(f"  {line}")
    say(f"  {_facts(reply)}", "dim")
    for place in entry.namings:
        state = "" if place.current else ", superseded"
        say(f"  {place.scope}: take {place.take}, ask {place.ordinal}{state}", "dim")


def _facts(reply: Reply) -> str:
    from cas_llm.prices import money

    entry, response = reply.entry, reply.answer.response
    facts = [naming.short(entry.digest), f"status {response.status}", entry.model]
    if entry.usage:
        facts.append(f"{entry.usage.get('input', 0)} + {entry.usage.get('output', 0)} tokens")
    facts.append(f"cost {money(entry.cost)}")
    latency = reply.answer.provenance.get("latency_ms")
    if latency is not None:
        facts.append(f"{latency / 1000:.1f} s live")
    if response.chunks:
        facts.append(f"{len(response.chunks)} chunks")
    if entry.recorded_at:
        facts.append(f"recorded {entry.recorded_at} ({age_text(entry.when, datetime.now(UTC))})")
    return "   ".join(filter(None, [*facts, *entry.marks]))


def _print_tape(tape: Tape, named: naming.Named, store: Store) -> None:
    from cas_llm.cli.output import counted, say

    turns = counted(len(tape.turns), "turn")
    say(f"{tape.scope}   take {tape.take}, {turns}", "bold")
    say(shown(tape.path(store.root)), "dim")
    for number, turn in enumerate(tape.turns, 1):
        say()
        say(f"{number}  key {naming.short(turn.key)}   answer {naming.short(turn.digest)}", "dim")
        for sign, lines in ((">", turn.ask), ("<", turn.answer)):
            for line in lines:
                say(f"  {sign} {line}")
    if others := [other for other in named.tapes if other.digest != tape.digest]:
        say(f"\nnot shown here: {_takes(others, tape)}", "dim")


def _takes(others: list[Tape], chosen: Tape) -> str:
    """The takes beside the *chosen* one, the highest first, and which of them tie with it."""
    rank = (chosen.source, chosen.take)
    ordered = sorted(others, key=lambda one: (-one.take, one.digest))
    return ", ".join(
        f"take {one.take}{' (ties)' if (one.source, one.take) == rank else ''}" for one in ordered
    )
