"""What one recorded answer says, as the values that two answers are compared by.

Pure: an answer and its provider in, a value out. Whatever a server sent, nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cas_llm.digest import digest_of
from cas_llm.drift.calls import ToolCall, calls_in
from cas_llm.keys.paths import DROP, edit, inner, steps_of
from cas_llm.providers import PYTHON, Provider
from cas_llm.providers.lines import compact
from cas_llm.providers.reading import at, mapping, mappings, string
from cas_llm.store import Answer

FILTERED = frozenset(
    {"content_filter", "refusal", "safety", "guardrail_intervened", "content_filtered"}
)
"""Reasons to end that mean the model would not, or was not allowed to, answer."""

CUT = frozenset({"length", "max_tokens", "max_output_tokens", "max_tokens_reached"})
"""Reasons to end that mean the answer was cut off."""

# The usual first words of a model that declines; a longer apology within an answer is none.
_DECLINES = re.compile(
    r"\W*(?:(?:i.?m|i am) sorry\W+(?:but )?)?"
    r"(?:as an ai\b.{0,40}\b)?"
    r"(?:i (?:can.?t|cannot|can not|won.?t|will not)|(?:i.?m|i am) (?:unable|not able))(?: to)? "
    r"(?:help|assist|comply|do that|provide|answer|fulfil|share|discuss|engage)",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Said:
    """What an answer says and what it took to get it.

    `structured` is the JSON value that the text is, None for any other text; `other` is the digest
    of an answer that holds neither text nor calls (embeddings, media). `cost` is None where the
    price is unknown.
    """

    digest: str
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    refusal: str = ""
    finish: str = ""
    status: int = 200
    structured: Any = None
    other: str = ""
    lines: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    model: str = ""
    requested_model: str = ""
    usage: tuple[int, int] | None = None
    cost: float | None = None
    latency_ms: float | None = None
    marks: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The text, else what a reviewer reads of an answer that has none."""
        return self.text or ("" if self.calls or self.refusal else "\n".join(self.lines))

    @property
    def declines(self) -> bool:
        """Whether the model would not answer."""
        filtered = self.finish.casefold() in FILTERED
        return bool(self.refusal) or filtered or bool(_DECLINES.match(self.text))

    @property
    def is_cut(self) -> bool:
        """Whether the answer ended before it was whole."""
        return self.finish.casefold() in CUT or "incomplete" in self.marks


def said(digest: str, answer: Answer, provider: Provider) -> Said:
    """What the *answer* named *digest* says, as its *provider* reads it."""
    response = answer.response
    message = provider.message(response.body, response.header("content-type"))
    text, calls = provider.text(message), calls_in(message)
    made = answer.provenance
    of_python = provider.family == PYTHON.family
    return Said(
        digest=digest,
        text=text,
        calls=calls,
        refusal=_refusal(message),
        finish=_finish(message),
        status=response.status,
        structured=message if of_python and not text else structured(text),
        other="" if text or calls else _rest(message, response.body, provider),
        lines=answer.answer,
        ask=answer.ask,
        model=str(made.get("model") or provider.resolved_model(message)),
        requested_model=str(made.get("requested_model") or ""),
        usage=_usage(made.get("usage")),
        cost=_number(made.get("cost_usd")),
        latency_ms=_number(made.get("latency_ms")),
        marks=answer.marks,
    )


def structured(text: str) -> Any:
    """The object or list that *text* is, also within a Markdown fence; None for any other text."""
    fenced = _FENCE.match(text)
    return inner(fenced[1] if fenced else text)


def _refusal(message: Any) -> str:
    body = mapping(message)
    for choice in mappings(body.get("choices")):
        if found := string(at(choice, "message", "refusal")):
            return found
    for item in mappings(body.get("output")):
        for part in mappings(item.get("content")):
            if found := string(part.get("refusal")):
                return found
    return ""


def _finish(message: Any) -> str:
    """Why the answer ended, in its family's own word."""
    body = mapping(message)
    first: Mapping[str, Any]
    for name, word in (("choices", "finish_reason"), ("candidates", "finishReason")):
        for first in mappings(body.get(name))[:1]:
            return string(first.get(word))
    for word in ("stop_reason", "stopReason", "finish_reason"):
        if found := string(body.get(word)):
            return found
    reason = string(at(body, "incomplete_details", "reason"))
    return reason or string(body.get("status"))


def _rest(message: Any, body: bytes, provider: Provider) -> str:
    if message is None:
        return digest_of(body)
    for path in provider.noise:
        message = edit(message, steps_of(path), lambda _value: DROP)
    usage = mapping(message)
    plain = {n: v for n, v in usage.items() if n != "usage"} if usage else message
    return digest_of(compact(plain).encode("utf-8", "backslashreplace"))


def _usage(found: Any) -> tuple[int, int] | None:
    usage = mapping(found)
    counts = usage.get("input"), usage.get("output")
    if not usage or not all(type(count) is int or count is None for count in counts):
        return None
    return counts[0] or 0, counts[1] or 0


def _number(found: Any) -> float | None:
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
