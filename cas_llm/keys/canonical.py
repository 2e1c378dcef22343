"""The one text of a JSON value: RFC 8785 numbers and member order, in an indented layout.

Pure, and the bottom of `cas_llm.keys`. The layout is that of ``JSON.stringify(value, null, 2)``
with a final newline. An integer beyond 2^53 - 1, however it was written (below 1e21), becomes
``{"$cas:int": "<digits>"}``: a double can't tell it from its neighbours.

orjson reads and writes only where that is proven safe. Reading: writing the value back gives the
same bytes, so no duplicate name, rounded integer or odd escape was in them. Writing: every name is
ASCII, every number is one whose text all releases of orjson agree on.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import orjson

from cas_llm.keys.rules import MAX_DEPTH

MAX_SAFE = 2**53 - 1
"""The largest integer that is written as a number."""

_FAST = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_WRITE_DEPTH = MAX_DEPTH + 50  # the record around a body adds a few levels


class NotCanonical(ValueError):
    """A text or value has no canonical form; the message says why."""


def parse(data: bytes, *, depth: int = MAX_DEPTH, layout: int = 0) -> Any:
    """The JSON value that *data* holds, exactly; quickest where orjson's *layout* gives it back.

    Raises:
        NotCanonical: not UTF-8 or not JSON, a name twice in one object, NaN or an infinity, a
            number too large for a double, a lone surrogate, or nested deeper than *depth*.

    """
    try:
        value = orjson.loads(data)
        same = orjson.dumps(value, option=layout) == data
    except (ValueError, TypeError):
        same = False
    if data.count(b"[") + data.count(b"{") > depth and _depth(data) > depth:
        raise NotCanonical(f"nested deeper than {depth}")
    return value if same else _parse_exactly(data)


def canonical(value: Any, *, tag: bool = True, plain: bool | None = None) -> bytes:
    """The canonical bytes of *value*; the same value always gives the same bytes.

    It is a fixed point: ``canonical(parse(canonical(v))) == canonical(v)``. With *tag* off, large
    integers are written as their digits. *plain* is what `is_plain` says of *value*, where the
    caller knows it already.

    Raises:
        NotCanonical: NaN, an infinity, a lone surrogate, or something that isn't JSON.

    """
    if is_plain(value) if plain is None else plain:
        try:
            return orjson.dumps(value, option=_FAST)
        except TypeError:  # a lone surrogate or too deep: the exact path says which
            pass
    try:
        return (_write(value, "\n", tag) + "\n").encode()
    except UnicodeEncodeError:
        raise NotCanonical("a lone surrogate has no UTF-8 form") from None


def number_text(number: float) -> str:
    """The ES6 text of a double (RFC 8785 section 3.2.2.3).

    Raises:
        NotCanonical: NaN or an infinity.

    """
    if not math.isfinite(number):
        raise NotCanonical(f"{number} is not a JSON number")
    if number == 0:
        return "0"
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    sign = "-" if number < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"


def is_plain(value: Any) -> bool:
    """Whether orjson writes *value* as this module does, whatever its release.

    A lone surrogate or too deep a nesting is left to `canonical` itself.
    """
    pending = [value]
    for item in pending:
        kind = type(item)
        if kind is str or item is None or kind is bool:
            continue
        if kind is dict:
            for name in item:
                if type(name) is not str or not name.isascii():
                    return False
            pending += item.values()
        elif kind is list:
            pending += item
        elif kind is int:
            if not -MAX_SAFE <= item <= MAX_SAFE:
                return False
        elif kind is not float or not 1e-3 <= abs(item) < 1e6 or item.is_integer():
            return False
    return True


def whole(value: Any) -> Any:
    """The same JSON value with `1.0` as `1`, so that it may be plain; the same object otherwise.

    Half of all requests hold a temperature like that.
    """
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() and abs(value) <= MAX_SAFE else value
    if kind is dict:
        members = {name: whole(item) for name, item in value.items()}
        same = all(members[name] is item for name, item in value.items())
        return value if same else members
    if kind is list:
        items = [whole(item) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    return value


def _write(value: Any, newline: str, tag: bool) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        if not value.is_integer() or abs(value) >= 1e21:
            return number_text(value)
        value = int(value)
    if isinstance(value, int):
        if not tag or -MAX_SAFE <= value <= MAX_SAFE:
            return int.__repr__(value)
        value = {"$cas:int": int.__repr__(value)}
    if len(newline) > 2 * _WRITE_DEPTH:
        raise NotCanonical("nested too deep to be written")
    inner = newline + "  "
    if isinstance(value, dict):
        items = [
            f"{json.dumps(name, ensure_ascii=False)}: {_write(value[name], inner, tag)}"
            for name in sorted(value, key=_utf16)
        ]
        return f"{{{inner}{f',{inner}'.join(items)}{newline}}}" if items else "{}"
    if isinstance(value, list | tuple):
        items = [_write(item, inner, tag) for item in value]
        return f"[{inner}{f',{inner}'.join(items)}{newline}]" if items else "[]"
    raise NotCanonical(f"{type(value).__name__} is not a JSON value")


def _utf16(name: Any) -> bytes:
    if not isinstance(name, str):
        raise NotCanonical(f"the name {name!r} is not a string")
    return name.encode("utf-16-be")


def _parse_exactly(data: bytes) -> Any:
    try:
        text = data.decode()
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_constant=_refuse,
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except NotCanonical:
        raise
    except UnicodeEncodeError:
        raise NotCanonical("a lone surrogate has no UTF-8 form") from None
    except UnicodeDecodeError as error:
        raise NotCanonical(f"not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise NotCanonical(f"not JSON: {error}") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise NotCanonical(f"the name {name!r} stands twice in one object")
            seen.add(name)
    return members


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotCanonical(f"{text} is too large for a double")
    return number


def _refuse(text: str) -> NoReturn:
    raise NotCanonical(f"{text} is not JSON")


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
