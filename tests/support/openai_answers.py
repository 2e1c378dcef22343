"""The scripted provider's answers in OpenAI's shapes."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from email.message import Message
from email.parser import BytesParser
from typing import Any

from support.provider import Received, Reply
from support.shapes import CREATED, Files, instance, says, text_in, usage_of, words


def chat(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """A chat completion, whole or streamed."""
    asked = received.json
    last = (asked.get("messages") or [{}])[-1]
    said = says(received, last.get("content"))
    message: dict[str, Any] = {"role": "assistant", "content": said, "refusal": None}
    finish = "stop"
    schema = ((asked.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if asked.get("tools") and last.get("role") != "tool":
        tool = asked["tools"][0].get("function", {})
        arguments = instance(tool.get("parameters") or {}, said, received.number)
        call = {"name": tool.get("name"), "arguments": json.dumps(arguments)}
        calls = [{"id": f"call_{received.number}", "type": "function", "function": call}]
        message, finish = message | {"content": None, "tool_calls": calls}, "tool_calls"
    elif schema:
        message["content"] = json.dumps(instance(schema, said, received.number))
    sent, got = usage_of(text_in(last.get("content")), said)
    usage = {"prompt_tokens": sent, "completion_tokens": got, "total_tokens": sent + got}
    head = {
        "id": f"chatcmpl-{received.number}",
        "created": CREATED + received.number,
        "model": f"{asked.get('model', 'scripted')}-2026-01-01",
        "system_fingerprint": f"fp_{received.number}",
    }
    if asked.get("stream"):
        wants_usage = (asked.get("stream_options") or {}).get("include_usage")
        return _chat_stream(head, message, finish, usage if wants_usage else None)
    choices = [
        {"index": index, "message": message, "finish_reason": finish, "logprobs": None}
        for index in range(asked.get("n") or 1)
    ]
    whole = head | {"object": "chat.completion", "choices": choices, "usage": usage}
    return Reply.of(whole, x_request_id=f"req_{received.number}")


def _chat_stream(head: Any, message: Any, finish: str, usage: Any) -> Reply:
    deltas: list[Any] = [{"role": "assistant", "content": "" if message["content"] else None}]
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        deltas.append(
            {"tool_calls": [call | {"index": index, "function": function | {"arguments": ""}}]}
        )
        for piece in words(function["arguments"]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    deltas += [{"content": piece} for piece in words(message["content"] or "") if piece]
    head = head | {"object": "chat.completion.chunk"}
    events = [
        head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    events.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        events.append(head | {"choices": [], "usage": usage})
    return Reply.sse(events, done=True)


def responses(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """A response, whole or streamed."""
    asked = received.json
    given = asked.get("input", "")
    last = {"content": given} if isinstance(given, str) else (given or [{}])[-1]
    said = says(received, last.get("content") or last.get("output"))
    part = {"type": "output_text", "text": said, "annotations": []}
    item: dict[str, Any] = {
        "type": "message",
        "id": f"msg_{received.number}",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    form = (asked.get("text") or {}).get("format") or {}
    if asked.get("tools") and last.get("type") != "function_call_output":
        tool = asked["tools"][0]
        item = {
            "type": "function_call",
            "id": f"fc_{received.number}",
            "call_id": f"call_{received.number}",
            "name": tool.get("name"),
            "arguments": json.dumps(instance(tool.get("parameters") or {}, said, received.number)),
            "status": "completed",
        }
    elif form.get("schema"):
        part["text"] = json.dumps(instance(form["schema"], said, received.number))
    sent, got = usage_of(text_in(last.get("content")), said)
    whole = {
        "id": f"resp_{received.number}",
        "object": "response",
        "created_at": CREATED + received.number,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "metadata": {},
        "model": f"{asked.get('model', 'scripted')}-2026-01-01",
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": asked.get("temperature", 1.0),
        "tool_choice": "auto",
        "tools": asked.get("tools") or [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": sent,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": got,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sent + got,
        },
    }
    if not asked.get("stream"):
        return Reply.of(whole, x_request_id=f"req_{received.number}")
    events = [
        event | {"sequence_number": number}
        for number, event in enumerate(_response_events(whole, item))
    ]
    return Reply.sse(events, named=True)


def _response_events(whole: Any, item: Any) -> list[dict[str, Any]]:
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    blank = item | {"status": "in_progress"}
    at = {"output_index": 0, "item_id": item["id"]}
    if item["type"] == "message":
        part = item["content"][0]
        blank["content"] = []
        place = at | {"content_index": 0}
        begin, delta = "response.content_part.added", "response.output_text"
        middle = [{"type": begin, **place, "part": part | {"text": ""}}]
        middle += [
            {"type": f"{delta}.delta", **place, "delta": piece, "logprobs": []}
            for piece in words(part["text"])
        ]
        middle += [
            {"type": f"{delta}.done", **place, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **place, "part": part},
        ]
    else:
        blank["arguments"] = ""
        delta, written = "response.function_call_arguments", item["arguments"]
        middle = [{"type": f"{delta}.delta", **at, "delta": piece} for piece in words(written)]
        middle.append({"type": f"{delta}.done", **at, "name": item["name"], "arguments": written})
    return [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": blank},
        *middle,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]


def embeddings(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """A vector for each input."""
    asked = received.json
    given = asked.get("input", "")
    inputs = given if isinstance(given, list) and not isinstance(given[:1], int) else [given]
    data: list[Any] = []
    for index in range(len(inputs)):
        vector: Any = [received.number / 8, index / 8, 0.125, -0.5]
        if asked.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack("<4f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": 3 * len(inputs), "total_tokens": 3 * len(inputs)}
    return Reply.of(
        {
            "id": f"embd-{received.number}",  # Mistral's have one
            "object": "list",
            "data": data,
            "model": asked.get("model"),
            "usage": usage,
        }
    )


def _png(number: int) -> bytes:
    """A PNG of one pixel whose colour is the number."""

    def block(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    pixel = b"\0" + number.to_bytes(3, "big")
    size = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    blocks = block(b"IHDR", size) + block(b"IDAT", zlib.compress(pixel)) + block(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + blocks


def images(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """A picture of one pixel."""
    image = base64.b64encode(_png(received.number)).decode()
    return Reply.of({"created": CREATED + received.number, "data": [{"b64_json": image}]})


def speech(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """Some binary sound."""
    sound = b"ID3\x04\0\0" + received.number.to_bytes(4, "big") + bytes(range(256)) * 8
    return Reply(headers=(("content-type", "audio/mpeg"),), body=sound)


def transcription(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """What an upload was called, as text."""
    name, data = upload(received)
    return Reply.of({"text": f"answer {received.number}: {name}, {len(data)} bytes"})


def upload(received: Received) -> tuple[str, bytes]:
    """The name and the bytes of the file in a multipart body."""
    head = f"Content-Type: {received.headers.get('content-type', '')}\r\n\r\n".encode()
    whole = BytesParser().parsebytes(head + received.body)
    parts: list[Message] = whole.get_payload() if whole.is_multipart() else []  # type: ignore[assignment]
    for part in parts:
        if name := part.get_filename():
            data = part.get_payload(decode=True)
            return name, data if isinstance(data, bytes) else b""
    return "", b""


def _file(identity: str, files: Files) -> dict[str, Any]:
    name, data = files[identity]
    return {
        "id": identity,
        "object": "file",
        "bytes": len(data),
        "created_at": CREATED,
        "filename": name,
        "purpose": "user_data",
        "status": "processed",
    }


def file_upload(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """Keep an uploaded file."""
    identity = f"file-{received.number:04}"
    files[identity] = upload(received)
    return Reply.of(_file(identity, files))


def file_list(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """One page of the files kept."""
    query = dict(received.query)
    names = sorted(files)
    after = query.get("after", "")
    rest = [name for name in names if name > after]
    page = rest[: int(query.get("limit", "2"))]
    return Reply.of(
        {
            "object": "list",
            "data": [_file(name, files) for name in page],
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
            "has_more": len(page) < len(rest),
        }
    )


def file_one(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """One file: its facts, its content, or its end."""
    identity, content = match["id"], match["content"]
    if identity not in files:
        return Reply.of({"error": {"message": f"no such file: {identity}"}}, status=404)
    if received.method == "DELETE":
        del files[identity]
        return Reply.of({"id": identity, "object": "file", "deleted": True})
    if content:
        return Reply(
            headers=(("content-type", "application/octet-stream"),), body=files[identity][1]
        )
    return Reply.of(_file(identity, files))


def models(received: Received, files: Files, match: re.Match[str]) -> Reply:
    """All models, or one."""
    facts = {"object": "model", "created": CREATED, "owned_by": "scripted"}
    if match["id"]:
        return Reply.of({"id": match["id"], **facts})
    data = [{"id": name, **facts} for name in ("scripted-small", "scripted-large")]
    return Reply.of({"object": "list", "data": data})
