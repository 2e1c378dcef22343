"""What is peculiar to one API family, as a contract, and the family of everything unknown.

Pure: a provider reads values and returns values. It never raises on anything a server or a client
may have sent, and it never looks at a clock, a file or the environment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from cas_llm.providers.lines import display, encodable, failure, tool_result
from cas_llm.providers.reading import at, items, mapping, mappings, parse, string
from cas_llm.streams.sse import Event, parse_events


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one call.

    `input` counts every input token, those in `cached_input` and `cache_write` included; `output`
    every output token, those in `reasoning` included.
    """

    input: int = 0
    output: int = 0
    cached_input: int = 0
    reasoning: int = 0
    cache_write: int = 0


class Provider(Protocol):
    """What cas-llm must know about one API family.

    A *body* is a request's parsed JSON; a *message* is what `message` returned for an answer.
    Every method takes any value and answers with an empty one where it finds nothing.
    """

    family: str
    noise: tuple[str, ...]
    """JSON paths of an answer that differ from call to call without meaning."""

    def requested_model(self, body: Any, path: str) -> str:
        """The model that the request names, or an empty string."""

    def ask(self, body: Any) -> tuple[str, ...]:
        """What is new in the request: the last user turn or the tool results, as display lines."""

    def message(self, body: bytes, content_type: str) -> Any:
        """The parsed answer; a stream in the shape of the non-stream answer; None if neither."""

    def answer(self, message: Any) -> tuple[str, ...]:
        """Text, tool calls, refusal, an unusual finish reason, or the error, as display lines."""

    def usage(self, message: Any) -> Usage | None:
        """The tokens used, or None where the answer doesn't say."""

    def resolved_model(self, message: Any) -> str:
        """The model that answered, or an empty string."""

    def ends_stream(self, event: Event) -> bool:
        """Whether *event* is the last of its stream."""

    def error(self, status: int, message: str) -> bytes:
        """An error body that makes the family's SDKs raise with *message* visible."""

    def text(self, message: Any) -> str:
        """What the assistant said, without thoughts and tool calls."""


def is_stream(body: bytes, content_type: str) -> bool:
    """Whether *body* is server-sent events, by its type or, where that is silent, its start."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return True
    return kind in {"", "text/plain"} and body[:16].lstrip().startswith((b"data:", b"event:"))


def payloads(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The JSON objects among the data of *events*; cut-off and other ones are left out."""
    parsed = (parse(event.data) for event in events if event.data.lstrip().startswith("{"))
    return [value for value in parsed if isinstance(value, dict)]


def last_turns(messages: list[Any], own: Iterable[str] = ("assistant",)) -> list[dict[str, Any]]:
    """The messages after the last one of the assistant's, less instructions.

    Where that leaves nothing, the last message of the user's.
    """
    turns: list[dict[str, Any]] = []
    mine = set(own)
    talk = mappings(messages)
    for message in reversed(talk):
        role = string(message.get("role"))
        if role in mine:
            break
        if role not in {"system", "developer"}:
            turns.append(message)
    turns.reverse()
    return turns or [m for m in talk if m.get("role") == "user"][-1:]


class Generic:
    """The fallback: reads what most APIs have in common, and the base the families derive from.

    A family says what was `asked` and what was `answered`, block by block, and how to `assemble`
    a stream.
    """

    family = "http"
    noise: tuple[str, ...] = ("$.id", "$.created", "$.created_at", "$.request_id")

    def requested_model(self, body: Any, path: str) -> str:  # noqa: ARG002  # families read it
        """See `Provider.requested_model`."""
        return string(at(body, "model"))

    def ask(self, body: Any) -> tuple[str, ...]:
        """See `Provider.ask`."""
        return display(self.asked(body))

    def asked(self, body: Any) -> list[str]:
        """The blocks of `ask`."""
        turns = last_turns(items(at(body, "messages")))
        if turns:
            return [
                tool_result(turn.get("content"))
                if turn.get("role") in {"tool", "function"}
                else text_parts(turn.get("content"))
                for turn in turns
            ]
        names = ("prompt", "input", "message", "query", "text", "inputs")
        return [string(at(body, name)) for name in names]

    def message(self, body: bytes, content_type: str) -> Any:
        """See `Provider.message`."""
        try:
            if is_stream(body, content_type):
                return self.assemble(payloads(parse_events(body)))
            return self.whole(parse(body))
        except RecursionError:
            return None

    def whole(self, value: Any) -> Any:
        """The answer that came as one JSON *value*."""
        return value

    def assemble(self, chunks: list[dict[str, Any]]) -> Any:  # noqa: ARG002  # families read them
        """The non-stream answer that the *chunks* of a stream amount to, or None."""
        return None

    def answer(self, message: Any) -> tuple[str, ...]:
        """See `Provider.answer`."""
        return display([*self.answered(message), failure(message)])

    def answered(self, message: Any) -> list[str]:
        """The blocks of `answer`."""
        return [self.text(message)]

    def usage(self, message: Any) -> Usage | None:  # noqa: ARG002  # families read it
        """See `Provider.usage`."""
        return None

    def resolved_model(self, message: Any) -> str:
        """See `Provider.resolved_model`."""
        return string(at(message, "model"))

    def ends_stream(self, event: Event) -> bool:
        """See `Provider.ends_stream`."""
        return event.data.strip() == "[DONE]"

    def error(self, status: int, message: str) -> bytes:
        """See `Provider.error`."""
        return orjson.dumps({"error": {"message": encodable(message), "code": status}})

    def text(self, message: Any) -> str:
        """See `Provider.text`."""
        body = mapping(message)
        for name in ("text", "response", "output", "content", "message"):
            found = text_parts(body.get(name)) or text_parts(at(body.get(name), "content"))
            if found:
                return found
        return ""


def text_parts(content: Any) -> str:
    """The text of a string, or of a list of strings and of parts that hold ``text``."""
    if isinstance(content, str):
        return content
    return "".join(
        part if isinstance(part, str) else string(at(part, "text")) for part in items(content)
    )
