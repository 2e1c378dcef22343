"""A request's body as a conversation: who said what, for people to read.

Pure and total: reads the shapes of chat completions, Responses, Messages and generateContent, and
shows anything else as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cas_llm.providers.lines import call
from cas_llm.providers.reading import at, items, mapping, mappings, string

_SYSTEM = ("system", "instructions", "systemInstruction", "system_instruction")
_TALK = ("messages", "input", "contents", "prompt", "query")
_QUIET = frozenset({"model", "stream", *_SYSTEM, *_TALK, "tools"})


@dataclass(frozen=True)
class Said:
    """One turn of a conversation."""

    role: str
    text: str


def conversation(body: Any) -> tuple[Said, ...]:
    """The turns of the request *body*, instructions first."""
    request = mapping(body)
    turns = [Said("system", text) for name in _SYSTEM if (text := _text(request.get(name)))]
    for name in _TALK:
        if name in request:
            turns += _turns(request[name])
    if turns:
        return tuple(turns)
    return (Said("body", _json(body)),) if body is not None else ()


def options(body: Any) -> tuple[tuple[str, str], ...]:
    """What else the request asks for: temperature, limits, the names of its tools."""
    request = mapping(body)
    if not conversation(body) or conversation(body)[0].role == "body":
        return ()
    found = [(name, _json(value)) for name, value in request.items() if name not in _QUIET]
    if request.get("stream"):
        found.insert(0, ("stream", "true"))
    names = [_tool_name(tool) for tool in mappings(request.get("tools"))]
    if names:
        found.append(("tools", ", ".join(names)))
    return tuple(found)


def _turns(value: Any) -> list[Said]:
    if isinstance(value, str):
        return [Said("user", value)]
    turns = []
    for item in items(value):
        if isinstance(item, str):
            turns.append(Said("user", item))
        elif isinstance(item, dict):
            turns.append(_turn(item))
        else:
            return [Said("user", _json(value))]
    return turns


def _turn(item: dict[str, Any]) -> Said:
    kind = string(item.get("type"))
    if kind.endswith("_call"):
        return Said("assistant", call(item.get("name") or kind, item.get("arguments")))
    if kind.endswith("_output"):
        return Said("tool", _text(item.get("output")))
    content = item.get("content", item.get("parts"))
    blocks = [_text(content)]
    blocks += [
        call(at(made, "function", "name"), at(made, "function", "arguments"))
        for made in mappings(item.get("tool_calls"))
    ]
    text = "\n".join(block for block in blocks if block)
    return Said(string(item.get("role")) or "user", text or _json(item))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _text(content.get("parts")) or _part(content)
    return "\n".join(filter(None, (_part(part) for part in items(content))))


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    shape = mapping(part)
    text = string(shape.get("text"))
    if text:
        return text
    made = shape if shape.get("type") == "tool_use" else mapping(shape.get("functionCall"))
    if made:
        return call(made.get("name"), made.get("input", made.get("args")))
    if shape.get("type") == "tool_result":
        return f"tool: {_text(shape.get('content'))}"
    kind = string(shape.get("type"))
    return f"[{kind}]" if kind and kind != "text" else _json(shape) if shape else ""


def _tool_name(tool: dict[str, Any]) -> str:
    named = string(tool.get("name")) or string(at(tool, "function", "name"))
    declared = [string(item.get("name")) for item in mappings(tool.get("functionDeclarations"))]
    return named or ", ".join(declared) or string(tool.get("type")) or "?"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
