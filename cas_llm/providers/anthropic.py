"""The Anthropic family: Messages, token counts, batches.

Pure. The same body arrives through Bedrock and Vertex, with the model in the path.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import orjson

from cas_llm.providers.base import Generic, Usage, last_turns
from cas_llm.providers.lines import call, compact, encodable, media, tool_result
from cas_llm.providers.reading import at, items, mapping, mappings, number, parse, string
from cas_llm.streams.sse import Event

_MODEL_IN_PATH = re.compile(r"/models?/([^/:]+)")
_NORMAL_FINISH = {"", "end_turn", "tool_use", "stop_sequence"}
_LAST_EVENTS = {"message_stop", "error"}
_MEDIA = {"image": "image", "document": "file", "container_upload": "file"}


class Anthropic(Generic):
    """See the module."""

    family = "anthropic"
    noise: tuple[str, ...] = (
        "$.id",
        "$.request_id",
        "$.content[*].id",
        "$.content[*].tool_use_id",
        "$.content[*].signature",
        "$.container",
        "$.usage.inference_geo",
        "$.usage.service_tier",
    )

    def requested_model(self, body: Any, path: str) -> str:
        """The body's `model`, else the one in a Vertex or Bedrock path."""
        found = _MODEL_IN_PATH.search(path)
        return string(at(body, "model")) or (unquote(found[1]) if found else "")

    def asked(self, body: Any) -> list[str]:
        """The blocks of `ask`: the last user turn, tool results part by part."""
        turns = last_turns(items(at(body, "messages")))
        return [block for turn in turns for block in _turn(turn.get("content"))]

    def assemble(self, chunks: list[dict[str, Any]]) -> Any:
        """The message that the events build up, as far as they came."""
        message: dict[str, Any] = {}
        blocks: dict[int, dict[str, Any]] = {}
        partial: dict[int, str] = {}
        for chunk in chunks:
            kind = chunk.get("type")
            if kind == "message_start":
                message = dict(mapping(chunk.get("message")))
            elif kind == "message_delta":
                _update(message, chunk)
            elif kind == "error":
                message = {**message, "error": chunk.get("error")}
            else:
                _add_block(blocks, partial, chunk)
        for index, text in partial.items():
            parsed = parse(text) if text.strip() else None
            if index in blocks and parsed is not None:
                blocks[index]["input"] = parsed
        if blocks:
            message["content"] = [blocks[index] for index in sorted(blocks)]
        return message or None

    def answered(self, message: Any) -> list[str]:
        """The blocks of `answer`, in the order of the content."""
        body = mapping(message)
        shown = [_block(block) for block in mappings(body.get("content"))]
        finish = string(body.get("stop_reason"))
        if finish not in _NORMAL_FINISH:
            shown.append(f"finish: {finish}")
        if not shown and number(body.get("input_tokens")):
            shown.append(f"[{body['input_tokens']} input tokens]")
        if not shown and string(body.get("type")) not in {"", "message", "error"}:
            shown.append(f"[{body['type']}]")
        return shown

    def usage(self, message: Any) -> Usage | None:
        """The answer's `usage`; the API counts cached tokens apart from `input_tokens`."""
        usage = at(message, "usage")
        if not isinstance(usage, dict):
            return None
        read = number(usage.get("cache_read_input_tokens"))
        wrote = number(usage.get("cache_creation_input_tokens"))
        return Usage(
            input=number(usage.get("input_tokens")) + read + wrote,
            output=number(usage.get("output_tokens")),
            cached_input=read,
            reasoning=number(at(usage, "output_tokens_details", "thinking_tokens")),
            cache_write=wrote,
        )

    def ends_stream(self, event: Event) -> bool:
        """Whether *event* is ``message_stop`` or an error."""
        if event.event:
            return event.event in _LAST_EVENTS
        return at(parse(event.data), "type") in ("message_stop", "error")

    def error(self, status: int, message: str) -> bytes:  # noqa: ARG002  # the body has no status
        """An error body as the API's own, of a type that it never sends."""
        error = {"type": "cas_llm", "message": encodable(message)}
        return orjson.dumps({"type": "error", "error": error})

    def text(self, message: Any) -> str:
        """The text blocks, joined."""
        body = mapping(message)
        blocks = mappings(body.get("content"))
        said = "".join(string(b.get("text")) for b in blocks if b.get("type") == "text")
        return said or string(body.get("completion"))


def _turn(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [_part(part) for part in mappings(content)]


def _part(part: dict[str, Any]) -> str:
    kind = string(part.get("type"))
    if kind.endswith("tool_result"):
        content = part.get("content")
        inner = "".join(_named(block) for block in mappings(content))
        return tool_result(inner or content)
    return _named(part)


def _named(part: dict[str, Any]) -> str:
    kind = string(part.get("type"))
    if kind in _MEDIA:
        return media(
            _MEDIA[kind], part.get("title"), at(part, "source", "url"), part.get("file_id")
        )
    return string(part.get("text"))


def _block(block: dict[str, Any]) -> str:
    kind = string(block.get("type"))
    if kind.endswith("tool_use"):
        return call(block.get("name"), block.get("input"))
    if kind.endswith("tool_result"):
        content = block.get("content")
        return f"[{kind} {compact(content)[:60]}]" if at(content, "error_code") else f"[{kind}]"
    return string(block.get("text"))


def _update(message: dict[str, Any], chunk: dict[str, Any]) -> None:
    message.update(mapping(chunk.get("delta")))
    usage = mapping(chunk.get("usage"))
    if usage:
        told = {name: value for name, value in usage.items() if value is not None}
        message["usage"] = {**mapping(message.get("usage")), **told}


def _add_block(
    blocks: dict[int, dict[str, Any]], partial: dict[int, str], chunk: dict[str, Any]
) -> None:
    index = number(chunk.get("index"))
    if chunk.get("type") == "content_block_start":
        blocks[index] = dict(mapping(chunk.get("content_block")))
    if chunk.get("type") != "content_block_delta":
        return
    delta = mapping(chunk.get("delta"))
    kind = string(delta.get("type"))
    block = blocks.setdefault(index, {"type": "text" if kind == "text_delta" else ""})
    if kind == "input_json_delta":
        partial[index] = partial.get(index, "") + string(delta.get("partial_json"))
    elif kind == "citations_delta":
        block["citations"] = [*items(block.get("citations")), delta.get("citation")]
    else:
        for name in ("text", "thinking", "signature"):
            if isinstance(delta.get(name), str):
                block[name] = string(block.get(name)) + delta[name]
