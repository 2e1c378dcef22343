"""What a session tells an adapter to do with a request: four plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cas_llm.wire import Response

if TYPE_CHECKING:
    from cas_llm.session.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Mark:
    """What a replayed or recorded response carries out of band, under ``extensions["cas_llm"]``."""

    outcome: str
    key: str = ""
    digest: str = ""
    ordinal: int = 0


@dataclass(frozen=True, slots=True)
class Pass:
    """Not ours: hand the request on untouched."""


@dataclass(frozen=True, slots=True)
class Serve:
    """Give this response; nothing may reach the network.

    `delays` are seconds to wait before each chunk. `read_on` is called when the reader wants more
    of a stream that was closed early when it was recorded; it returns the error to raise.
    """

    response: Response
    mark: Mark
    delays: tuple[float, ...] = field(default=())
    read_on: Callable[[], Exception] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody makes this very call: ask `again` when `over` says so, without blocking a loop."""

    over: Callable[[], bool]
    again: Callable[[], Action]


@dataclass(frozen=True, slots=True)
class Forward:
    """Make the call and tell `recorder` all that comes back; `key` is the request's."""

    recorder: Recorder
    key: str = ""


Action = Pass | Serve | Wait | Forward
