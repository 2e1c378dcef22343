"""YAML as cassettes need it: values only, and no word of JSON read as anything but itself.

PyYAML's safe loader with two changes. Plain words follow YAML 1.2's core schema, which is what
cassetter writes: a date or `yes` among a body's values is a text. It also reads all that PyYAML
writes, which puts quotes around whatever it would read otherwise. And the few tags that vcrpy puts
on texts, tuples and buffers give their contents; any other one is refused, never run.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from cas_llm.cassettes.exchange import ODD, BadCassette
from cas_llm.cassettes.extent import refuse_boundless

_YAML = "tag:yaml.org,2002:"
_RESOLVERS: tuple[tuple[str, str, str], ...] = (
    ("null", r"(?:~|null|Null|NULL|)\Z", "~nN\0"),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z", "-+0123456789"),
    (
        "float",
        (
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
        "-+.0123456789",
    ),
)


def load(data: bytes) -> Any:
    """The value of the one document in *data*.

    Raises:
        BadCassette: not YAML, or a tag that only running code could give a value, or more than
            can be held.

    """
    import yaml

    loader = _loader()
    try:
        refuse_boundless(data, loader)
        return yaml.load(data, Loader=loader)  # noqa: S506 - a safe loader, made below
    except yaml.constructor.ConstructorError as error:
        raise BadCassette(f"it holds what is no plain value ({_said(error)})") from error
    except (yaml.YAMLError, *ODD) as error:
        raise BadCassette(f"it is not YAML ({_said(error)})") from error


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@functools.cache
def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("CassetteLoader", (base,), {"yaml_implicit_resolvers": {}})
    for name, pattern, first in _RESOLVERS:
        letters = ["" if letter == "\0" else letter for letter in first]
        loader.add_implicit_resolver(f"{_YAML}{name}", re.compile(pattern), letters)
    loader.add_constructor(f"{_YAML}int", _int)
    loader.add_constructor(f"{_YAML}float", _float)
    for word in ("str", "unicode", "bytes"):
        loader.add_constructor(f"{_YAML}python/{word}", _text)
    loader.add_constructor(f"{_YAML}python/tuple", lambda one, node: one.construct_sequence(node))
    loader.add_constructor(f"{_YAML}python/object/new:_io.BytesIO", _first_of("state"))
    loader.add_constructor(f"{_YAML}python/object/apply:builtins.iter", _first_of("args"))
    return loader


def _int(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node)
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text[2:] if base != 10 else text, base)


def _float(loader: Any, node: Any) -> float:
    text = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _text(loader: Any, node: Any) -> Any:
    return loader.construct_scalar(node)


def _first_of(member: str) -> Any:
    """A constructor of what a buffer or an iterator was made from, for the tags vcrpy writes."""

    def construct(loader: Any, node: Any) -> Any:
        held = loader.construct_mapping(node, deep=True).get(member) or ()
        first = held[0] if held else b""
        return first.encode() if isinstance(first, str) else first

    return construct
