"""Arguments and results as JSON: what goes into a key, and what comes back from an answer.

Pure. Only JSON values, dataclasses and pydantic models are known; anything else is a TypeError
that names the place, because a guess would make two calls one. pydantic is imported only where a
result has to be rebuilt.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_PLAIN: frozenset[Any] = frozenset({str, int, float, bool, type(None)})
_TYPE = "$type"


class NotJSON(TypeError):
    """A value that has no JSON form; `where` is its place and `kind` its type."""

    def __init__(self, where: str, value: object, reason: str = "") -> None:
        self.where = where
        self.kind = type(value).__name__
        article = "an" if self.kind[:1].lower() in "aeiou" else "a"
        super().__init__(f"{where} is {article} {self.kind}{reason and f' ({reason})'}")


def tagged(value: Any, where: str) -> Any:
    """*value* as JSON that tells apart what a function could: types are named, tuples are too.

    Raises:
        NotJSON: *value* holds something else than JSON values, dataclasses and pydantic models.

    """
    if type(value) is tuple:
        return {_TYPE: "tuple", "items": [tagged(v, w) for v, w in _items(value, where)]}
    if type(value) is dict:
        items = {_escaped(name): tagged(v, w) for name, v, w in _members(value, where)}
    elif is_model(value):
        items = {_TYPE: _name(type(value)), **_dump(value, where, exclude_unset=False)}
    elif _is_dataclass(value):
        items = {_TYPE: _name(type(value))}
        items |= {name: tagged(v, w) for name, v, w in _fields(value, where)}
    else:
        return _plain(value, where, tagged)
    return items


def dumped(value: Any, where: str, *, rebuilt: bool) -> Any:
    """*value* as the JSON that is stored; with *rebuilt* an annotation says what it was.

    Raises:
        NotJSON: *value* holds something that can't be stored, or that nothing would rebuild.

    """

    def inner(value: Any, where: str) -> Any:
        return dumped(value, where, rebuilt=rebuilt)

    if type(value) is dict:
        return {name: inner(v, w) for name, v, w in _members(value, where)}
    if rebuilt and type(value) is tuple:
        return [inner(v, w) for v, w in _items(value, where)]
    if rebuilt and is_model(value):
        return _dump(value, where, exclude_unset=True)
    if rebuilt and _is_dataclass(value):
        return {name: inner(v, w) for name, v, w in _fields(value, where)}
    return _plain(value, where, inner)


def is_model(value: Any) -> bool:
    """Whether *value* is a pydantic model's instance."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def return_annotation(function: Callable[..., Any]) -> Any:
    """What *function* says it returns; Any where it says nothing that can be resolved."""
    hint = getattr(function, "__annotations__", {}).get("return", Any)
    if hint is None:
        return type(None)
    if not isinstance(hint, str):
        return hint
    said = types.SimpleNamespace(__annotations__={"return": hint})
    try:
        names = {**function.__globals__, **_closure(function)}
        return typing.get_type_hints(said, names, include_extras=True)["return"]
    except Exception:  # noqa: BLE001 - a name only a type checker sees; the result must be JSON
        return Any


def _closure(function: Callable[..., Any]) -> dict[str, Any]:
    import inspect

    return dict(inspect.getclosurevars(function).nonlocals)


def rebuilder(annotation: Any) -> Callable[[Any], Any] | None:
    """How to make a result of JSON into what *annotation* says; None where it is JSON itself.

    Raises:
        TypeError: *annotation* is neither JSON, nor a dataclass, nor a model, nor made of these.

    """
    if not _needs_rebuilding(annotation):
        return None
    from pydantic import TypeAdapter

    adapter = TypeAdapter(annotation)
    return adapter.validate_python


def _needs_rebuilding(annotation: Any) -> bool:
    """Whether there is a dataclass or a model anywhere in *annotation*."""
    if annotation is Any or annotation in _PLAIN or annotation in {list, dict}:
        return False
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and origin is None:
        if dataclasses.is_dataclass(annotation) or _is_model_class(annotation):
            return True
        if typing.is_typeddict(annotation):
            return _any_needs_rebuilding(typing.get_type_hints(annotation).values())
    if isinstance(origin, type) and _is_model_class(origin):
        return True
    if origin is typing.Literal:
        return False
    if origin is typing.Annotated:
        return _needs_rebuilding(inside[0])
    if origin in {list, typing.Union, types.UnionType}:
        return _any_needs_rebuilding(inside)
    if origin is dict and inside[0] is str:
        return _needs_rebuilding(inside[1])
    raise TypeError(
        f"{annotation!r} can't be rebuilt from a recording; results are JSON values, dataclasses "
        "or pydantic models, also in list[...], dict[str, ...] and | None"
    )


def _any_needs_rebuilding(annotations: Iterable[Any]) -> bool:
    # All are looked at: one that can't be rebuilt must not hide behind one that must be.
    return sum(map(_needs_rebuilding, annotations)) > 0


def _is_model_class(annotation: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(annotation, pydantic.BaseModel)


def _is_dataclass(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _plain(value: Any, where: str, inner: Callable[[Any, str], Any]) -> Any:
    if type(value) is list:
        return [inner(v, w) for v, w in _items(value, where)]
    if type(value) not in _PLAIN:
        raise NotJSON(where, value)
    if type(value) is float and not math.isfinite(value):
        raise NotJSON(where, value, "JSON has no infinities and no NaN")
    return value


def _items(value: Any, where: str) -> Iterator[tuple[Any, str]]:
    for number, item in enumerate(value):
        yield item, f"{where}[{number}]"


def _members(value: Any, where: str) -> Iterator[tuple[str, Any, str]]:
    for name, item in value.items():
        if type(name) is not str:
            raise NotJSON(f"a member's name in {where}", name)
        yield name, item, f"{where}[{name!r}]"


def _fields(value: Any, where: str) -> Iterator[tuple[str, Any, str]]:
    for field in dataclasses.fields(value):
        yield field.name, getattr(value, field.name), f"{where}.{field.name}"


def _dump(model: Any, where: str, *, exclude_unset: bool) -> dict[str, Any]:
    try:
        text = model.model_dump(
            mode="json", by_alias=True, exclude_unset=exclude_unset, warnings=False
        )
        json.dumps(text, allow_nan=False)
    except ValueError as error:  # pydantic's serialisation error is one
        raise NotJSON(where, model, str(error)) from error
    return dict(text)


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _escaped(name: str) -> str:
    """A user's own member that looks like the type's gets one more sign."""
    return f"${name}" if name.startswith("$") and name.lstrip("$") == "type" else name
