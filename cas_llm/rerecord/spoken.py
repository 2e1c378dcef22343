"""What an answer said that a later request may quote, and what a request quotes: texts and ids.

Pure. Told from the parsed answer, whichever family it is of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cas_llm.providers.base import Provider

LONG = 16
_SAID = frozenset(
    {"content", "text", "arguments", "output_text", "refusal", "thinking", "signature"}
)
_SAID_BELOW = frozenset({"input", "args", "arguments"})
_QUIET = frozenset(
    {"object", "role", "type", "model", "finish_reason", "stop_reason", "status", "name"}
    | {"system_fingerprint", "service_tier", "modelVersion", "finishReason", "instructions"}
)
_SHORTEST_ID = 6
_ANSWERING = frozenset({"assistant", "model", "CHATBOT", "chatbot"})
_SERVER_FIELDS = frozenset(
    {"previous_response_id", "conversation", "thread_id", "file_id", "file_ids", "batch_id"}
    | {"assistant_id", "vector_store_id", "vector_store_ids", "container", "cachedContent"}
    | {"cached_content", "input_file_id", "training_file", "response_id", "run_id"}
)
_SERVER_PATH = re.compile(
    r"/(?:files|threads|batches|responses|conversations|vector_stores|assistants|cachedContents|"
    r"jobs|containers)/[^/]+"
)


@dataclass(frozen=True)
class Spoken:
    """The strings of an answer: what the model said, and what else is its alone, ids above all."""

    said: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()

    @property
    def long(self) -> frozenset[str]:
        """The strings that nobody says by chance."""
        return self.ids | {text for text in self.said if len(text) >= LONG}

    @property
    def all(self) -> frozenset[str]:
        """All strings."""
        return self.ids | self.said


def spoken(provider: Provider, message: Any, asked: str) -> Spoken:
    """What *message* says; ids are those that its own request *asked* does not hold."""
    said: dict[str, None] = {}
    ids: dict[str, None] = {}
    for name, text, is_said in _leaves(message, "", said=False):
        if is_said:
            said |= dict.fromkeys(_with_parts(text))
        elif name not in _QUIET and len(text) >= _SHORTEST_ID and text not in asked:
            ids[text] = None
    said |= dict.fromkeys(_with_parts(provider.text(message)))
    return Spoken(frozenset(said), frozenset(ids) - frozenset(said))


def texts(value: Any) -> Iterator[str]:
    """All strings in a body, those in JSON texts too, as a program quotes them."""
    for _, text, _ in _leaves(value, "", said=False):
        yield from _with_parts(text)


def replies(body: Any) -> Iterator[str]:
    """What a request quotes as said by the model: the turns that are not the program's."""
    if not isinstance(body, Mapping):
        return
    for name in ("messages", "input", "contents", "chat_history"):
        turns = body.get(name)
        for turn in turns if isinstance(turns, list) else ():
            if isinstance(turn, Mapping) and turn.get("role") in _ANSWERING:
                yield from (text.strip() for _, text, _ in _leaves(turn, "", said=False))


def server_side(body: Any, path: str) -> str:
    """The name of something that only the provider's server knows, if the request needs it."""
    if found := _SERVER_PATH.search(path):
        return found[0]
    pending = [body]
    for item in pending:
        if isinstance(item, list):
            pending += item
        elif isinstance(item, Mapping):
            pending += item.values()
            for name in _SERVER_FIELDS & item.keys():
                value = item[name]
                value = value.get("id") if isinstance(value, Mapping) else value
                value = value[0] if isinstance(value, list) and value else value
                if isinstance(value, str) and value and value != "auto":
                    return f"{name} {value}"
    return ""


def holds(text: str, quoted: str) -> bool:
    """Whether *quoted* stands in *text*, not as a part of longer words."""
    at = text.find(quoted)
    while at >= 0:
        end = at + len(quoted)
        starts = at == 0 or not (text[at - 1].isalnum() and quoted[0].isalnum())
        ends = end == len(text) or not (text[end].isalnum() and quoted[-1].isalnum())
        if starts and ends:
            return True
        at = text.find(quoted, at + 1)
    return False


def _leaves(value: Any, name: str, *, said: bool) -> Iterator[tuple[str, str, bool]]:
    """Each string with the name it stands under, and whether the model said it."""
    if isinstance(value, str):
        if value.strip():
            yield name, value, said or name in _SAID
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, str(key), said=said or key in _SAID_BELOW)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, name, said=said)


def _with_parts(text: str) -> Iterator[str]:
    """*text*, and where it is JSON the strings and numbers in it."""
    bare = text.strip()
    if bare:
        yield bare
    if bare[:1] in {"{", "["}:
        try:
            value = json.loads(bare)
        except ValueError:
            return
        yield from (part.strip() for _, part, _ in _leaves(value, "", said=True))
