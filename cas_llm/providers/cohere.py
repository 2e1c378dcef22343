"""The Cohere family: chat (version 2, and what version 1 shares), embeddings, reranking.

Pure.
"""

from __future__ import annotations

from typing import Any

import orjson

from cas_llm.providers.base import Generic, Usage, last_turns, text_parts
from cas_llm.providers.lines import call, encodable, failure, media, tool_result
from cas_llm.providers.reading import at, items, mapping, mappings, number, parse, string
from cas_llm.streams.sse import Event

_NORMAL_FINISH = {"", "COMPLETE", "TOOL_CALL", "STOP_SEQUENCE"}
_LAST_EVENTS = {"message-end", "stream-end"}


class Cohere(Generic):
    """See the module."""

    family = "cohere"
    noise: tuple[str, ...] = (
        "$.id",
        "$.response_id",
        "$.generation_id",
        "$.message.tool_calls[*].id",
    )

    def asked(self, body: Any) -> list[str]:
        """The blocks of `ask`: chat turns, or the texts to embed, rank or count."""
        request = mapping(body)
        turns = last_turns(items(request.get("messages")))
        if turns:
            return [_turn(turn) for turn in turns]
        texts = [entry for entry in items(request.get("texts")) if isinstance(entry, str)]
        single = [string(request.get(name)) for name in ("message", "query", "text")]
        inputs = [text_parts(entry.get("content")) for entry in mappings(request.get("inputs"))]
        return [*single, *texts, *inputs]

    def assemble(self, chunks: list[dict[str, Any]]) -> Any:
        """The answer that the events build up, as far as they came."""
        answer: dict[str, Any] = {}
        content: dict[int, dict[str, Any]] = {}
        calls: dict[int, dict[str, Any]] = {}
        plan = ""
        for chunk in chunks:
            kind = string(chunk.get("type"))
            index = number(chunk.get("index"))
            delta = at(chunk, "delta", "message")
            if kind == "message-start":
                answer = {"id": chunk.get("id"), "message": dict(mapping(delta))}
            elif kind in {"content-start", "content-delta"}:
                _add_content(content.setdefault(index, {}), mapping(at(delta, "content")))
            elif kind in {"tool-call-start", "tool-call-delta"}:
                _add_call(calls.setdefault(index, {}), mapping(at(delta, "tool_calls")))
            elif kind == "tool-plan-delta":
                plan += string(at(delta, "tool_plan"))
            elif kind == "message-end":
                answer.update(mapping(chunk.get("delta")))
            elif kind == "stream-end":
                return chunk.get("response")
        message = dict(mapping(answer.get("message")))
        message["content"] = [content[place] for place in sorted(content)]
        message["tool_calls"] = [calls[place] for place in sorted(calls)]
        if plan:
            message["tool_plan"] = plan
        return {**answer, "message": message} if chunks else None

    def answered(self, message: Any) -> list[str]:
        """The blocks of `answer`; an error is a bare ``message``."""
        body = mapping(message)
        if isinstance(body.get("message"), str):
            return [failure({"error": body["message"]})]
        shown = [self.text(body)]
        for made in mappings(at(body, "message", "tool_calls")):
            function = mapping(made.get("function"))
            shown.append(call(function.get("name"), function.get("arguments")))
        finish = string(body.get("finish_reason"))
        if finish not in _NORMAL_FINISH:
            shown.append(f"finish: {finish}")
        for name, word in (
            ("embeddings", "embeddings"),
            ("results", "ranks"),
            ("tokens", "tokens"),
        ):
            if body.get(name):
                value = body[name]
                lists = [v for v in mapping(value).values() if isinstance(v, list)]
                shown.append(f"[{len(lists[0] if lists else items(value))} {word}]")
        return shown

    def usage(self, message: Any) -> Usage | None:
        """The billed units, which leave out what Cohere adds to the prompt itself."""
        body = mapping(message)
        usage = body.get("usage") or body.get("meta")
        told = at(usage, "billed_units") or at(usage, "tokens")
        if not isinstance(told, dict):
            return None
        return Usage(
            input=number(told.get("input_tokens")),
            output=number(told.get("output_tokens")),
        )

    def ends_stream(self, event: Event) -> bool:
        """Whether *event* is ``message-end`` (``stream-end`` in version 1)."""
        if event.event:
            return event.event in _LAST_EVENTS
        return event.data.strip() == "[DONE]" or (
            string(at(parse(event.data), "type")) in _LAST_EVENTS
        )

    def error(self, status: int, message: str) -> bytes:  # noqa: ARG002  # the body has no status
        """An error body with the one member that Cohere's have."""
        return orjson.dumps({"message": encodable(message)})

    def text(self, message: Any) -> str:
        """The text of the message's content."""
        body = mapping(message)
        return text_parts(at(body, "message", "content")) or string(body.get("text"))


def _turn(turn: dict[str, Any]) -> str:
    content = turn.get("content")
    if turn.get("role") == "tool":
        data = [at(part, "document", "data") for part in mappings(content)]
        found = "".join(part for part in data if isinstance(part, str))
        return tool_result(text_parts(content) or found or content)
    pictures = [media("image") for p in mappings(content) if p.get("type") == "image_url"]
    return text_parts(content) + "".join(pictures)


def _add_content(known: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if name in {"text", "thinking"}:
            known[name] = string(known.get(name)) + string(value)
        else:
            known[name] = value


def _add_call(known: dict[str, Any], delta: dict[str, Any]) -> None:
    known.update({k: v for k, v in delta.items() if k != "function"})
    function = dict(mapping(known.get("function")))
    for name, value in mapping(delta.get("function")).items():
        more = name == "arguments" and isinstance(function.get(name), str)
        function[name] = function[name] + string(value) if more else value
    known["function"] = function
