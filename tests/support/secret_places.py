"""Every place of an exchange in which a secret may stand, each with a secret of its own.

`requests_with` and `responses_with` take ``told(place)``, which gives the text to put there, and
fill one example of each kind of request and response. Were one secret in all places, finding it in
one would hide that it is missed in another.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, quote_plus

from cas_llm.wire import Request, Response

Told = Callable[[str], str]

HOST = "https://api.openai.com"
CHAT = f"{HOST}/v1/chat/completions"
JSON = ("content-type", "application/json")
FIXED = frozenset({"base64", "base64 for URLs", "base64 in lines"})
"""Places in which what surrounds a secret tells its length and its last bits."""

_DOCUMENT = "A line of a long document, of which there are many.\n" * 60


def requests_with(told: Told, number: int = 0) -> dict[str, Request]:
    """One request of each kind, by name; *number* tells them from others of their kind."""
    made = {
        "chat": _chat(told),
        "encodings": _encodings(told),
        "compressed": _compressed(told),
        "multipart": _multipart(told),
        "form": _form(told),
        "path": _path(told),
        "lines": _lines(told),
    }
    return {kind: _numbered(request, number) for kind, request in made.items()}


def _numbered(request: Request, number: int) -> Request:
    return replace(request, url=f"{request.url}{'&' if '?' in request.url else '?'}n={number}")


def responses_with(told: Told) -> dict[str, Response]:
    """One response of each kind, by name; event streams are `support.secret_deltas`'s."""
    return {
        "chat": _completion(told),
        "encodings": _escaped_completion(told),
        "compressed": _compressed_answer(told),
        "multipart": _plain_text(told),
        "form": _error(told),
        "path": _redirect(told),
        "lines": _answer_lines(told),
    }


@dataclass(frozen=True)
class Quoted:
    """How a header or a URL says what it can't say plainly."""

    told: Told

    def header(self, place: str) -> str:
        return self.told(place).replace("\n", "\\n").encode().decode("latin-1").strip()

    def url(self, place: str) -> str:
        return quote(self.told(place), safe="")


def _chat(told: Told) -> Request:
    calls = [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "f", "arguments": json.dumps({"env": f"\n{told('arguments')}\n"})},
        }
    ]
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": f"Be brief. {told('system prompt')} Be kind."},
        {"role": "user", "content": f"Use {told('prompt')} please."},
        {"role": "user", "content": [{"type": "text", "text": told("content part")}]},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": json.dumps({"stdout": f"\x1b[32m{told('tool result')}\x1b[0m\n", "code": 0}),
        },
        {"role": "user", "content": f"{_DOCUMENT}{told('long text')}"},
    ]
    tools = [{"type": "function", "function": {"name": "f", "description": told("tool list")}}]
    body = {"model": "gpt-4o-mini", "messages": messages, "tools": tools}
    body["metadata"] = {told("member name"): told("member value")}
    quoted = Quoted(told)
    headers = (
        JSON,
        ("authorization", f"Bearer {quoted.header('authorization')}"),
        ("x-api-key", quoted.header("key header")),
        ("cookie", f"session={quoted.header('cookie header')}"),
        ("user-agent", f"app/1 ({quoted.header('user agent')})"),
        ("openai-beta", quoted.header("kept header")),
        ("x-note", quoted.header("header left out")),
    )
    url = f"{CHAT}?note={quoted.url('query')}&api-version=1"
    return Request("POST", url, headers, json.dumps(body).encode())


def _encodings(told: Told) -> Request:
    coded = base64.b64encode(f"login {told('base64')} end".encode()).decode()
    safe = base64.urlsafe_b64encode(f"a: {told('base64 for URLs')} end".encode()).decode()
    wrapped = base64.encodebytes(f"{_DOCUMENT[:104]}{told('base64 in lines')}".encode()).decode()
    escaped = "".join(f"\\u{ord(char):04x}" for char in told("escapes in JSON"))
    texts = [
        f"in base64: {coded}",
        f"token={safe}&x",
        f"the file:\n{wrapped}",
        f"https://example.org/?back={quote(told('URL encoded'), safe='')}",
        f"a=b&back={quote_plus(told('form encoded'))}",
        f"<p>{html.escape(told('HTML escaped'))}</p>",
        "".join(f"&#{ord(char)};" for char in told("HTML entities")),
        f'{{"a": "{escaped}"}}',
        json.dumps(json.dumps({"a": f"\n{told('JSON in JSON in JSON')}\n"})),
    ]
    messages = [{"role": "user", "content": text} for text in texts]
    body = {"model": "gpt-4o-mini", "messages": messages}
    return Request("POST", CHAT, (JSON,), json.dumps(body, ensure_ascii=False).encode())


def _compressed(told: Told) -> Request:
    body = {"model": "gpt-4o", "input": f"Use {told('gzip body')}", "stream": True}
    headers = (JSON, ("content-encoding", "gzip"))
    return Request(
        "POST", f"{HOST}/v1/responses", headers, gzip.compress(json.dumps(body).encode())
    )


def _multipart(told: Told) -> Request:
    quoted = Quoted(told)
    fields = [
        ('name="prompt"', "", told("field").encode()),
        ('name="file"; filename="notes.md"', "text/markdown", told("file").encode()),
        ('name="image"; filename="a.png"', "image/png", b"\xff\0" + told("bytes").encode() + b"\0"),
        (
            'name="win"; filename="a.txt"',
            "text/plain",
            f"\ufeff{told('UTF-16')}".encode("utf-16-le"),
        ),
        (f'name="b"; filename="{quoted.url("file name")}"', "text/plain", b"x"),
    ]
    body = b""
    for name, kind, data in fields:
        head = f"content-disposition: form-data; {name}\r\n"
        head += f"content-type: {kind}\r\n" if kind else ""
        body += b"--b0\r\n" + head.encode() + b"\r\n" + data + b"\r\n"
    headers = (("content-type", "multipart/form-data; boundary=b0"),)
    return Request("POST", f"{HOST}/v1/files", headers, body + b"--b0--\r\n")


def _form(told: Told) -> Request:
    body = f"grant=x&note={quote_plus(told('form value'))}&{quote_plus(told('form name'))}=1"
    headers = (("content-type", "application/x-www-form-urlencoded"),)
    return Request("POST", f"{HOST}/v1/forms", headers, body.encode())


def _path(told: Told) -> Request:
    quoted = Quoted(told)
    url = f"{HOST}/v1/files/{quoted.url('path')}/content?after={quoted.url('cursor')}"
    return Request("GET", url)


def _lines(told: Told) -> Request:
    lines = [{"n": n, "text": told(f"line {n}")} for n in range(2)]
    body = "".join(json.dumps(line) + "\n" for line in lines)
    headers = (("content-type", "application/jsonl"),)
    return Request("POST", f"{HOST}/v1/batches", headers, body.encode())


def _message(text: str, arguments: str, **dump: Any) -> bytes:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    message = {"role": "assistant", "content": text, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [choice]}
    return json.dumps(answer, **dump).encode()


def _completion(told: Told) -> Response:
    quoted = Quoted(told)
    arguments = json.dumps({"command": f"\n{told('answered arguments')}\n"})
    headers = (
        JSON,
        ("x-request-id", quoted.header("answered header")),
        ("set-cookie", f"__cf_bm={quoted.header('set-cookie')}; path=/"),
        ("link", f"<https://example.org/{quoted.url('link')}>; rel=next"),
        ("x-echo", quoted.header("header not kept")),
    )
    return Response(200, headers, _message(f"It is {told('answered text')}.", arguments, indent=2))


def _escaped_completion(told: Told) -> Response:
    body = _message("TOLD", json.dumps({"x": told("answered JSON")}))
    escaped = "".join(f"\\u{ord(char):04x}" for char in told("answered escapes"))
    return Response(200, (JSON,), body.replace(b"TOLD", escaped.encode()))


def _compressed_answer(told: Told) -> Response:
    coded = base64.b64encode(f"said {told('answered base64')} end".encode()).decode()
    body = gzip.compress(_message(coded, json.dumps(told("answer in gzip"))))
    return Response(200, (JSON, ("content-encoding", "gzip")), body)


def _plain_text(told: Told) -> Response:
    return Response(200, (("content-type", "text/plain"),), f"-{told('plain text')}-\n".encode())


def _error(told: Told) -> Response:
    message = f"Incorrect API key provided: {told('error')}. Mind it."
    return Response(401, (JSON,), json.dumps({"error": {"message": message}}).encode())


def _redirect(told: Told) -> Response:
    quoted = Quoted(told)
    place = f"{HOST}/v1/{quoted.url('location path')}?sig={quoted.url('location query')}"
    return Response(307, (("location", place), ("content-type", "text/html")), b"<html></html>")


def _answer_lines(told: Told) -> Response:
    lines = [{"custom_id": n, "text": told(f"answered line {n}")} for n in range(2)]
    body = "".join(json.dumps(line) + "\n" for line in lines)
    return Response(200, (("content-type", "application/jsonl"),), body.encode())
