"""The tool calls of an answer, as names and arguments, in whichever family's shape it came.

Pure and total: reads chat completions, Responses, Messages, generateContent, Converse and Cohere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cas_llm.keys import canonical
from cas_llm.keys.canonical import NotCanonical
from cas_llm.providers.lines import call as shown_call
from cas_llm.providers.lines import compact
from cas_llm.providers.reading import at, mapping, mappings, parse, string

_SHORT = 44


@dataclass(frozen=True)
class ToolCall:
    """A call the model asked for; `arguments` is an object, or the text that is none."""

    name: str
    arguments: Any

    @property
    def identity(self) -> tuple[str, bytes]:
        """Equal for calls that ask for the same."""
        try:
            return self.name, canonical(self.arguments)
        except (NotCanonical, TypeError, ValueError):
            return self.name, repr(self.arguments).encode("utf-8", "backslashreplace")

    def __str__(self) -> str:
        return shown_call(self.name, self.arguments)

    def beside(self, other: ToolCall | None) -> str:
        """The call in a few words; a long one shows what differs from the *other*, or nothing."""
        whole = str(self)
        if len(whole) <= _SHORT:
            return whole
        mine, theirs = mapping(self.arguments), mapping(other.arguments if other else None)
        parts = [f"{n}={compact(v)}" for n, v in mine.items() if n not in theirs or theirs[n] != v]
        inside = ", ".join(parts) if other and parts else "..."
        cut = inside if len(inside) <= _SHORT else f"{inside[: _SHORT - 1]}…"
        return f"{self.name}({cut})"


def calls_in(message: Any) -> tuple[ToolCall, ...]:
    """The tool calls of the answer *message*, in its order."""
    return tuple(
        ToolCall(string(name) or "?", _arguments(given)) for name, given in _found(message)
    )


def _arguments(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    value = parse(given) if given.lstrip()[:1] in {"{", "["} else None
    return given if value is None else value


def _found(message: Any) -> Iterator[tuple[Any, Any]]:
    body = mapping(message)
    holders = [mapping(choice.get("message")) for choice in mappings(body.get("choices"))]
    holders.append(mapping(body.get("message")))
    for holder in holders:
        legacy = mapping(holder.get("function_call"))
        made = mappings(holder.get("tool_calls"))
        for one in [legacy] if legacy else []:
            yield one.get("name"), one.get("arguments")
        for one in made:
            named = mapping(one.get("function") or one.get("custom"))
            yield named.get("name"), named.get("arguments", named.get("input"))
    for item in mappings(body.get("output")):
        kind = string(item.get("type"))
        if kind.endswith("_call") and (kind != "image_generation_call"):
            given = item.get("arguments", item.get("input", item.get("action")))
            yield item.get("name") or kind.removesuffix("_call"), given
    yield from _blocks(body)


def _blocks(body: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The calls among the content blocks of Messages, Converse and generateContent."""
    blocks = [*mappings(body.get("content")), *mappings(at(body, "output", "message", "content"))]
    for candidate in mappings(body.get("candidates")):
        blocks += mappings(at(candidate, "content", "parts"))
    for block in blocks:
        if string(block.get("type")).endswith("tool_use"):
            yield block.get("name"), block.get("input")
        elif made := mapping(block.get("toolUse") or block.get("functionCall")):
            yield made.get("name"), made.get("input", made.get("args"))
