"""One request on its way through the pipeline, with all that was found out about it."""

from __future__ import annotations

from typing import NamedTuple

from cas_llm.keys import KeyRecord
from cas_llm.modes import Mode
from cas_llm.providers import PYTHON, Api
from cas_llm.providers.base import Provider
from cas_llm.session.scopes import Scope
from cas_llm.wire import Request


class Asked(NamedTuple):
    """The `number`-th ask of one key in a scope; `order` is its place among all of them."""

    request: Request
    api: Api
    provider: Provider
    record: KeyRecord
    scope: Scope
    mode: Mode
    repeat: str
    number: int
    order: int
    began: float

    @property
    def key(self) -> str:
        """The request's key."""
        return self.record.key

    @property
    def path(self) -> str:
        """The request's path as it is told and stored: without what was a secret in it."""
        return self.record.path

    @property
    def model(self) -> str:
        """The model the request names, or an empty string."""
        return self.provider.requested_model(self.record.body, self.path)

    @property
    def ask(self) -> tuple[str, ...]:
        """What a tape says of the request."""
        return self.provider.ask(self.record.body)

    @property
    def what(self) -> str:
        """The request in a few words, for messages."""
        if self.api is PYTHON:
            return f"@cached {self.path}"
        return f"{self.request.method} {self.api.name} {self.path}"
