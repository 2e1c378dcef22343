"""Cassettes as other tools write them, and suites whose tests play them."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHAT = "https://api.openai.com/v1/chat/completions"
JSON = (("content-type", "application/json"),)
WRITTEN = "Mon, 02 Mar 2026 09:30:00 GMT"


@dataclass(frozen=True)
class Call:
    """One call as a test wants it written: the request's JSON value and the answer's bytes."""

    body: Any
    answer: bytes
    url: str = CHAT
    method: str = "POST"
    status: int = 200
    headers: Mapping[str, str] | None = None
    answer_headers: Mapping[str, str] | None = None

    @property
    def sent(self) -> bytes:
        """The request's body as an SDK sends it."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body or b""
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def asked(self) -> dict[str, str]:
        """The request's headers."""
        kind = {} if self.body is None or isinstance(self.body, bytes) else dict(JSON)
        return {**kind, **(self.headers or {})}

    @property
    def kept(self) -> dict[str, str]:
        """The answer's headers."""
        return {"content-type": "application/json", "date": WRITTEN, **(self.answer_headers or {})}


def chat(text: str, answer: str, *, model: str = "gpt-4o-mini", system: str = "") -> Call:
    """A chat call whose user says *text* and whose assistant says *answer*."""
    said = [{"role": "system", "content": system}] if system else []
    body = {"model": model, "messages": [*said, {"role": "user", "content": text}]}
    return Call(body, completion(answer, model))


def completion(text: str, model: str = "gpt-4o-mini") -> bytes:
    """A chat completion as OpenAI writes it: indented."""
    value = {
        "id": "chatcmpl-" + hashlib.sha256(text.encode()).hexdigest()[:12],
        "object": "chat.completion",
        "created": 1772443800,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 900, "completion_tokens": 400, "total_tokens": 1300},
    }
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def _listed(headers: Mapping[str, str] | None) -> dict[str, list[str]]:
    return {name: [value] for name, value in (headers or {}).items()}


def vcrpy_document(calls: Sequence[Call]) -> dict[str, Any]:
    """The value of a vcrpy cassette."""
    return {
        "version": 1,
        "interactions": [
            {
                "request": {
                    "method": call.method,
                    "uri": call.url,
                    "body": _texted(call.sent),
                    "headers": _listed(call.asked),
                },
                "response": {
                    "status": {"code": call.status, "message": "OK"},
                    "headers": _listed(call.kept),
                    "body": {"string": _texted(call.answer)},
                },
            }
            for call in calls
        ],
    }


def json_of(text: str | bytes) -> Any:
    """The value of a JSON text; None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _texted(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def vcrpy(calls: Sequence[Call]) -> bytes:
    """A vcrpy cassette in YAML."""
    dumper = getattr(yaml, "CDumper", yaml.Dumper)
    return yaml.dump(vcrpy_document(calls), Dumper=dumper).encode()


def vcrpy_json(calls: Sequence[Call]) -> bytes:
    """A vcrpy cassette of the JSON serializer."""
    return (json.dumps(vcrpy_document(calls), indent=4) + "\n").encode()


def gzipped(calls: Sequence[Call]) -> bytes:
    """A vcrpy cassette, compressed as a whole."""
    return gzip.compress(vcrpy(calls))


def parsed(calls: Sequence[Call]) -> bytes:
    """A vcrpy cassette with JSON bodies as values, few headers, and long texts as blocks."""
    document = vcrpy_document(calls)
    for one in document["interactions"]:
        for side in one.values():
            side["headers"] = {
                name: value
                for name, value in side["headers"].items()
                if not name.startswith(("anthropic-", "x-")) and name != "authorization"
            }
            body = side["body"]
            text = body["string"] if isinstance(body, dict) else body
            value = json_of(text) if text else None
            if "json" in side["headers"].get("content-type", [""])[0] and value is not None:
                side["parsed_body"] = value
                del side["body"]
    dumper = getattr(yaml, "CDumper", yaml.Dumper)
    return yaml.dump(document, Dumper=dumper, allow_unicode=True, width=120).encode()


def simulator(calls: Sequence[Call]) -> bytes:
    """A recording of the Azure simulator: paths, few headers, long bodies by their hash alone."""
    interactions = []
    for call in calls:
        sent = call.sent
        kept = sent.decode() if len(sent) <= 1024 else None
        interactions.append(
            {
                "request": {
                    "method": call.method,
                    "uri": "/" + call.url.split("://", 1)[-1].split("/", 1)[-1],
                    "headers": _listed({"content-type": "application/json"}),
                    "body": kept,
                    "body_hash": hashlib.md5(sent).hexdigest(),
                },
                "response": {
                    "status": {"code": call.status},
                    "headers": _listed({"content-type": "application/json"}),
                    "body": {"string": call.answer.decode()},
                    "duration_ms": 420,
                },
                "context_values": {"deployment": "gpt", "operation": "chat-completions"},
            }
        )
    return yaml.safe_dump({"version": 1, "interactions": interactions}).encode()


def completion_cache(calls: Sequence[Call]) -> bytes:
    """The one-file JSON cache of completions."""
    entries = {}
    for number, call in enumerate(calls):
        said = {m["role"]: m["content"] for m in call.body["messages"]}
        rest = {n: v for n, v in call.body.items() if n not in {"messages", "model"}}
        entries[hashlib.sha256(bytes([number])).hexdigest()] = {
            "request": {
                "user_prompt": said["user"],
                "system_prompt": said.get("system", ""),
                "model": call.body["model"],
                "additional_params": rest,
            },
            "response": {**json.loads(call.answer), "cost": 0.0001},
        }
    stamp = "2026-03-02T09:30:00"
    return json.dumps(
        {
            "version": "1.0",
            "metadata": {"created_at": stamp, "last_updated": stamp},
            "entries": entries,
        }
    ).encode()


def write(path: Path, data: bytes) -> Path:
    """Put *data* at *path*, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
