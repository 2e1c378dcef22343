"""`urllib3`, 1.26 and 2, and with it `requests` and botocore: its connection pools.

One attempt of a pool's `urlopen` is one request; the library's own retries and redirects come
back here as further ones. The library's code runs over a copy of the pool: in a hit its
connection is nobody's, in a live call it is the pool's own, overheard. Where somebody else put a
mock in the pool's place or in its connections', the adapter stands aside.
"""
# ruff: noqa: SLF001 - urllib3 has no public seam below its retries

from __future__ import annotations

import copy
import http.client
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import lru_cache
from types import ModuleType
from typing import Any

from urllib3 import _version
from urllib3._collections import HTTPHeaderDict
from urllib3.response import HTTPResponse

from cas_llm import tripwire
from cas_llm.patching import Ledger
from cas_llm.session import Forward, Pass, Serve, policy
from cas_llm.session.bindings import Binding, current
from cas_llm.session.encodings import MEMBERS
from cas_llm.transports.asking import begin, is_settled, outcome
from cas_llm.transports.http1 import LiveFile, replayed
from cas_llm.transports.httpx_family import is_genuine
from cas_llm.transports.replaced import is_handed_over, own_connections
from cas_llm.wire import Headers, Request

_MAKES_RESPONSES = not _version.__version__.startswith("1.")
"""Whether `_make_request` gives urllib3's own response, not yet `http.client`'s."""

_PORTS = {"http": 80, "https": 443}
_HOMES = ("urllib3", "botocore")
Call = Callable[..., Any]


def patch_pools(module: ModuleType, ledger: Ledger) -> None:
    """Wrap the pools of *module* (`urllib3.connectionpool`), unless a mock stands there."""
    pool = module.HTTPConnectionPool
    if is_genuine(inspect.unwrap(pool.urlopen), "urllib3"):
        ledger.wrap(pool, "urlopen", _urlopen)


def _urlopen(call: Call) -> Call:
    def urlopen(  # noqa: PLR0917 - as in urllib3
        pool: Any,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        retries: Any = None,
        *more: Any,
        **named: Any,
    ) -> Any:
        binding = current()
        if binding is None or is_settled() or _is_mocked(pool):
            return call(pool, method, url, body, headers, retries, *more, **named)
        sent = pool.headers if headers is None else headers
        asked = Request(method.upper(), _absolute(pool, url), _wire_headers(sent))
        if not _may_count(asked, body, binding):
            return call(pool, method, url, body, headers, retries, *more, **named)
        whole = _whole(body)
        action = outcome(begin(binding, replace(asked, body=whole)))
        if isinstance(action, Serve):
            over = _over_nothing(pool, action)
            # A refusal must reach the program at once, whatever it retries.
            again = retries if action.mark.outcome == "hit" else False
            return call(over, method, url, whole, headers, again, *more, **named)
        sent = _without_controls(sent)
        body = body if isinstance(body, str | bytes | None) else whole
        if isinstance(action, Pass):
            return call(pool, method, url, body, sent, retries, *more, **named)
        live = _Live(pool, action, asked.host)
        with live:
            return call(live.pool, method, url, body, sent, retries, *more, **named)

    return urlopen


def _over_nothing(pool: Any, serve: Serve) -> Any:
    """A copy of *pool* that answers with *serve*."""

    def make_request(_connection: Any, method: str, url: str, **options: Any) -> Any:
        response = replayed(serve, method.upper())
        return _own_response(response, method, url, options) if _MAKES_RESPONSES else response

    return _copy(
        pool,
        _get_conn=lambda *_args, **_named: _NoConnection(),
        _put_conn=lambda _connection: None,
        _prepare_proxy=lambda _connection: None,
        _make_request=make_request,
    )


def _copy(pool: Any, **steps: Call) -> Any:
    """A copy of *pool*, on the same connections, that takes *steps* in its own way."""
    over = copy.copy(pool)
    # A retry or a redirect is a request of its own.
    vars(over).update(steps, urlopen=pool.urlopen)
    return over


class _NoConnection:
    """What stands for the connection of a hit; it reaches nobody."""

    timeout: Any = None
    sock = "none"
    is_closed = False
    proxy = None
    has_connected_to_proxy = True

    def close(self) -> None:
        """Nothing is open."""


def _own_response(
    response: http.client.HTTPResponse, method: str, url: str, options: Mapping[str, Any]
) -> Any:
    """urllib3's response over `http.client`'s, as its connections make it."""
    made = HTTPResponse(
        body=response,
        headers=HTTPHeaderDict(response.msg.items()),
        status=response.status,
        version=response.version,
        reason=response.reason,
        preload_content=options.get("preload_content", True),
        decode_content=options.get("decode_content", True),
        original_response=response,
        enforce_content_length=options.get("enforce_content_length", True),
        request_method=method,
        request_url=url,
    )
    made.version_string = "HTTP/1.1"
    made.retries = options.get("retries")
    return made


class _Live:
    """One live attempt: `pool` makes it, and leaving the block with an error gives it up."""

    def __init__(self, pool: Any, action: Forward, host: str) -> None:
        self._genuine = pool = own_connections(pool)
        self._recorder = action.recorder
        self._held = ExitStack()
        self._held.enter_context(tripwire.allowed(host))
        self.pool = _copy(
            pool,
            _get_conn=self._given_up_on_error(pool._get_conn),
            _put_conn=pool._put_conn,
            _prepare_proxy=self._given_up_on_error(pool._prepare_proxy),
            _make_request=self._given_up_on_error(self._make_request),
        )

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        self._recorder.fail(error)
        self._held.close()

    def _given_up_on_error(self, step: Call) -> Call:
        # Not only where the block is left: by then the library may have tried again.
        def run(*args: Any, **named: Any) -> Any:
            try:
                return step(*args, **named)
            except BaseException as error:
                self._give_up(error)
                raise

        return run

    def _make_request(self, *args: Any, **options: Any) -> Any:
        if not _MAKES_RESPONSES:
            response = self._genuine._make_request(*args, **options)
            self._overhear(response, response.msg.items())
            return response
        at_once = options.pop("preload_content", True)
        response = self._genuine._make_request(*args, preload_content=False, **options)
        low = getattr(response, "_original_response", None)
        if low is None:  # HTTP/2, which urllib3 reads as a whole
            self._note(response.status, response.headers.items())
            self._recorder.chunk(response.data)
            self._recorder.end()
            self._held.close()
            return response
        self._overhear(low, response.headers.items())
        if at_once:
            response._body = response.read(decode_content=options.get("decode_content", True))
        return response

    def _overhear(self, low: Any, headers: Iterable[tuple[str, str]]) -> None:
        self._note(low.status, headers)
        if low.fp is None:
            self._recorder.end()
            self._held.close()
        else:
            low.fp = LiveFile(low, self._recorder, self._held.close)

    def _note(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self._recorder.head(status, _lower(headers), _READABLE)


_READABLE = frozenset({*HTTPResponse.CONTENT_DECODERS, MEMBERS})


def _may_count(asked: Request, body: Any, binding: Binding) -> bool:
    """Whether reading the body is worth while; an upload that can't count stays a stream."""
    session = binding.session
    if session.every_request or isinstance(body, str | bytes | None):
        return True
    return policy.may_count(asked, session.settings, session.runtime.matched)


def _whole(body: Any) -> bytes:
    """All of a request's body, in any of the forms that urllib3 takes."""
    if body is None:
        return b""
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        return body.encode("utf-8")
    with suppress(TypeError):  # an array says numbers when it is iterated, and is sent as bytes
        return bytes(memoryview(body))
    return b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in body)


def _absolute(pool: Any, url: str) -> str:
    """The URL that *url*, a path or a proxy's absolute URL, stands for in *pool*."""
    if not url.startswith("/"):
        return url
    host = f"[{pool.host}]" if ":" in pool.host else pool.host
    port = "" if pool.port in {None, _PORTS.get(pool.scheme)} else f":{pool.port}"
    return f"{pool.scheme}://{host}{port}{url}"


def _wire_headers(headers: Mapping[Any, Any]) -> Headers:
    return _lower((_text(name), _text(value)) for name, value in headers.items())


def _lower(headers: Iterable[tuple[str, str]]) -> Headers:
    return tuple((name.lower(), value) for name, value in headers)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _without_controls(headers: Any) -> Any:
    """*headers*, or a copy without the per-call controls; they are not for the provider."""
    controls = [name for name in headers if _text(name).lower() in policy.CONTROL_HEADERS]
    if controls:
        headers = headers.copy()
        for name in controls:
            del headers[name]
    return headers


def _is_mocked(pool: Any) -> bool:
    """Whether somebody else answers in the pool's place, or in its connections'."""
    make = getattr(getattr(pool, "_make_request", None), "__func__", None)
    connection = pool.ConnectionCls
    asked = [getattr(connection, name, None) for name in _ASKED]
    below = _connects(connection, *asked) or all(map(is_handed_over, asked))
    return not (_is_own(make) and below)


_ASKED = ("request", "getresponse")
_BELOW = http.client.HTTPConnection


@lru_cache(maxsize=64)
def _connects(connection: Any, *_asked: object) -> bool:
    """Whether the class *connection* speaks HTTP in the library's way, with *_asked* as it is."""
    for name in _ASKED:
        bases = getattr(connection, "__mro__", ())
        owner = next((base for base in bases if name in vars(base)), None)
        # Tracing tools patch http.client's own, which still connects.
        if owner is None or not (owner is _BELOW or _is_own(vars(owner)[name])):
            return False
    return True


@lru_cache(maxsize=64)
def _is_own(function: Any) -> bool:
    """Whether *function* is urllib3's or botocore's, nobody's replacement."""
    return any(is_genuine(function, home) for home in _HOMES)
