r"""Named normalisers: what a project may declare not to matter in its requests.

Opt-in, applied to JSON bodies only, in the order the project gives, and named in the key record.
What a built-in one does is part of ``cas-llm/key/1``; one of the project's own carries its version
in its name.

==================================  ============================================================
``trim``                            white space at both ends of every string
``whitespace``                      runs of white space become one space, ends are trimmed
``casefold``                        upper and lower case
``newlines``                        ``\r\n`` and ``\r`` become ``\n``
``time:PATH``                       dates and times in strings at PATH, numbers at PATH
``uuid``                            UUIDs become ``<uuid:1>``, ... in order of appearance
``regex:PATTERN=>NAME``             every match in a string becomes ``<NAME>``
``tool-call-id``                    ids of tool calls become ``<call:1>``, ... everywhere
``tool-order``                      the order of the top-level ``tools``
``tool-result-order``               the order of tool results that follow each other
``ignore:PATH``                     what stands at PATH
``elide:FIELD``                     a top-level FIELD that is null, false or empty
``elide:FIELD=JSON``                a top-level FIELD with just this value
``package.module:function@version`` ``function(body) -> body``
==================================  ============================================================
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import groupby
from typing import Any

from cas_llm.errors import ConfigError
from cas_llm.keys.canonical import NotCanonical, canonical, parse
from cas_llm.keys.paths import DROP, edit, steps_of, strings

Normaliser = Callable[[Any], Any]

UUID = re.compile(
    r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9a-fA-F])"
)
TIME = re.compile(
    r"(?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)?"
    r"(?!\d)|(?<![\d:])\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?(?![\d:])"
)
_WHITE = re.compile(r"\s+")
_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*@\S+\Z")
_CALL_FIELDS = frozenset({"tool_call_id", "tool_use_id", "call_id"})
_CALL_TYPES = frozenset({"function", "tool_use", "server_tool_use", "function_call", "custom"})
_CALL_PARENTS = frozenset(
    {"tool_calls", "functionCall", "functionResponse", "function_call", "function_response"}
)
_RESULTS = frozenset({"functionResponse", "function_response", "toolResult"})
_EMPTY: tuple[Any, ...] = (None, False, "", [], {})


@lru_cache(maxsize=256)
def normaliser(rule: str) -> Normaliser:
    """The function that *rule* names: body in, body out.

    Raises:
        ConfigError: no such normaliser, or a malformed argument; names the nearest.

    """
    word, colon, argument = rule.partition(":")
    if not colon and word in _SIMPLE:
        return _SIMPLE[word]
    if colon and word in _WITH_ARGUMENT:
        if not argument:
            raise ConfigError(f"normaliser {rule!r} lacks its argument: {_usage(word)}")
        return _WITH_ARGUMENT[word](argument)
    if _OWN.match(rule):
        return _imported(rule)
    if word in _SIMPLE:
        raise ConfigError(f"normaliser {word!r} takes no argument: write {word!r}, not {rule!r}")
    if word in _WITH_ARGUMENT:
        raise ConfigError(f"normaliser {rule!r} lacks its argument: {_usage(word)}")
    if colon and "." in word:
        raise ConfigError(f"normaliser {rule!r} lacks its version: write {rule.rstrip('@')}@1")
    names = [*_SIMPLE, *_WITH_ARGUMENT]
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(f"unknown normaliser {rule!r}: {hint}known are {', '.join(names)}")


def _usage(word: str) -> str:
    example = {"regex": "regex:PATTERN=>NAME", "elide": "elide:FIELD or elide:FIELD=JSON"}
    return f"write {example.get(word, word + ':$.messages[*].content')}"


def _each_string(change: Callable[[str], str]) -> Normaliser:
    return lambda body: strings(body, change)


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _uuids(body: Any) -> Any:
    seen: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        return seen.setdefault(match[0].lower(), f"<uuid:{len(seen) + 1}>")

    return strings(_in_order(body), lambda text: UUID.sub(name, text))


def _in_order(value: Any) -> Any:
    """*value* with members sorted, so that counting doesn't depend on how it was written."""
    if isinstance(value, list):
        return [_in_order(item) for item in value]
    if isinstance(value, dict):
        return {name: _in_order(value[name]) for name in sorted(value)}
    return value


def _call_ids(body: Any) -> Any:
    seen: dict[str, str] = {}

    def walk(value: Any, parent: str) -> Any:
        if isinstance(value, list):
            return [walk(item, parent) for item in value]
        if not isinstance(value, dict):
            return value
        is_call = parent in _CALL_PARENTS or value.get("type") in _CALL_TYPES
        return {
            name: seen.setdefault(item, f"<call:{len(seen) + 1}>")
            if isinstance(item, str) and (name in _CALL_FIELDS or (is_call and name == "id"))
            else walk(item, name)
            for name, item in value.items()
        }

    return walk(_in_order(body), "")


def _tool_order(body: Any) -> Any:
    tools = body.get("tools") if isinstance(body, dict) else None
    return {**body, "tools": sorted(tools, key=canonical)} if isinstance(tools, list) else body


def is_tool_result(item: Any) -> bool:
    """Whether *item* of a conversation is what a tool gave back, in the shape of any family."""
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    return (
        item.get("role") == "tool"
        or kind == "tool_result"
        or (isinstance(kind, str) and kind.endswith("_call_output"))
        or not _RESULTS.isdisjoint(item)
    )


def _result_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _result_order(item) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    found: list[Any] = []
    for together, group in groupby(map(_result_order, value), is_tool_result):
        items = list(group)
        found += sorted(items, key=canonical) if together else items
    return found


def _time(path: str) -> Normaliser:
    steps = steps_of(path)

    def blank(value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return "<time>"
        return strings(value, lambda text: TIME.sub("<time>", text))

    return lambda body: edit(body, steps, blank)


def _regex(argument: str) -> Normaliser:
    pattern, arrow, name = argument.rpartition("=>")
    if not arrow or not pattern or not name:
        raise ConfigError(f"normaliser 'regex:{argument}' is malformed: {_usage('regex')}")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"normaliser 'regex:{argument}': bad pattern: {error}") from None
    return _each_string(lambda text: compiled.sub(lambda _: f"<{name}>", text))


def _ignore(path: str) -> Normaliser:
    steps = steps_of(path)
    if not steps:
        raise ConfigError("normaliser 'ignore:$' would ignore the whole body: name a member")
    return lambda body: edit(body, steps, lambda _: DROP)


def _elide(argument: str) -> Normaliser:
    field, equals, text = argument.partition("=")
    wanted = [canonical(value) for value in _EMPTY]
    if equals:
        try:
            wanted = [canonical(parse(text.encode()))]
        except NotCanonical as error:
            raise ConfigError(f"normaliser 'elide:{argument}': the value is {error}") from None

    def drop(body: Any) -> Any:
        if not isinstance(body, dict) or field not in body or canonical(body[field]) not in wanted:
            return body
        return {name: value for name, value in body.items() if name != field}

    return drop


def _told(error: Exception) -> str:
    """What was raised, in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ImportError) else f"{type(error).__name__}: {text}"


def _imported(rule: str) -> Normaliser:
    from importlib import import_module

    module, _, rest = rule.partition(":")
    name = rest.partition("@")[0]
    try:
        found: Any = getattr(import_module(module), name, None)
    except Exception as error:  # a module may raise anything while it is imported
        raise ConfigError(f"normaliser {rule!r} can't be imported: {_told(error)}") from error
    if not callable(found):
        raise ConfigError(f"normaliser {rule!r}: module {module!r} has no function {name!r}")

    def checked(body: Any) -> Any:
        try:
            new = found(body)
        except Exception as error:
            raise ConfigError(
                f"normaliser {rule!r} failed ({_told(error)}): it must take any JSON body, "
                "whichever API it is of"
            ) from error
        try:
            canonical(new)
        except NotCanonical as error:
            raise ConfigError(f"normaliser {rule!r} returned no JSON value: {error}") from None
        return new

    return checked


_SIMPLE: dict[str, Normaliser] = {
    "trim": _each_string(str.strip),
    "whitespace": _each_string(lambda text: _WHITE.sub(" ", text).strip()),
    "casefold": _each_string(str.casefold),
    "newlines": _each_string(_newlines),
    "uuid": _uuids,
    "tool-call-id": _call_ids,
    "tool-order": _tool_order,
    "tool-result-order": _result_order,
}
_WITH_ARGUMENT: dict[str, Callable[[str], Normaliser]] = {
    "time": _time,
    "regex": _regex,
    "ignore": _ignore,
    "elide": _elide,
}
