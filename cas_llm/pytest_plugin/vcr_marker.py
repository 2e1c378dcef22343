"""``vcr = "replace"``: LLM calls of tests with another tool's marker are cas-llm's.

vcrpy (under pytest-recording, pytest-vcr or by itself) and cassetter open their cassettes as ever
and serve other hosts from them; of LLM calls they see none: not one is played, recorded or refused
by them. Nothing is patched unless the setting says so, and all is put back at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from cas_llm.config import Settings
from cas_llm.patching import Ledger, Patches
from cas_llm.session import policy
from cas_llm.session.bindings import current
from cas_llm.transports import httpx_family
from cas_llm.transports.httpx_family import Adapter, pool_is_mocked, to_wire
from cas_llm.wire import Request

_ADAPTERS: dict[str, Adapter] = {}


def take_over(config: pytest.Config, settings: Settings) -> None:
    """Let LLM calls pass through the other recorders until *config* ends, if *settings* say so."""
    if settings.vcr != "replace":
        return
    # The tests keep it where the tool that knew it is no longer installed.
    config.addinivalue_line("markers", "vcr: recorded by another tool before; cas-llm replays it")
    patches = Patches(
        {
            "vcr.cassette": _blind_vcrpy,
            "vcr.stubs.httpx_stubs": _ask_first,
            "cassetter.cassette": _blind_cassetter,
        }
    )
    patches.install()
    config.add_cleanup(patches.remove)


def is_llm(request: Request) -> bool:
    """Whether *request* counts for the session that holds here."""
    binding = current()
    if binding is None:
        return False
    session = binding.session
    return policy.counts(request, session.settings, session.runtime.matched)


def _blind_vcrpy(module: ModuleType, ledger: Ledger) -> None:
    """Let vcrpy's cassettes take an LLM call for one that they were told to ignore."""

    def blind(init: Callable[..., None]) -> Callable[..., None]:
        def __init__(cassette: Any, *args: Any, **options: Any) -> None:  # noqa: N807 - it is one
            init(cassette, *args, **options)
            given = cassette._before_record_request  # noqa: SLF001 - as the stubs ask it
            cassette._before_record_request = lambda r: None if _is_llms(r) else given(r)  # noqa: SLF001

        return __init__

    ledger.wrap(module.Cassette, "__init__", blind)


def _is_llms(request: Any) -> bool:
    """Whether vcrpy's *request* is an LLM call."""
    if request is None:
        return False
    headers = tuple((str(name).lower(), _text(value)) for name, value in request.headers.items())
    body = request.body
    data = body if isinstance(body, bytes) else b""
    return is_llm(Request(str(request.method).upper(), str(request.uri), headers, data))


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _ask_first(module: ModuleType, ledger: Ledger) -> None:
    """Let cas-llm be asked before vcrpy's stub, which has taken the place of its own handler."""
    ledger.wrap(module, "_vcr_handle_request", _before)
    ledger.wrap(module, "_vcr_handle_async_request", _before_async)


def _before(stub: Callable[..., Any]) -> Callable[..., Any]:
    def handle(cassette: Any, real: Any, transport: Any, request: Any, library: Any) -> Any:
        if not isinstance(transport, library.HTTPTransport):
            return stub(cassette, real, transport, request, library)
        genuine = _own(real)

        def call(transport: Any, request: Any) -> Any:
            if _is_asked(request):
                return genuine(transport, request)
            return stub(cassette, genuine, transport, request, library)

        return _adapter(library).around(call, pool_is_mocked)(transport, request)

    return handle


def _before_async(stub: Callable[..., Any]) -> Callable[..., Any]:
    async def handle(cassette: Any, real: Any, transport: Any, request: Any, library: Any) -> Any:
        if not isinstance(transport, library.AsyncHTTPTransport):
            return await stub(cassette, real, transport, request, library)
        genuine = _own(real)

        async def call(transport: Any, request: Any) -> Any:
            if _is_asked(request):
                return await genuine(transport, request)
            return await stub(cassette, genuine, transport, request, library)

        return await _adapter(library).around_async(call, pool_is_mocked)(transport, request)

    return handle


def _own(handler: Any) -> Any:
    """The library's *handler* without cas-llm's around it, which would be asked a second time."""
    while getattr(getattr(handler, "__code__", None), "co_filename", "") == httpx_family.__file__:
        handler = handler.__wrapped__
    return handler


def _adapter(library: ModuleType) -> Adapter:
    return _ADAPTERS.setdefault(library.__name__, Adapter(library))


def _is_asked(request: Any) -> bool:
    """Whether the session has been asked about httpx's *request*: its body was read for that."""
    body = request.content if hasattr(request, "_content") else b""
    return is_llm(to_wire(request, body))


def _blind_cassetter(module: ModuleType, ledger: Ledger) -> None:
    """Let cassetter's cassettes pass an LLM's host by."""

    def blind(bypass: Callable[..., bool]) -> Callable[..., bool]:
        def should_bypass(cassette: Any, uri: str) -> bool:
            return is_llm(Request("POST", uri)) or bypass(cassette, uri)

        return should_bypass

    ledger.wrap(module.Cassette, "should_bypass", blind)
