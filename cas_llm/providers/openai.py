"""The OpenAI family: chat and legacy completions, Responses, embeddings, images, audio, moderation.

Pure. Most other providers speak it too (`openai@azure`, `openai@groq`, …); what only one of them
adds is read here as well, so that a family stays one thing.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import orjson

from cas_llm.providers import openai_streams
from cas_llm.providers.base import Generic, Usage, last_turns
from cas_llm.providers.lines import call, encodable, media, tool_result
from cas_llm.providers.reading import at, items, mapping, mappings, number, parse, string
from cas_llm.streams.sse import Event

_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")
_NORMAL_FINISH = {"", "stop", "tool_calls", "function_call", "tool-calls"}
_LAST_EVENTS = {
    "error",
    "response.completed",
    "response.failed",
    "response.incomplete",
    "image_generation.completed",
    "image_edit.completed",
    "speech.audio.done",
    "transcript.text.done",
}
_MEDIA_PARTS = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "video_url": "video",
    "input_video": "video",
    "file": "file",
    "input_file": "file",
    "document_url": "file",
}


class OpenAI(Generic):
    """See the module."""

    family = "openai"
    noise: tuple[str, ...] = (
        "$.id",
        "$.created",
        "$.created_at",
        "$.completed_at",
        "$.request_id",
        "$.system_fingerprint",
        "$.previous_response_id",
        "$.time_info",
        "$.x_groq",
        "$.usage.queue_time",
        "$.usage.prompt_time",
        "$.usage.completion_time",
        "$.usage.total_time",
        "$.choices[*].message.tool_calls[*].id",
        "$.choices[*].message.audio.id",
        "$.choices[*].message.audio.expires_at",
        "$.output[*].id",
        "$.output[*].call_id",
        "$.output[*].encrypted_content",
    )

    def requested_model(self, body: Any, path: str) -> str:
        """The body's `model`, else the deployment in an Azure path."""
        named = string(at(body, "model"))
        found = _DEPLOYMENT.search(path)
        return named or (unquote(found[1]) if found else "")

    def asked(self, body: Any) -> list[str]:
        """The blocks of `ask`: chat turns, Responses items, embedding inputs or a prompt."""
        request = mapping(body)
        if "messages" in request:
            return [_turn(turn) for turn in last_turns(items(request["messages"]))]
        if "input" in request:
            return _input(request["input"])
        prompt = request.get("prompt", request.get("query"))
        if isinstance(prompt, list):
            return _input(prompt)
        return [string(prompt) or string(request.get("text"))]

    def assemble(self, chunks: list[dict[str, Any]]) -> Any:
        """See `openai_streams.assemble`."""
        return openai_streams.assemble(chunks)

    def answered(self, message: Any) -> list[str]:
        """The blocks of `answer`, in the order the answer has them."""
        body = mapping(message)
        if "choices" in body:
            return [line for choice in mappings(body["choices"]) for line in _choice(choice)]
        if isinstance(body.get("output"), list):
            return [
                *(line for item in mappings(body["output"]) for line in _item(item)),
                _end(body),
            ]
        return [string(body.get("text")) or _results(body)]

    def usage(self, message: Any) -> Usage | None:
        """The answer's `usage`, by its chat or its Responses names."""
        usage = at(message, "usage")
        if not isinstance(usage, dict):
            return None
        read = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
        wrote = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
        return Usage(
            input=number(usage.get("prompt_tokens")) or number(usage.get("input_tokens")),
            output=number(usage.get("completion_tokens")) or number(usage.get("output_tokens")),
            cached_input=number(at(read, "cached_tokens"))
            or number(usage.get("prompt_cache_hit_tokens")),
            reasoning=number(at(wrote, "reasoning_tokens")),
            cache_write=number(at(read, "cache_write_tokens")),
        )

    def ends_stream(self, event: Event) -> bool:
        """Whether *event* is ``[DONE]`` or the last of a Responses or media stream."""
        if event.event:
            return event.event in _LAST_EVENTS or event.data.strip() == "[DONE]"
        data = event.data.strip()
        if data == "[DONE]":
            return True
        # a chat chunk has no "type" of these names: don't parse each one to learn that
        if not any(f'"{name}"' in data for name in _LAST_EVENTS):
            return False
        return string(at(parse(data), "type")) in _LAST_EVENTS

    def error(self, status: int, message: str) -> bytes:
        """An error body with the four members that OpenAI's have."""
        error = {
            "message": encodable(message),
            "type": "cas_llm",
            "param": None,
            "code": str(status),
        }
        return orjson.dumps({"error": error})

    def text(self, message: Any) -> str:
        """The text of the first choice, or of all output messages."""
        body = mapping(message)
        if "choices" in body:
            first = next(iter(mappings(body["choices"])), {})
            return string(first.get("text")) or _parts(at(first, "message", "content"))
        if isinstance(body.get("output"), list):
            return "".join(
                _parts(item.get("content"))
                for item in mappings(body["output"])
                if item.get("type") == "message" and item.get("role") in {None, "assistant"}
            )
        return string(body.get("text"))


def _parts(content: Any) -> str:
    """The text of a message's content; media as stand-ins, thoughts left out."""
    if isinstance(content, str):
        return content
    return "".join(part if isinstance(part, str) else _part(part) for part in items(content))


def _part(part: Any) -> str:
    kind = string(at(part, "type"))
    if kind in _MEDIA_PARTS:
        inner = part.get(kind)
        return media(
            _MEDIA_PARTS[kind],
            part.get("filename"),
            at(inner, "filename"),
            inner,
            at(inner, "url"),
            part.get("file_url"),
            part.get("file_id"),
        )
    if kind in {"thinking", "reasoning", "refusal"}:
        return ""
    return string(at(part, "text"))


def _turn(turn: dict[str, Any]) -> str:
    content = turn.get("content")
    if turn.get("role") in {"tool", "function"}:
        return tool_result(_parts(content) or content)
    return _parts(content)


def _input(value: Any) -> list[str]:
    """The blocks of a Responses input, or of embedding, moderation and completion inputs."""
    if isinstance(value, str):
        return [value]
    entries = items(value)
    if entries and all(isinstance(entry, int) for entry in entries):
        return [f"[{len(entries)} tokens]"]
    if not any(isinstance(entry, dict) for entry in entries):
        return [e if isinstance(e, str) else f"[{len(items(e))} tokens]" for e in entries]
    return [_asked_item(item) for item in _new_items(entries)]


def _new_items(entries: list[Any]) -> list[Any]:
    """The items after the last one that the model made; else the user's last message."""
    fresh: list[Any] = []
    for item in reversed(entries):
        kind = string(at(item, "type"))
        if at(item, "role") == "assistant" or kind == "reasoning" or kind.endswith("_call"):
            break
        if at(item, "role") not in {"system", "developer"}:
            fresh.append(item)
    fresh.reverse()
    users = [item for item in entries if isinstance(item, str) or at(item, "role") == "user"]
    return fresh if any(_asked_item(item).strip() for item in fresh) else users[-1:]


def _asked_item(item: Any) -> str:
    if isinstance(item, str):
        return item
    kind = string(at(item, "type"))
    if kind.endswith("_output"):
        output = item.get("output", item.get("tools"))
        return tool_result(_parts(output) or output)
    if kind == "mcp_approval_response":
        return tool_result({"approve": item.get("approve")})
    return _parts(at(item, "content")) or _part(item)


def _choice(choice: dict[str, Any]) -> list[str]:
    message = mapping(choice.get("message"))
    blocks = [string(choice.get("text")), _parts(message.get("content"))]
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        blocks.append(call(legacy.get("name"), legacy.get("arguments")))
    for made in mappings(message.get("tool_calls")):
        named = made.get("function") or made.get("custom")
        blocks.append(call(at(named, "name"), at(named, "arguments") or at(named, "input")))
    if message.get("audio"):
        blocks.append(string(at(message, "audio", "transcript")) or "[audio]")
    blocks += [media("image") for _ in items(message.get("images"))]
    if string(message.get("refusal")):
        blocks.append(f"refusal: {message['refusal']}")
    finish = string(choice.get("finish_reason"))
    if finish not in _NORMAL_FINISH:
        blocks.append(f"finish: {finish}")
    return blocks


def _item(item: dict[str, Any]) -> list[str]:
    """The blocks of one item of a Responses output."""
    kind = string(item.get("type"))
    if kind == "message":
        refusals = (string(part.get("refusal")) for part in mappings(item.get("content")))
        return [_parts(item.get("content")), *(f"refusal: {text}" for text in refusals if text)]
    if kind == "image_generation_call":
        return [media("image")]
    if kind == "mcp_list_tools":
        return []
    if kind.endswith("_call") or kind == "mcp_approval_request":
        name = item.get("name") or kind.removesuffix("_call")
        for member in ("arguments", "input", "action", "code", "queries", "operation"):
            if item.get(member):
                value = item[member]
                shown = {member: value} if member in {"code", "queries"} else value
                return [call(name, shown)]
        return [call(name, None)]
    return ["[compaction]"] if kind == "compaction" else []


def _end(body: dict[str, Any]) -> str:
    """How a Responses answer ended, where it didn't complete."""
    status = string(body.get("status"))
    if status in {"", "completed"}:
        return ""
    reason = string(at(body, "incomplete_details", "reason"))
    return f"finish: {status}, {reason}" if reason else f"finish: {status}"


def _results(body: dict[str, Any]) -> str:
    """What a non-text answer holds, in a word: vectors, images, verdicts, an object."""
    data = mappings(body.get("data"))
    if data and "embedding" in data[0]:
        return f"[{len(data)} embedding{'s' * (len(data) > 1)}]"
    if data and ("b64_json" in data[0] or "url" in data[0]):
        return f"[{len(data)} image{'s' * (len(data) > 1)}]"
    verdicts = mappings(body.get("results"))
    if verdicts and "flagged" in verdicts[0]:
        names = {
            k for v in verdicts for k, on in mapping(v.get("categories")).items() if on is True
        }
        flagged = any(verdict.get("flagged") is True for verdict in verdicts)
        return f"flagged: {', '.join(sorted(names)) or 'yes'}" if flagged else "not flagged"
    kind = string(body.get("object"))
    return f"[{kind}]" if kind else ""
