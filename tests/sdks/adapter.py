"""What the contract asks of an SDK, as a class with one method per feature.

An adapter says how a program uses its SDK and nothing else: it knows no mode, no store and no key.
The SDK is imported by the methods, so that a table of adapters costs no import.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

FEATURES: Mapping[str, str] = {
    "plain": "call",
    "async_plain": "async call",
    "stream": "stream",
    "async_stream": "async stream",
    "tools": "tool call",
    "structured": "structured output",
    "agent": "agent's loop",
    "embeddings": "embeddings",
}
"""What an SDK may be able to do, and how the table calls it."""

TOOL = "weather"
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class At:
    """The server to call, and what to say to it."""

    root: str
    prompt: str = "hello"

    @property
    def url(self) -> str:
        """The base URL with ``/v1``."""
        return f"{self.root}/v1"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """One turn of the user's, in the shape that most SDKs share."""
        return [{"role": "user", "content": self.prompt}]


class Adapter:
    """One SDK. A subclass has a method for each feature of `FEATURES` that the SDK has.

    Each takes an `At`, makes a client that reads its key from `variable`, closes it, and returns
    what a program would see, as values that can be compared. Async ones are coroutine functions.
    `absent` says of each missing feature why; `asks` of each feature that takes more than one
    request, how many; `settings` are environment variables that the SDK wants set.
    """

    package: ClassVar[str]
    variable: ClassVar[str] = "OPENAI_API_KEY"
    asks: ClassVar[Mapping[str, int]] = {}
    absent: ClassVar[Mapping[str, str]] = {}
    settings: ClassVar[Mapping[str, str]] = {}

    @property
    def name(self) -> str:
        """The name of the module, which is how rows and tests call it."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def features(self) -> list[str]:
        """What the SDK can do, in the order of `FEATURES`."""
        return [feature for feature in FEATURES if hasattr(self, feature)]

    @property
    def installed(self) -> bool:
        """Whether the SDK is there."""
        try:
            version(self.package)
        except PackageNotFoundError:
            return False
        return True

    def homes(self) -> list[str]:
        """The URLs that the SDK calls by itself; a layer over another's SDK has none of its own."""
        return []

    def does(self, feature: str, at: At) -> Any:
        """What *feature* gives a program; a coroutine is run to its end."""
        done = getattr(self, feature)(at)
        if inspect.iscoroutine(done):
            import asyncio

            return asyncio.run(done)
        return done


def adapter_named(name: str) -> Adapter:
    """The adapter of the module *name* under ``adapters``."""
    adapter: Adapter = import_module(f"sdks.adapters.{name}").ADAPTER
    return adapter


def comparable(value: Any, without: Iterable[str] = ()) -> Any:
    """A typed value as the name of its class and plain values, so that two can be compared.

    Members called one of *without* are left out, at any depth.
    """
    gone = frozenset(without)
    if dump := getattr(value, "model_dump", None):
        quiet = {"warnings": False} if "warnings" in inspect.signature(dump).parameters else {}
        return type(value).__name__, comparable(dump(**quiet), gone)
    if isinstance(value, Mapping):
        return {name: comparable(one, gone) for name, one in value.items() if name not in gone}
    if isinstance(value, list | tuple):
        return [comparable(one, gone) for one in value]
    if isinstance(value, Enum):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        members = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return type(value).__name__, comparable(members, gone)
    return value


def fruit() -> type[Any]:
    """The class that structured output is asked for."""
    import pydantic

    class Fruit(pydantic.BaseModel):
        name: str
        weight: int

    return Fruit


def weather() -> Callable[[str], str]:
    """The tool that agents call."""

    def weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: where.

        """
        return f"sunny in {city}"

    return weather
