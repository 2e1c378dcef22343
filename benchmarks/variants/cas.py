"""cas-llm as it is installed, and its session alone, below the SDK and the transport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asking import UPSTREAM, Call, sdk
from payloads import Kind

from variants import Variant


class Cas(Variant):
    """`cas_llm.use("replay")` and the SDK's own client; recordings made outside any test."""

    durable = False

    def __init__(self) -> None:
        self._block: Any = None
        self._session: Any = None

    def build(self, root: Path, kind: Kind, count: int) -> None:
        from stores import fill_shared

        fill_shared(root, kind, count)

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        self._enter("replay", root)
        return sdk(kind, is_async=is_async)

    def recorder(self, root: Path, kind: Kind) -> Call:
        import os

        import httpx2

        os.environ["CAS_LLM_DURABLE"] = "true" if self.durable else "false"
        self._enter("fallback", root)
        from cas_llm.session.bindings import current
        from cas_llm.transports.httpx_family import Adapter

        upstream, adapter = UPSTREAM.transport(kind), Adapter(httpx2)

        class Transport(httpx2.BaseTransport):
            """What wraps the real transport when cas-llm is on, around the upstream instead."""

            def handle_request(self, request: Any) -> Any:
                binding = current()
                if binding is None:
                    raise RuntimeError("cas-llm is not on")
                return adapter.handle(binding, upstream.handle_request, request)

        return sdk(kind, Transport())

    def missed(self) -> int:
        sums = self._session.runtime.log.sums
        return int(sums.missed + sums.live)

    def has_recorded(self, count: int) -> bool:
        return bool(self._session.runtime.log.sums.stored == count)

    def close(self) -> None:
        if self._block is not None:
            self._block.__exit__(None, None, None)

    def _enter(self, mode: str, root: Path) -> Any:
        import cas_llm

        self._block = cas_llm.use(mode, store=root)
        self._session = self._block.__enter__()
        return self._session


class CasDurable(Cas):
    """The same, with each write synced to the disk before a call returns."""

    durable = True


class Tapes(Cas):
    """A script that finds its answers on the tapes of other people's tests, by the index."""

    def build(self, root: Path, kind: Kind, count: int) -> None:
        from stores import fill_tapes

        fill_tapes(root, kind, count)


class Bare(Cas):
    """A hit of the session alone: redaction, key, look-up, digest, ordinal, log; no SDK."""

    through_sdk = False
    is_async = False

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        del is_async
        from stores import wire_requests

        from cas_llm.session import Scope

        session, scope, request_of = self._enter("replay", root), Scope(), wire_requests(kind)
        return lambda number: session.begin(request_of(number), scope)

    def is_right(self, result: Any, number: int) -> bool:
        return f'"chatcmpl-{number}"'.encode() in result.response.body[:200]


class BareTapes(Bare):
    """The same in a test's own scope, whose tape holds ten answers; each test is opened anew."""

    def build(self, root: Path, kind: Kind, count: int) -> None:
        from stores import fill_tapes

        fill_tapes(root, kind, count)

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        del is_async
        from stores import scope_of, wire_requests

        from cas_llm.session import Kind as ScopeKind
        from cas_llm.session import Scope

        session, request_of = self._enter("replay", root), wire_requests(kind)

        def ask(number: int) -> Any:
            scope = Scope(scope_of(number), ScopeKind.TEST, staged=True)
            return session.begin(request_of(number), scope)

        return ask
