"""The scripted provider's answers in the shapes of Cohere's version 2."""

from __future__ import annotations

import json
import re
from typing import Any

from support.provider import Received, Reply
from support.shapes import Files, instance, says, text_in, usage_of, words


def chat(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """A chat message, whole or streamed."""
    asked = received.json
    last = (asked.get("messages") or [{}])[-1]
    said = says(received, last.get("content"))
    schema = (asked.get("response_format") or {}).get("json_schema")
    message: dict[str, Any] = {"role": "assistant"}
    if asked.get("tools") and last.get("role") != "tool":
        tool = asked["tools"][0]["function"]
        given = json.dumps(instance(tool.get("parameters") or {}, said, received.number))
        function = {"name": tool["name"], "arguments": given}
        message["tool_calls"] = [
            {"id": f"{tool['name']}_{received.number}", "type": "function", "function": function}
        ]
        message["tool_plan"] = said
    else:
        text = json.dumps(instance(schema, said, received.number)) if schema else said
        message["content"] = [{"type": "text", "text": text}]
    finish = "TOOL_CALL" if "tool_calls" in message else "COMPLETE"
    sent, got = usage_of(text_in(last.get("content")), said)
    tokens = {"input_tokens": sent, "output_tokens": got}
    usage = {"billed_units": tokens, "tokens": tokens}
    identity = f"cohere-{received.number}"
    if asked.get("stream"):
        ending = {"finish_reason": finish, "usage": usage}
        return Reply.sse(_events(identity, message, ending), named=True)
    whole = {"id": identity, "message": message, "finish_reason": finish, "usage": usage}
    return Reply.of(whole)


def _events(identity: str, message: Any, ending: Any) -> list[dict[str, Any]]:
    begun = {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}}
    events: list[dict[str, Any]] = [{"type": "message-start", "id": identity, "delta": begun}]

    def add(kind: str, **of_message: Any) -> None:
        place = {} if kind == "tool-plan-delta" else {"index": 0}
        events.append({"type": kind, **place, "delta": {"message": of_message}})

    for call in message.get("tool_calls", ()):
        for piece in words(message["tool_plan"]):
            add("tool-plan-delta", tool_plan=piece)
        add("tool-call-start", tool_calls=call | {"function": call["function"] | {"arguments": ""}})
        for piece in words(call["function"]["arguments"]):
            add("tool-call-delta", tool_calls={"function": {"arguments": piece}})
        events.append({"type": "tool-call-end", "index": 0})
    for part in message.get("content", ()):
        add("content-start", content=part | {"text": ""})
        for piece in words(part["text"]):
            add("content-delta", content={"text": piece})
        events.append({"type": "content-end", "index": 0})
    return [*events, {"type": "message-end", "id": identity, "delta": ending}]


def embed(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """A vector for each text."""
    texts = received.json.get("texts") or []
    vectors = [[received.number / 8, index / 8, 0.125, -0.5] for index in range(len(texts))]
    return Reply.of(
        {
            "id": f"cohere-{received.number}",
            "texts": texts,
            "embeddings": {"float": vectors},
            "response_type": "embeddings_by_type",
            "meta": {"billed_units": {"input_tokens": 3 * len(texts)}},
        }
    )
