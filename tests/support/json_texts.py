"""JSON texts, good, odd and broken, and what they mean: an oracle slower than the product.

The meaning of a text is a nested tuple in which members have no order and numbers have a value and
no spelling; two texts mean the same exactly when their meanings are equal.
"""

from __future__ import annotations

import json
import random
from typing import Any

import rfc8785
from hypothesis import strategies as st

from cas_llm.keys.rules import MAX_DEPTH

MAX_SAFE = 2**53 - 1
# fmt: off
NUMBERS = (
    "0", "-0", "0.0", "-0.0", "1", "1.0", "1e0", "10e-1", "100E-2", "0.1", "0.10", "1e-7", "1E-7",
    "123456.789", "1e21", "1e20", "1e400", "-1e400", "1e-400", "5e-324", "9007199254740991",
    "9007199254740992", "9007199254740993", "9007199254740993.0", "-9007199254740993", "1e16",
    "18446744073709551615", "18446744073709551616", "123456789012345678901234567890",
    "1" + "0" * 21, "9" * 400, "9" * 5000, "0.30000000000000004", "333333333.33333329", "2.5E+3",
)
TOKENS = (
    *NUMBERS, "NaN", "Infinity", "-Infinity", "nan", "01", "+1", ".5", "1.", "0x1", "True",
    "null", "true", "false", "{", "}", "[", "]", "{}", "[]", ":", ",", '"', "\\", " ", "\n", "\t",
    '"a"', '""', '"a":1', ',"a":1', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"😀"',
    '"\\u0061"', '"\\/"', '"\\n"', '"\\u000a"', '"\\u0000"', '"\\x"', "\x00", "\u2028", "\ufeff",
    '"$cas:int"', '{"$cas:int":"9007199254740993"}', '"$cas:part"', '"$cas:$cas:int"', '"\\u0024cas:int"',
    '{"$cas:part":"' + "0" * 64 + '","type":"txt"}', '"__proto__"', '"stream"', '"stream":false',
    "[" * 190, "]" * 190, "[" * 210, '{"a":' * 201, "//", "/**/", "'a'",
)
# fmt: on
BYTES = (
    *(token.encode() for token in TOKENS),
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf5\x80\x80\x80",
)
STRINGS = st.sampled_from(
    [token for token in TOKENS if token.startswith('"') and token.endswith('"') and len(token) > 1]
) | st.text(max_size=6).map(json.dumps)
SCALARS = (
    st.sampled_from(NUMBERS)
    | st.sampled_from(["null", "true", "false", "NaN", "Infinity", "01", "1."])
    | STRINGS
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.integers().map(str)
)
_SPACE = st.sampled_from(["", "", "", " ", "\n  ", "\t", "\r\n"])


def _list(items: list[str], space: str) -> str:
    return f"[{space}{f',{space}'.join(items)}{space}]"


def _object(members: list[tuple[str, str]], space: str) -> str:
    inner = f",{space}".join(f"{name}{space}:{space}{item}" for name, item in members)
    return f"{{{space}{inner}{space}}}"


def texts(leaves: int = 8) -> st.SearchStrategy[bytes]:
    """JSON texts; most are valid, some hold a name twice, NaN, a lone surrogate or the like."""
    return st.recursive(
        SCALARS,
        lambda inner: (
            st.builds(_list, st.lists(inner, max_size=4), _SPACE)
            | st.builds(_object, st.lists(st.tuples(STRINGS, inner), max_size=4), _SPACE)
        ),
        max_leaves=leaves,
    ).map(lambda text: text.encode("utf-8", "surrogatepass"))


class _NoMeaning(ValueError):
    pass


def meaning(data: bytes) -> tuple[Any, ...] | None:
    """What the JSON text *data* says, or None where it has no one meaning."""
    try:
        found = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=lambda pairs: ("object", pairs),
            parse_float=_number,
            parse_int=_integer,
            parse_constant=_none,
        )
        return _normal(found, 0)
    except (ValueError, RecursionError):
        return None


def _none(text: str) -> Any:
    raise _NoMeaning(text)


def _integer(text: str) -> tuple[str, Any]:
    if len(text) > 4300:  # Python's own limit, the same on both sides
        raise _NoMeaning(text)
    return "number", int(text)


def _number(text: str) -> tuple[str, Any]:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _NoMeaning(text)
    whole = abs(value) < 1e21 and value == int(value)
    return ("number", int(value)) if whole else ("double", value.hex())


def _normal(value: Any, depth: int) -> tuple[Any, ...]:
    if isinstance(value, list) or (isinstance(value, tuple) and value[0] == "object"):
        if depth == MAX_DEPTH:
            raise _NoMeaning("too deep")
        if isinstance(value, list):
            return "array", *(_normal(item, depth + 1) for item in value)
        members = [(_text(name), _normal(item, depth + 1)) for name, item in value[1]]
        if len({name for name, _ in members}) < len(members):
            raise _NoMeaning("a name twice")
        return "object", *sorted(members, key=lambda member: member[0].encode("utf-16-be"))
    if isinstance(value, str):
        return "string", _text(value)
    return value if isinstance(value, tuple) else ("constant", str(value))


def _text(text: str) -> str:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise _NoMeaning("a lone surrogate")
    return text


def written(told: tuple[Any, ...], newline: str = "\n") -> str:
    """The canonical text of a meaning, without its final newline."""
    kind, *rest = told
    inner = newline + "  "
    if kind == "array":
        items = [written(item, inner) for item in rest]
    elif kind == "object":
        items = [f"{_rfc(name)}: {written(item, inner)}" for name, item in rest]
    elif kind == "number" and not -MAX_SAFE <= rest[0] <= MAX_SAFE:
        return f'{{{inner}"$cas:int": "{rest[0]}"{newline}}}'
    elif kind == "constant":
        return {"None": "null", "True": "true", "False": "false"}[rest[0]]
    else:
        return _rfc(float.fromhex(rest[0]) if kind == "double" else rest[0])
    start, end = "[]" if kind == "array" else "{}"
    return f"{start}{inner}{f',{inner}'.join(items)}{newline}{end}" if items else start + end


def _rfc(value: Any) -> str:
    return rfc8785.dumps(value).decode()


def respelled(told: tuple[Any, ...], rng: random.Random) -> str:
    """Another JSON text with the same meaning: members, space, escapes and numbers differ."""
    kind, *rest = told
    space = rng.choice(("", "", " ", "\n", "\t \r\n"))
    if kind == "array":
        return f"[{space}{f'{space},'.join(respelled(item, rng) for item in rest)}{space}]"
    if kind == "object":
        rng.shuffle(rest)
        members = (f"{_spelled(name, rng)}{space}:{respelled(item, rng)}" for name, item in rest)
        return f"{{{space}{f',{space}'.join(members)}{space}}}"
    if kind == "string":
        return _spelled(rest[0], rng)
    if kind == "double":
        return rng.choice((repr, "{:.17e}".format, "{:.20E}".format))(float.fromhex(rest[0]))
    if kind == "number":
        return _respelled_number(rest[0], rng)
    return {"None": "null", "True": "true", "False": "false"}[rest[0]]


def _respelled_number(value: int, rng: random.Random) -> str:
    if value == 0:
        return rng.choice(("0", "-0", "0.0", "-0.0", "0e0", "0E+9", "-0.00e-7"))
    exact = ("{}", "{}.0", "{}e0", "{}.00E+00", "{}0e-1") if abs(value) < 10**15 else ("{}",)
    return rng.choice(exact).format(value)


def _spelled(text: str, rng: random.Random) -> str:
    chars = []
    for char in text:
        if rng.random() < 0.2:
            pair = char.encode("utf-16-be")
            chars += [f"\\u{pair[i : i + 2].hex()}" for i in range(0, len(pair), 2)]
        elif char == "/" and rng.random() < 0.5:
            chars.append("\\/")
        else:
            chars.append(json.dumps(char, ensure_ascii=False)[1:-1])
    return f'"{"".join(chars)}"'
