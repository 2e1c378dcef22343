"""What a request looks like: the family that its path and its body belong to.

Pure. A path alone is never proof (an application's own ``/forms/1/responses``), so each path
comes with the shape that a body sent there must have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from cas_llm.providers.reading import items, mapping

_Shape = Callable[[dict[str, Any]], bool]


def _messages(body: dict[str, Any]) -> bool:
    """A talk: a list of messages with roles."""
    talk = items(body.get("messages"))
    return bool(talk) and all(isinstance(mapping(m).get("role"), str) for m in talk)


def _modelled(*names: str) -> _Shape:
    """A `model` and one of *names*."""

    def shape(body: dict[str, Any]) -> bool:
        return isinstance(body.get("model"), str) and any(
            isinstance(body.get(name), (str, list, dict)) for name in names
        )

    return shape


def _anthropic(body: dict[str, Any]) -> bool:
    named = isinstance(body.get("model"), str) or "anthropic_version" in body
    return named and _messages(body)


def _cohere_chat(body: dict[str, Any]) -> bool:
    return isinstance(body.get("message"), str) or (
        isinstance(body.get("model"), str) and _messages(body)
    )


def _contents(body: dict[str, Any]) -> bool:
    names = ("contents", "content", "requests", "instances")
    return any(isinstance(body.get(name), (dict, list, str)) and body[name] for name in names)


def _invoked(body: dict[str, Any]) -> bool:
    return bool(items(body.get("messages"))) or any(
        isinstance(body.get(name), str) for name in ("prompt", "inputText", "inputs")
    )


_V = r"(?:^|/)(?:v\d\w*|openai)"
_ROUTES: tuple[tuple[str, re.Pattern[str], _Shape], ...] = (
    (
        "gemini",
        re.compile(
            r":(?:generateContent|streamGenerateContent|(?:batchE|asyncBatchE|e)mbedContents?"
            r"|countTokens|predict|computeTokens)\Z"
        ),
        _contents,
    ),
    (
        "bedrock",
        re.compile(r"/model/[^/]+/(?:invoke|converse)(?:-(?:with-response-)?stream)?\Z"),
        _invoked,
    ),
    (
        "anthropic",
        re.compile(r":(?:rawPredict|streamRawPredict)\Z"),
        _messages,
    ),
    ("openai", re.compile(r"(?:^|/)chat/completions\Z"), _messages),
    (
        "openai",
        re.compile(rf"(?:{_V}|^|/deployments/[^/]+)/responses(?:/compact)?\Z"),
        _modelled("input"),
    ),
    ("openai", re.compile(r"(?:^|/)completions\Z"), _modelled("prompt")),
    ("openai", re.compile(r"(?:^|/)embeddings\Z"), _modelled("input")),
    (
        "openai",
        re.compile(r"(?:^|/)images/(?:generations|edits|variations)\Z"),
        _modelled("prompt"),
    ),
    ("openai", re.compile(r"(?:^|/)audio/speech\Z"), _modelled("input")),
    ("openai", re.compile(r"(?:^|/)moderations\Z"), _modelled("input")),
    (
        "anthropic",
        re.compile(r"(?:^|/v1)/messages(?:/count_tokens)?\Z"),
        _anthropic,
    ),
    ("anthropic", re.compile(r"/v1/complete\Z"), _modelled("prompt")),
    ("cohere", re.compile(r"/v[12]/chat\Z"), _cohere_chat),
    ("cohere", re.compile(r"/v[12]/embed\Z"), _modelled("texts", "inputs", "images")),
    ("cohere", re.compile(r"/v[12]/rerank\Z"), _modelled("documents")),
    ("cohere", re.compile(r"/v1/(?:de)?tokenize\Z"), _modelled("text", "tokens")),
)

_BODILESS = (
    (
        "openai",
        re.compile(rf"{_V}/(?:responses|conversations|vector_stores|realtime|audio)(?:/|\Z)"),
    ),
    ("openai", re.compile(r"(?:^|/)audio/(?:transcriptions|translations|speech)\Z")),
    ("openai", re.compile(r"(?:^|/)images/(?:edits|variations)\Z")),
    ("anthropic", re.compile(r"(?:^|/)v1/messages/batches(?:/|\Z)")),
    ("gemini", re.compile(r"(?:^|/)v1(?:alpha|beta)\d*/(?:models|files|cachedContents)(?:/|\Z)")),
    ("openai", re.compile(r"(?:^|/)v1/(?:models|files|batches|uploads|fine_tuning)(?:/|\Z)")),
)


def family_of_call(path: str, body: Any) -> str:
    """The family of a call to *path* with the JSON *body*, or an empty string.

    Both must fit: a known path whose body has another shape belongs to no family.
    """
    if not isinstance(body, dict):
        return ""
    for family, route, shape in _ROUTES:
        if route.search(path) and shape(body):
            return family
    return ""


def family_of_path(path: str) -> str:
    """The family whose path *path* looks like, or an empty string: a guess without a body."""
    for family, route, _ in _ROUTES:
        if route.search(path):
            return family
    return next((family for family, route in _BODILESS if route.search(path)), "")
