"""Streams of the OpenAI family, put together into the answer they would have been.

Pure and total: a cut-off stream gives what had arrived.
"""

from __future__ import annotations

from typing import Any

from cas_llm.providers.reading import at, items, mapping, mappings, number, string

_CHUNK_ONLY = {"choices", "object", "obfuscation"}


def assemble(chunks: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The non-stream answer of *chunks*: Responses, chat or legacy completions, or media events."""
    if any(string(chunk.get("type")).startswith("response.") for chunk in chunks):
        return _response(chunks)
    if any("choices" in chunk for chunk in chunks):
        return _completion(chunks)
    last = (".completed", ".done")
    ends = (c for c in reversed(chunks) if string(c.get("type")).endswith(last) or "error" in c)
    return next(ends, None)


def _completion(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    chat = False
    for chunk in chunks:
        for name, value in chunk.items():
            if name not in _CHUNK_ONLY and (value is not None or name not in answer):
                answer[name] = value
        for part in mappings(chunk.get("choices")):
            index = number(part.get("index"))
            choice = choices.setdefault(index, {"index": index})
            chat = _add_choice(choice, part) or chat
    for choice in choices.values():
        _finish(choice)
    answer["object"] = "chat.completion" if chat else "text_completion"
    answer["choices"] = [choices[index] for index in sorted(choices)]
    return answer


def _add_choice(choice: dict[str, Any], part: dict[str, Any]) -> bool:
    """Add one chunk's *part* to its *choice*; whether it is a chat's."""
    for name, value in part.items():
        if name in {"index", "delta"}:
            continue
        if name == "text":
            choice["text"] = string(choice.get("text")) + string(value)
        elif name == "logprobs" and isinstance(value, dict):
            known = mapping(choice.get("logprobs"))
            choice["logprobs"] = accumulate(dict(known), value)
        elif value is not None or name not in choice:
            choice[name] = value
    if "delta" not in part:
        return "message" in part
    choice["message"] = accumulate(mapping(choice.get("message")), mapping(part["delta"]))
    return True


def _finish(choice: dict[str, Any]) -> None:
    message = choice.get("message")
    if not isinstance(message, dict):
        return
    message.setdefault("role", "assistant")
    message.setdefault("content", None)
    for call in mappings(message.get("tool_calls")):
        call.pop("index", None)
        call.setdefault("type", "function")


def accumulate(known: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """Add *delta* to *known* as the SDKs do: strings and numbers add up, lists merge by index."""
    for name, value in delta.items():
        old = known.get(name)
        if isinstance(value, list):
            before = [{"type": "text", "text": old}] if old and isinstance(old, str) else items(old)
            known[name] = _merge(list(before), value)
        elif old is None or name in {"index", "type", "role"}:
            known[name] = value
        elif isinstance(old, dict) and isinstance(value, dict):
            known[name] = accumulate(dict(old), value)
        elif isinstance(old, str) and isinstance(value, str):
            known[name] = old + value
        elif isinstance(old, list) and isinstance(value, str):
            old.append({"type": "text", "text": value})
        elif _countable(old) and _countable(value):
            known[name] = old + value
        elif value is not None:
            known[name] = value
    return known


def _countable(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _merge(known: list[Any], delta: list[Any]) -> list[Any]:
    for entry in delta:
        index = entry.get("index") if isinstance(entry, dict) else None
        same = [
            place
            for place, old in enumerate(known)
            if index is not None and isinstance(old, dict) and old.get("index") == index
        ]
        if same:
            known[same[0]] = accumulate(dict(known[same[0]]), entry)
        else:
            known.append(entry)
    return known


def _response(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    output: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        state = chunk.get("response")
        if isinstance(state, dict):
            answer = state
        elif chunk.get("type") == "error":
            answer = {**answer, "error": chunk.get("error") or chunk}
        else:
            _add_output(output, chunk)
    if output and not items(answer.get("output")):
        answer = {**answer, "output": [output[index] for index in sorted(output)]}
    return answer


def _add_output(output: dict[int, dict[str, Any]], chunk: dict[str, Any]) -> None:
    kind = string(chunk.get("type"))
    index = number(chunk.get("output_index"))
    if kind in {"response.output_item.added", "response.output_item.done"}:
        output[index] = dict(mapping(chunk.get("item")))
        return
    delta = string(chunk.get("delta"))
    if not delta:
        return
    item = output.setdefault(index, {})
    if kind == "response.output_text.delta":
        _add_text(item, "output_text", "text", delta, chunk)
    elif kind == "response.refusal.delta":
        _add_text(item, "refusal", "refusal", delta, chunk)
    elif kind == "response.function_call_arguments.delta":
        item.setdefault("type", "function_call")
        item["arguments"] = string(item.get("arguments")) + delta
    elif kind == "response.custom_tool_call_input.delta":
        item.setdefault("type", "custom_tool_call")
        item["input"] = string(item.get("input")) + delta


def _add_text(
    item: dict[str, Any], kind: str, name: str, delta: str, chunk: dict[str, Any]
) -> None:
    item.setdefault("type", "message")
    item.setdefault("role", "assistant")
    content = [dict(part) for part in mappings(item.get("content"))]
    index = number(chunk.get("content_index"))
    if index >= len(content):
        content.append({"type": kind, name: ""})
        index = len(content) - 1
    content[index][name] = string(at(content[index], name)) + delta
    item["content"] = content
