"""Write the golden vectors of the key that are missing from keys.json.

Run as ``python tests/golden/make_keys.py``. An entry that is there is never written again: where
the code gives another key than the file, this program says so and exits with 1. Such a change is
a new key version, not a new golden file.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cas_llm.keys import KeyRecord, Rules, key_record
from cas_llm.wire import Request

FILE = Path(__file__).with_name("keys.json")
JSON = [["content-type", "application/json"]]
CHAT = "https://api.openai.com/v1/chat/completions"


def derive(entry: dict[str, Any]) -> KeyRecord:
    """The key record of the request that *entry* describes."""
    body = entry.get("text", "").encode() or base64.b64decode(entry.get("base64", ""))
    request = Request(
        entry.get("method", "POST"),
        entry.get("url", CHAT),
        tuple((name, value) for name, value in entry.get("headers", JSON)),
        body,
    )
    rules = Rules(tuple(entry.get("normalise", ())), entry.get("namespace", ""))
    redact = None
    if "redact" in entry:
        find, put = entry["redact"]
        redact = lambda text: text.replace(find, put) if find in text else text  # noqa: E731
    return key_record(request, entry.get("api", "openai"), rules, redact)


def outcome(record: KeyRecord) -> dict[str, Any]:
    """What a golden entry pins."""
    parts = {digest: part.ext for digest, part in sorted(record.parts.items())}
    return {"key": record.key, "record": record.data.decode(), "parts": parts}


def entries() -> Iterator[dict[str, Any]]:
    """The requests, each with a unique name."""
    yield from _numbers()
    yield from _names_and_strings()
    yield from _without_canonical_form()
    yield from _splitting()
    yield from _around_the_body()
    yield from _other_bodies()
    yield from _normalisers()
    yield from _chats()


def _body(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "text": text, **more}


def _numbers() -> Iterator[dict[str, Any]]:
    texts = (
        "0 -0 0.0 -0.0 1 -1 1.0 1.50 1e0 10e-1 0.1 0.10 0.2 0.30000000000000004 0.7 1e-1 1e-3 1e-4 1e-5 "
        "1e-6 1e-7 1.5e-7 1E-7 5e-324 2.2250738585072014e-308 1e-400 1.7976931348623157e308 1e15 1e16 1e17 "
        "123456789012345680000 1e20 1e21 1e22 1.0000000000000001e22 1e23 9.999999999999997e22 333333333.3333333 "
        "333333333.33333325 4.35 0.002 0.000001 0.0000033333333333333333 9007199254740991 9007199254740992 "
        "9007199254740993 -9007199254740991 -9007199254740992 9007199254740992.0 9223372036854775807 "
        "9223372036854775808 18446744073709551615 18446744073709551616 18446744073709551617 "
        "18446744073709551616.0 123456789012345678901234567890 -123456789012345678901234567890 100 1e2 "
        "1000000 999999.5 1000000.5 0.001 0.0009 1424953923781206.2 -0.0000033333333333333333"
    )
    for text in texts.split():
        yield _body(f"number {text}", f'{{"model":"m","seed":{text}}}')
    yield _body("embedding of floats", '{"input":[1.0,-0.0,1e-7,1e21,0.5],"model":"m"}')


def _names_and_strings() -> Iterator[dict[str, Any]]:
    yield _body("logit_bias", '{"logit_bias":{"50256":-100,"9":1,"10":2.0,"-1":0.5},"model":"m"}')
    yield _body("__proto__", '{"__proto__":{"polluted":true},"constructor":1,"model":"m"}')
    yield _body("empty name", '{"":1,"model":"m"}')
    yield _body("astral before BMP", '{"\U0001f600":1,"\ufb33":2,"\ue000":3,"a":4,"\u20ac":5}')
    yield _body(
        "RFC 8785 names",
        '{"\\u20ac":"Euro","\\r":"CR","\\ufb33":"Dalet","1":"One","\\ud83d\\ude00":"Smile","\\u0080":"Control","\\u00f6":"o"}',
    )
    yield _body("names that differ in case", '{"B":1,"a":2,"A":3,"b":4}')
    yield _body("names with dots, quotes, newlines", '{"a.b":1,"a\\"b":2,"a\\nb":3,"a\\\\b":4}')
    yield _body("nested orders", '{"z":{"b":1,"a":{"d":1,"c":2}},"a":[{"y":1,"x":2}]}')
    escapes = [
        "\\b\\t\\n\\f\\r",
        "\\u0000\\u001f\\u007f",
        '\\/ / \\\\ \\"',
        "\\u00e9",
        "é",
        "e\\u0301",
        "\\u2028\\u2029",
        "\\ud83d\\ude00",
        "😀",
        "\\u00E9",
        "\\ufeff",
        "\\uffff",
        "  ends  ",
        "<script>&",
        "",
    ]
    for number, text in enumerate(escapes):
        yield _body(f"string {number}", f'{{"input":"{text}"}}')
    for text in [
        "{}",
        "[]",
        "null",
        "true",
        "false",
        "1",
        '"text"',
        "[[],{},[{}]]",
        ' {\n "a" : [ 1 , 2 ] } ',
        '{"a":null}',
        '{"a":[null,true,false]}',
    ]:
        yield _body(f"value {text}", text)
    for name in ["$cas:int", "$cas:part", "$cas:", "$cas:$cas:int", "$CAS:int", "$cas"]:
        yield _body(f"own member {name}", f'{{"{name}":"1","tools":[{{"{name}":2}}]}}')


def _without_canonical_form() -> Iterator[dict[str, Any]]:
    for text in [
        '{"a":1,"a":2}',
        '{"a":1,"a":1}',
        '{"x":{"a":1,"\\u0061":2}}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":-Infinity}',
        '{"a":1e400}',
        '{"a":"\\ud800"}',
        '{"\\udc00":1}',
        '{"a":"\\udc00\\ud800"}',
        '{"a":1,}',
        "{'a':1}",
        '{"a":01}',
        '{"a":.5}',
        '{"a":+1}',
        '{"a":1} x',
        "\ufeff{}",
        "plain",
        '{"a":"\t"}',
        "{",
    ]:
        yield _body(f"by its bytes {text!r}", text)
    yield _body("nested 200 deep", "[" * 200 + "]" * 200)
    yield _body("nested 201 deep", "[" * 201 + "]" * 201)
    yield {"name": "not UTF-8", "base64": base64.b64encode(b'{"a":"\xff"}').decode()}


def _splitting() -> Iterator[dict[str, Any]]:
    for count in (2047, 2048, 2049):
        yield _body(f"{count} ASCII bytes", json.dumps({"input": "a" * count}))
    for count in (682, 683):
        yield _body(f"{count} characters of three bytes", json.dumps({"input": "€" * count}))
    for count in (4, 5, 6):
        yield _body(f"{count} newlines", json.dumps({"input": "line\n" * count}))
    for count in (1, 40):
        tools = [
            {"type": "function", "function": {"name": f"tool_{n}", "$cas:x": n, "big": 2**60}}
            for n in range(count)
        ]
        yield _body(f"{count} tools", json.dumps({"model": "m", "tools": tools}))
    yield _body("nested tools stay", json.dumps({"a": {"tools": ["x" * 50] * 50}}))
    png = bytes.fromhex("89504e470d0a1a0a") + bytes(range(100))
    good = base64.b64encode(png).decode()
    safe = base64.urlsafe_b64encode(b"\xff\xfe" * 50).decode()
    url = f"data:image/png;base64,{good}"
    media: dict[str, Any] = {
        "image URL": {"image_url": {"url": url}},
        "image URL with parameters": {"url": f"data:image/jpeg;charset=utf-8;base64,{good}"},
        "image URL without type": {"url": f"data:;base64,{good}"},
        "image URL, base64 broken": {"url": url[:-4] + "x=x="},
        "image URL, base64 with newline": {"url": url[:60] + "\n" + url[60:]},
        "image URL, not base64": {"url": "data:image/svg+xml," + "x" * 100},
        "image URL, short": {"url": "data:image/png;base64,AAAA"},
        "anthropic image": {"source": {"type": "base64", "media_type": "image/webp", "data": good}},
        "anthropic text": {
            "source": {"type": "text", "media_type": "text/plain", "data": "word" * 20}
        },
        "openai audio": {"input_audio": {"data": good, "format": "wav"}},
        "gemini image": {"inlineData": {"mimeType": "application/pdf", "data": safe}},
        "gemini image, padding missing": {
            "inline_data": {"mime_type": "image/png", "data": safe.rstrip("=")}
        },
        "data without a type": {"data": good},
    }
    for name, value in media.items():
        yield _body(f"media {name}", json.dumps({"contents": [value]}))


def _around_the_body() -> Iterator[dict[str, Any]]:
    base = '{"model":"m"}'
    for stream in ("true", "false", "null", "0", '"false"'):
        yield _body(f"stream {stream}", f'{{"model":"m","stream":{stream}}}')
    yield _body("stream false inside", '{"a":{"stream":false}}')
    yield _body("n 1 is not elided", '{"model":"m","n":1}')
    for api in ("openai@azure", "openai@groq", "openai@loopback", "openai@gateway.example.com"):
        yield _body(f"api {api}", base, api=api)
    yield _body("namespace", base, namespace="blue")
    yield _body("method in lower case", base, method="post")
    for query in (
        "",
        "?",
        "?api-version=2024-12-01",
        "?b=2&a=1&b=1",
        "?key=x&alt=sse",
        "?KEY=x&X-Amz-Date=1&token=2",
        "?limit=2&after=item_2",
        "?subscription-key=a&apikey=b&auth_token=c&client_secret=d&x-api-key=e&code=f",
        "?pageToken=a&page_token=b&include[]=c&sort_key=d&country_code=e&purpose=f",
        "?a",
        "?a=",
        "?q=%C3%A9+b",
        "?q=%FF",
        "#fragment",
    ):
        yield _body(
            f"query {query!r}", "", method="GET", url=f"https://api.openai.com/v1/models{query}"
        )
    yield _body("port and scheme", base, url="http://api.openai.com:8080/v1/chat/completions")
    yield _body("no path", base, url="https://api.openai.com")
    yield _body("escaped path", base, url="https://api.openai.com/v1/files/a%2Fb%20c")
    for number, headers in enumerate(
        (
            [["anthropic-version", "2023-06-01"], ["anthropic-beta", "b, a,a"]],
            [["anthropic-beta", "b"], ["anthropic-beta", " a "]],
            [["openai-beta", "assistants=v2"], ["user-agent", "x/1"], ["authorization", "y"]],
            [["x-stainless-retry-count", "2"], ["idempotency-key", "k"], ["api-version", " 7 "]],
            [["anthropic-beta", ""]],
            [["range", "bytes=0-99"]],
            [
                ["x-amzn-bedrock-guardrailidentifier", "g1"],
                ["x-amzn-bedrock-guardrailversion", "2"],
                ["x-amzn-bedrock-performanceconfig-latency", "optimized"],
            ],
            [["x-portkey-provider", "openai"], ["x-portkey-config", "pc-1"]],
            [["openai-organization", "o"], ["openai-project", "p"]],
        )
    ):
        yield _body(f"headers {number}", base, headers=JSON + headers)
    place = "[cas-llm:test:1]"
    yield _body("redacted in the namespace", base, namespace="hush", redact=["hush", place])
    yield _body(
        "redacted in the body", '{"input":"say hush, é, 1.0","n":1.0}', redact=["hush", place]
    )
    yield _body(
        "redacted in a name", '{"hush":1,"z":123456789012345678901}', redact=["hush", place]
    )
    yield _body(
        "redacted in a header",
        base,
        headers=[*JSON, ["openai-beta", "hush"]],
        redact=["hush", place],
    )
    yield _body(
        "redacted in the query",
        "",
        method="GET",
        url="https://a.b/c?d=hush",
        redact=["hush", place],
    )
    yield _body(
        "redacted in the path", "", method="GET", url="https://a.b/hush/c", redact=["hush", place]
    )
    yield _body("redacted in text", "hush now", headers=[], redact=["hush", place])
    yield _body("nothing redacted", base, redact=["hush", place])
    yield _body("a placeholder of the user's own", f'{{"input":"{place}"}}', redact=["hush", place])


def _other_bodies() -> Iterator[dict[str, Any]]:
    form = "application/x-www-form-urlencoded"
    for text in ("a=1&b=2", "b=2&a=1", "a=%C3%A9&a=+", "a", "a=%FF", "long=" + "x" * 3000):
        yield _body(f"form {text[:20]}", text, headers=[["content-type", form]])
    for media_type in ("text/plain", "application/sdp", "application/octet-stream", ""):
        yield _body(
            f"text as {media_type!r}", "v=0\r\no=- 1", headers=[["content-type", media_type]]
        )
    yield {"name": "binary", "base64": "AAECAwQF/w==", "headers": [["content-type", "audio/wav"]]}
    yield _body("JSON without a type", '{"b":1,"a":2.0}', headers=[])
    yield _body("JSON as text", '{"b":1,"a":2.0}', headers=[["content-type", "text/plain"]])
    yield _body(
        "JSON of a vendor",
        '{"b":1}',
        headers=[["content-type", "application/vnd.x+json; charset=utf-8"]],
    )
    for boundary in ("one", "two", "with space"):
        head = [["content-type", f'multipart/form-data; boundary="{boundary}"']]
        fields = [
            'name="purpose"\r\n\r\nbatch',
            'name="file"; filename="a b.csv"\r\nContent-Type: text/csv\r\n\r\nx,y\r\n1,2\r\n',
            'name="empty"\r\n\r\n',
            'name="long"\r\n\r\n' + "x" * 2100,
        ]
        text = "".join(f"--{boundary}\r\nContent-Disposition: form-data; {f}\r\n" for f in fields)
        yield _body(f"multipart {boundary}", text + f"--{boundary}--\r\n", headers=head)
    head = [["content-type", "multipart/form-data; boundary=b"]]
    yield _body(
        "multipart without an end",
        "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1",
        headers=head,
    )
    yield _body("multipart without parts", "--b--\r\n", headers=head)
    mixed = [["content-type", "multipart/mixed; boundary=b"]]
    yield _body(
        "multipart mixed",
        "--b\r\nContent-Type: application/http\r\nContent-ID: <1>\r\n\r\nGET /\r\n--b--",
        headers=mixed,
    )


def _normalisers() -> Iterator[dict[str, Any]]:
    body = json.dumps(
        {
            "model": "m",
            "store": False,
            "n": 1,
            "tools": [{"name": "b"}, {"name": "a"}],
            "messages": [
                {"role": "user", "content": "  Two\r\n  Words at 2026-01-02T03:04:05Z "},
                {"role": "assistant", "tool_calls": [{"id": "call_x", "type": "function"}]},
                {
                    "role": "tool",
                    "tool_call_id": "call_x",
                    "content": '{"at": 12, "b": "2026-01-02"}',
                },
                {
                    "role": "user",
                    "content": "0a6e1b3c-0000-4000-8000-00000000000f twice 0A6E1B3C-0000-4000-8000-00000000000F",
                },
            ],
        }
    )
    for rule in (
        "trim",
        "whitespace",
        "casefold",
        "newlines",
        "uuid",
        "tool-call-id",
        "tool-order",
        "time:$",
        "time:$.messages[2].content.at",
        "time:$.messages[*].content",
        r"regex:call_\w+=>call",
        "ignore:$.messages[2].content.at",
        "ignore:$.messages[*].role",
        "elide:store",
        "elide:n=1",
        "elide:n=2",
        "copy:deepcopy@1",
    ):
        yield _body(f"normaliser {rule}", body, normalise=[rule])
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": f"r{-n}"} for n in (2, 1)]
    told = json.dumps({"messages": [*results, {"role": "user", "content": "a"}, *results]})
    yield _body("normaliser tool-result-order", told, normalise=["tool-result-order"])
    yield _body("normalisers in order", body, normalise=["whitespace", "casefold", "uuid"])


def _chats() -> Iterator[dict[str, Any]]:
    for turns in range(1, 9):
        messages = [
            {
                "role": ("user", "assistant")[n % 2],
                "content": f"Turn {n}: grüß dich 你好 {'🙂' * n}",
            }
            for n in range(turns)
        ]
        body = {
            "model": "gpt-4.1-mini",
            "temperature": turns / 10,
            "max_tokens": 16 * turns,
            "messages": messages,
        }
        yield _body(
            f"chat of {turns}, compact", json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        )
        yield _body(f"chat of {turns}, spaced", json.dumps(body))


def main() -> int:
    """Add what is missing; complain about what changed."""
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    changed = []
    for entry in entries():
        found = {**entry, **outcome(derive(entry))}
        name = found.pop("name")
        if known.setdefault(name, found) != found:
            changed.append(name)
    if changed:
        print(f"not written, {len(changed)} entries would change: {', '.join(changed[:5])}")
        return 1
    FILE.write_text(json.dumps(known, indent=1, ensure_ascii=True) + "\n")
    print(f"{len(known)} entries")
    return 0


if __name__ == "__main__":
    sys.exit(main())
