"""The scripted provider's answers in Gemini's shapes."""

from __future__ import annotations

import json
import re
from typing import Any

from support.provider import Received, Reply
from support.shapes import Files, instance, says, text_in, usage_of, words


def generate(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """Generated content, whole, as a JSON array or as an event stream."""
    asked = received.json
    parts = (asked.get("contents") or [{}])[-1].get("parts") or []
    said = says(received, parts)
    tools = [
        tool for group in asked.get("tools") or () for tool in group.get("functionDeclarations", ())
    ]
    config = asked.get("generationConfig") or {}
    if schema := config.get("responseSchema") or config.get("responseJsonSchema"):
        said = json.dumps(instance(schema, said, received.number))
    pieces: list[dict[str, Any]] = [{"text": piece} for piece in words(said)]
    if tools and not any("functionResponse" in part for part in parts):
        schema = tools[0].get("parameters") or tools[0].get("parametersJsonSchema") or {}
        given = instance(schema, said, received.number)
        pieces = [{"functionCall": {"name": tools[0]["name"], "args": given}}]
    sent, got = usage_of(text_in(parts), said)
    usage = {"promptTokenCount": sent, "candidatesTokenCount": got, "totalTokenCount": sent + got}

    def chunk(some: list[dict[str, Any]], *, last: bool) -> dict[str, Any]:
        candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": some}}
        head = {"modelVersion": match["model"], "responseId": f"gemini-{received.number}"}
        if last:
            candidate["finishReason"] = "STOP"
            head["usageMetadata"] = usage
        return {"candidates": [candidate], **head}

    if match["verb"] == "generateContent":
        whole = [{"text": said}] if "text" in pieces[0] else pieces
        return Reply.of(chunk(whole, last=True))
    events = [chunk([piece], last=piece is pieces[-1]) for piece in pieces]
    return Reply.sse(events) if dict(received.query).get("alt") == "sse" else Reply.of(events)


def embed(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """A vector for each request of a batch."""
    wanted = range(len(received.json.get("requests") or ()))
    vectors = [{"values": [received.number / 8, index / 8, 0.125, -0.5]} for index in wanted]
    return Reply.of({"embeddings": vectors})
