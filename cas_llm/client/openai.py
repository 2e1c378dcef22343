"""The openai package's clients, with every request recorded and replayed.

Subclasses: they take what the originals take, and ``cas_llm=`` beside it. Imports openai, so it is
imported only when a client is asked for. Works with openai 1.40 and later, 2 and 3.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

import openai

from cas_llm.config import read_option
from cas_llm.modes import Mode
from cas_llm.session import Scope, policy
from cas_llm.session.explicit import Explicit
from cas_llm.transports.one_client import EXTENSION, watch

Options = Mode | str | Mapping[str, Any]

_OWN_KEYS = {"api_key", "admin_api_key", "workload_identity", "provider"}
_AZURE_KEYS = {"api_key", "azure_ad_token", "azure_ad_token_provider", "workload_identity"}


def _read(options: Options | None, source: str) -> Options | None:
    if not isinstance(options, Mapping) or options.get("store") is None:
        return options
    return {**options, "store": read_option("store", options["store"], source)}


class _Recorded:
    """What the four clients have in common; stands before openai's class in each."""

    _client: Any
    _explicit: Explicit
    _key_names = _OWN_KEYS
    _key_variables: tuple[str, ...] = ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY")

    def __init__(self, *, cas_llm: Options | Explicit | None = None, **options: Any) -> None:
        name = f"{type(self).__name__}(cas_llm=…)"
        self._explicit = (
            cas_llm
            if isinstance(cas_llm, Explicit)
            else Explicit(_read(cas_llm, name), source=name, every_request=True)
        )
        if self._lacks_key(options) and self._explicit.settings().placeholder_keys:
            options["api_key"] = policy.PLACEHOLDER
        super().__init__(**options)
        watch(self._client)

    def copy(
        self,
        *,
        cas_llm: Options | None = None,
        _extra_kwargs: Mapping[str, Any] = {},
        **options: Any,
    ) -> Self:
        """The same client with other options; ``cas_llm=`` replaces how it is recorded."""
        extra = {**_extra_kwargs, "cas_llm": self._explicit if cas_llm is None else cas_llm}
        copied: Self = super().copy(_extra_kwargs=extra, **options)  # type: ignore[misc]
        return copied

    with_options = copy

    def recorded_in(self) -> Scope:
        """The scope in which a request made here and now would be counted."""
        return self._explicit.binding().scope

    def _lacks_key(self, options: Mapping[str, Any]) -> bool:
        return not any(options.get(name) for name in self._key_names) and not any(
            os.environ.get(variable) for variable in self._key_variables
        )


class _Sync(_Recorded):
    def _prepare_request(self, request: Any) -> None:
        super()._prepare_request(request)  # type: ignore[misc]
        request.extensions[EXTENSION] = self._explicit.binding


class _Async(_Recorded):
    async def _prepare_request(self, request: Any) -> None:
        await super()._prepare_request(request)  # type: ignore[misc]
        request.extensions[EXTENSION] = self._explicit.binding


class _Azure:
    _key_names = _AZURE_KEYS
    _key_variables = ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN")


class OpenAI(_Sync, openai.OpenAI):
    """`openai.OpenAI`, with every request recorded and replayed.

    *cas_llm* is a mode or a mapping of what `cas_llm.use` takes; without it what holds around the
    request decides: a test, a ``use()`` block, else the settings. Without an API key the client
    can be made and replays; a call that would need the key fails and says so.

    Raises:
        ConfigError: a value in *cas_llm* is not one it may have.

    """


class AsyncOpenAI(_Async, openai.AsyncOpenAI):
    """`openai.AsyncOpenAI`, with every request recorded and replayed; see `OpenAI`."""


class AzureOpenAI(_Azure, _Sync, openai.AzureOpenAI):  # type: ignore[misc]
    """`openai.AzureOpenAI`, with every request recorded and replayed; see `OpenAI`."""


class AsyncAzureOpenAI(_Azure, _Async, openai.AsyncAzureOpenAI):  # type: ignore[misc]
    """`openai.AsyncAzureOpenAI`, with every request recorded and replayed; see `OpenAI`."""
