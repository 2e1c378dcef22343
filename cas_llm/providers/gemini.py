"""The Gemini family: generateContent, streamGenerateContent, embeddings, token counts.

Pure. Google's own clients write camelCase, its proto JSON also takes snake_case: both are read.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import orjson

from cas_llm.providers.base import Generic, Usage, last_turns
from cas_llm.providers.lines import call, encodable, media, tool_result
from cas_llm.providers.reading import at, items, mapping, mappings, number, string
from cas_llm.streams.sse import Event

_MODEL_IN_PATH = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:]+)")
_NORMAL_FINISH = {"", "STOP", "FINISH_REASON_UNSPECIFIED"}
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
_STATUS |= {404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


class Gemini(Generic):
    """See the module."""

    family = "gemini"
    noise: tuple[str, ...] = (
        "$.responseId",
        "$.createTime",
        "$.updateTime",
        "$.expireTime",
        "$.name",
        "$.candidates[*].avgLogprobs",
        "$.candidates[*].content.parts[*].thoughtSignature",
        "$.candidates[*].content.parts[*].functionCall.id",
        "$.candidates[*].content.parts[*].executableCode.id",
        "$.candidates[*].content.parts[*].codeExecutionResult.id",
    )

    def requested_model(self, body: Any, path: str) -> str:
        """The model in the path, else the body's, without ``models/``."""
        found = _MODEL_IN_PATH.search(path)
        named = string(at(body, "model")).rpartition("/")[2]
        return unquote(found[1]) if found else named

    def asked(self, body: Any) -> list[str]:
        """The blocks of `ask`: the last user content, or what is to be embedded."""
        request = mapping(body)
        contents = request.get("contents")
        if isinstance(contents, list):
            turns = [{"role": "user", **turn} for turn in mappings(contents)]
            return [
                _asked_part(part)
                for turn in last_turns(list(turns), own=("model",))
                for part in mappings(turn.get("parts"))
            ]
        single = [contents, request.get("content")]
        many = [entry.get("content") for entry in mappings(request.get("requests"))]
        told = [string(entry.get("content")) for entry in mappings(request.get("instances"))]
        asked = [_asked_part(p) for c in [*single, *many] for p in mappings(at(c, "parts"))]
        return [string(contents), *asked, *told]

    def whole(self, value: Any) -> Any:
        """The answer; a stream that came as one JSON list is assembled."""
        chunks = mappings(value)
        return self.assemble(chunks) if chunks else value

    def assemble(self, chunks: list[dict[str, Any]]) -> Any:
        """The answer of *chunks*: parts in order, neighbouring texts joined, the last counts."""
        answer: dict[str, Any] = {}
        candidates: dict[int, dict[str, Any]] = {}
        for chunk in chunks:
            answer.update({k: v for k, v in chunk.items() if k != "candidates"})
            for part in mappings(chunk.get("candidates")):
                index = number(part.get("index"))
                _add_candidate(candidates.setdefault(index, {}), part)
        if candidates:
            answer["candidates"] = [candidates[index] for index in sorted(candidates)]
        return answer or None

    def answered(self, message: Any) -> list[str]:
        """The blocks of `answer`, candidate by candidate."""
        body = mapping(message)
        shown: list[str] = []
        for candidate in mappings(body.get("candidates")):
            shown += [_answered_part(part) for part in _candidate_parts(candidate)]
            finish = string(candidate.get("finishReason") or candidate.get("finish_reason"))
            if finish not in _NORMAL_FINISH:
                shown.append(f"finish: {finish}")
        blocked = string(at(body, "promptFeedback", "blockReason"))
        if blocked:
            shown.append(f"finish: prompt blocked, {blocked}")
        vectors = len(items(body.get("embeddings"))) or int("embedding" in body)
        if vectors:
            shown.append(f"[{vectors} embedding{'s' * (vectors > 1)}]")
        if not shown and number(body.get("totalTokens")):
            shown.append(f"[{body['totalTokens']} tokens]")
        return shown

    def usage(self, message: Any) -> Usage | None:
        """The answer's `usageMetadata`; thoughts are counted as output, as they are billed."""
        body = mapping(message)
        usage = body.get("usageMetadata") or body.get("usage_metadata")
        if not isinstance(usage, dict):
            return None
        thoughts = _count(usage, "thoughtsTokenCount", "thoughts_token_count")
        prompt = _count(usage, "promptTokenCount", "prompt_token_count")
        tools = _count(usage, "toolUsePromptTokenCount", "tool_use_prompt_token_count")
        said = _count(usage, "candidatesTokenCount", "candidates_token_count")
        return Usage(
            input=prompt + tools,
            output=said + thoughts,
            cached_input=_count(usage, "cachedContentTokenCount", "cached_content_token_count"),
            reasoning=thoughts,
        )

    def resolved_model(self, message: Any) -> str:
        """The answer's `modelVersion`."""
        body = mapping(message)
        return string(body.get("modelVersion") or body.get("model_version"))

    def ends_stream(self, event: Event) -> bool:  # noqa: ARG002  # no event does
        """Never: a Gemini stream ends where the body does."""
        return False

    def error(self, status: int, message: str) -> bytes:
        """An error body as Google's APIs have it."""
        name = _STATUS.get(status, "FAILED_PRECONDITION")
        error = {"code": status, "message": encodable(message), "status": name}
        return orjson.dumps({"error": error})

    def text(self, message: Any) -> str:
        """The text parts of the first candidate, thoughts left out."""
        first = next(iter(mappings(at(message, "candidates"))), {})
        return "".join(
            string(part.get("text")) for part in _candidate_parts(first) if not part.get("thought")
        )


def _count(usage: dict[str, Any], camel: str, snake: str) -> int:
    return number(usage.get(camel)) or number(usage.get(snake))


def _candidate_parts(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    return mappings(at(candidate, "content", "parts"))


def _either(part: dict[str, Any], camel: str, snake: str) -> dict[str, Any]:
    return mapping(part.get(camel)) or mapping(part.get(snake))


def _asked_part(part: dict[str, Any]) -> str:
    result = _either(part, "functionResponse", "function_response")
    if result:
        value = result.get("response")
        only = mapping(value)
        for name in ("result", "output", "return_value"):
            if list(only) == [name]:
                value = only[name]
        return tool_result(value)
    return string(part.get("text")) or _media(part)


def _answered_part(part: dict[str, Any]) -> str:
    if part.get("thought"):
        return ""
    made = _either(part, "functionCall", "function_call")
    if made:
        return call(made.get("name"), made.get("args"))
    code = _either(part, "executableCode", "executable_code")
    if code:
        return call("code_execution", {"code": code.get("code")})
    if _either(part, "codeExecutionResult", "code_execution_result"):
        return "[code execution result]"
    return string(part.get("text")) or _media(part)


def _media(part: dict[str, Any]) -> str:
    found = _either(part, "inlineData", "inline_data") or _either(part, "fileData", "file_data")
    if not found:
        return ""
    kind = string(found.get("mimeType") or found.get("mime_type")).partition("/")[0]
    name = kind if kind in {"image", "audio", "video"} else "file"
    return media(name, found.get("fileUri"), found.get("file_uri"))


def _add_candidate(candidate: dict[str, Any], chunk: dict[str, Any]) -> None:
    content = mapping(candidate.get("content"))
    parts = mappings(content.get("parts"))
    for part in _candidate_parts(chunk):
        last = parts[-1] if parts else {}
        if set(part) == {"text"} and set(last) == {"text"}:
            parts[-1] = {"text": string(last["text"]) + string(part["text"])}
        elif set(part) == {"text", "thought"} and set(last) == {"text", "thought"}:
            parts[-1] = {**last, "text": string(last["text"]) + string(part["text"])}
        else:
            parts.append(part)
    candidate.update(chunk)
    if parts or content:
        candidate["content"] = {**content, **mapping(chunk.get("content")), "parts": parts}
