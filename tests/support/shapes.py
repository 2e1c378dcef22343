"""What the answers of all families share: an echo, its pieces, and an instance of a schema."""

from __future__ import annotations

import re
from typing import Any

from support.provider import Received

CREATED = 1_760_000_000
"""A moment for answers to carry; requests count up from it."""

Files = dict[str, tuple[str, bytes]]
"""Uploaded files by id: name and bytes."""


def instance(schema: dict[str, Any], word: str, number: int, root: Any = None) -> Any:
    """The smallest value a JSON schema allows, with *word* for strings and *number* for numbers."""
    root = root or schema
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return instance(target, word, number, root)
    if "enum" in schema or "const" in schema:
        return schema.get("const", next(iter(schema.get("enum", [None]))))
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return instance(schema[choice][0], word, number, root)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    match kind.lower():
        case "object":
            members = schema.get("properties", {})
            return {name: instance(sub, word, number, root) for name, sub in members.items()}
        case "array":
            return [instance(schema.get("items", {"type": "string"}), word, number, root)]
        case "integer" | "number":
            return number
        case "boolean":
            return True
        case "null":
            return None
    return word


def text_in(content: Any) -> str:
    """The text in a message's content, whatever the family: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = [content] if isinstance(content, dict) else content or []
    return " ".join(
        text_in(part.get("text") or part.get("content") or part.get("output") or "")
        for part in parts
        if isinstance(part, dict)
    ).strip()


def says(received: Received, last: Any) -> str:
    """The text of every answer: the script's words, else the request's number and what was said."""
    if received.saying is not None:
        return received.saying
    return f"answer {received.number}: {text_in(last)}"


def words(text: str) -> list[str]:
    """*text* in pieces for a stream; together they are *text* again."""
    return re.findall(r"\S+\s*", text) or [""]


def usage_of(asked: str, said: str) -> tuple[int, int]:
    """Tokens in and out, roughly one a word."""
    return len(asked.split()) + 7, max(1, len(said.split()))
