"""The Bedrock family: `invoke` with Anthropic's body, and `converse`.

Pure. Streams come in Amazon's binary framing; each frame's payload holds one JSON event.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import unquote

import orjson

from cas_llm.providers.anthropic import Anthropic
from cas_llm.providers.base import Generic, Usage, last_turns
from cas_llm.providers.lines import call, encodable, failure, tool_result
from cas_llm.providers.reading import at, items, mapping, mappings, number, parse, string
from cas_llm.streams.sse import Event

_MODEL_IN_PATH = re.compile(r"/model/([^/]+)/")
_FRAME_HEAD = 12
_FRAME_FOOT = 4
_NORMAL_FINISH = {"", "end_turn", "tool_use", "stop_sequence"}


class Bedrock(Anthropic):
    """See the module."""

    family = "bedrock"

    def requested_model(self, body: Any, path: str) -> str:
        """The model in the path."""
        found = _MODEL_IN_PATH.search(path)
        return unquote(found[1]) if found else string(at(body, "model"))

    def asked(self, body: Any) -> list[str]:
        """The blocks of `ask`: Anthropic's, converse's, or a bare prompt."""
        messages = items(at(body, "messages"))
        if messages and "anthropic_version" not in mapping(body):
            turns = last_turns(messages)
            shown = [_part(p) for turn in turns for p in mappings(turn.get("content"))]
            if any(shown):
                return shown
        return super().asked(body) or Generic.asked(self, body)

    def message(self, body: bytes, content_type: str) -> Any:
        """See `Provider.message`; a binary event stream is taken apart first."""
        if "vnd.amazon.eventstream" not in content_type:
            return super().message(body, content_type)
        events = _frames(body)
        if any("contentBlockIndex" in event or "stopReason" in event for event in events):
            return _conversed(events)
        try:
            return self.assemble(events)
        except RecursionError:
            return None

    def answered(self, message: Any) -> list[str]:
        """The blocks of `answer`."""
        content = mappings(at(message, "output", "message", "content"))
        if isinstance(at(message, "message"), str):
            return [failure({"error": message["message"]})]
        if not content:
            return super().answered(message)
        shown = [
            call(at(part, "toolUse", "name"), at(part, "toolUse", "input"))
            if "toolUse" in part
            else string(part.get("text"))
            for part in content
        ]
        finish = string(at(message, "stopReason"))
        return shown if finish in _NORMAL_FINISH else [*shown, f"finish: {finish}"]

    def usage(self, message: Any) -> Usage | None:
        """The answer's `usage`, by Anthropic's or by converse's names."""
        usage = mapping(at(message, "usage"))
        if "inputTokens" not in usage:
            return super().usage(message)
        read = number(usage.get("cacheReadInputTokens"))
        wrote = number(usage.get("cacheWriteInputTokens"))
        return Usage(
            input=number(usage["inputTokens"]) + read + wrote,
            output=number(usage.get("outputTokens")),
            cached_input=read,
            cache_write=wrote,
        )

    def ends_stream(self, event: Event) -> bool:  # noqa: ARG002  # the framing has no last event
        """Never: a Bedrock stream ends where the body does."""
        return False

    def error(self, status: int, message: str) -> bytes:  # noqa: ARG002  # the body has no status
        """An error body with the one member that Amazon's have."""
        return orjson.dumps({"message": encodable(message)})

    def text(self, message: Any) -> str:
        """The text of the answer."""
        content = mappings(at(message, "output", "message", "content"))
        return "".join(string(part.get("text")) for part in content) or super().text(message)


def _part(part: dict[str, Any]) -> str:
    result = part.get("toolResult")
    if isinstance(result, dict):
        content = mappings(result.get("content"))
        text = "".join(string(inner.get("text")) for inner in content)
        return tool_result(text or [inner.get("json") for inner in content])
    return string(part.get("text"))


def _conversed(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer that the events of a `converse-stream` build up, as far as they came."""
    said: dict[int, list[str]] = {}
    calls: dict[int, dict[str, Any]] = {}
    whole: dict[str, Any] = {}
    for event in events:
        whole |= {name: event[name] for name in ("stopReason", "usage", "metrics") if name in event}
        index = event.get("contentBlockIndex")
        if not isinstance(index, int):
            continue
        begun = at(event, "start", "toolUse")
        if isinstance(begun, dict):
            calls[index] = begun
        delta = mapping(event.get("delta"))
        text = string(delta.get("text")) or string(at(delta, "toolUse", "input"))
        said.setdefault(index, []).append(text)
    content: list[dict[str, Any]] = []
    for index in sorted({*said, *calls}):
        text = "".join(said.get(index, ()))
        if index in calls:
            content.append({"toolUse": {**calls[index], "input": parse(text.encode())}})
        elif text:
            content.append({"text": text})
    return {"output": {"message": {"content": content}}, **whole}


def _frames(body: bytes) -> list[dict[str, Any]]:
    """The JSON events of a binary stream, up to the first frame that is cut off.

    A frame is its total length and its headers' length (four bytes each, big-endian), a checksum,
    the headers, the payload and a checksum.
    """
    events: list[dict[str, Any]] = []
    place = 0
    while place + _FRAME_HEAD <= len(body):
        total = int.from_bytes(body[place : place + 4], "big")
        headers = int.from_bytes(body[place + 4 : place + 8], "big")
        if total <= _FRAME_HEAD + _FRAME_FOOT or place + total > len(body):
            break
        payload = body[place + _FRAME_HEAD + headers : place + total - _FRAME_FOOT]
        value = mapping(parse(payload))
        if "bytes" in value:
            try:
                value = mapping(parse(base64.b64decode(string(value["bytes"]))))
            except (binascii.Error, ValueError):
                value = {}
        events.append(value)
        place += total
    return events
