"""Puts the adapters and the tripwire on with the first session, and takes them off with the last.

Also the way a child process joins its parent's session.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from cas_llm import tripwire
from cas_llm.config import Rank, Said, Settings
from cas_llm.modes import Mode, parse_mode
from cas_llm.patching import Ledger, Patches
from cas_llm.providers import KNOWN_HOSTS, is_provider_host
from cas_llm.session import Problem, Scope, Session, misses, policy, refusals
from cas_llm.session.bindings import Binding, current, push
from cas_llm.session.runs import Run
from cas_llm.session.runtime import Runtime

VARIABLE = "CAS_LLM_SESSION"


def _httpx(module: ModuleType, ledger: Ledger) -> None:
    from cas_llm.transports.httpx_family import patch_library

    patch_library(module, ledger)


def _aiohttp_transport(module: ModuleType, ledger: Ledger) -> None:
    from cas_llm.transports.over_aiohttp import patch_transport

    patch_transport(module, ledger)


def _aiohttp(module: ModuleType, ledger: Ledger) -> None:
    from cas_llm.transports.aiohttp_client import patch_connector

    patch_connector(module, ledger)


def _urllib3(module: ModuleType, ledger: Ledger) -> None:
    from cas_llm.transports.urllib3_family import patch_pools

    patch_pools(module, ledger)


ADAPTERS = Patches(
    {
        "httpx": _httpx,
        "httpx2": _httpx,
        "aiohttp.connector": _aiohttp,
        "urllib3.connectionpool": _urllib3,
        "httpx_aiohttp.transport": _aiohttp_transport,
        "openai._vendor.httpx_aiohttp.transport": _aiohttp_transport,
        "anthropic._vendor.httpx_aiohttp.transport": _aiohttp_transport,
        "litellm.llms.custom_httpx.aiohttp_transport": _aiohttp_transport,
    }
)

_count = 0
_lock = threading.Lock()


class ProviderGuard:
    """Refuses connections to providers in REPLAY and on CI; reports unrecorded ones elsewhere."""

    def judge(self, host: str, port: int | None, how: str) -> str | None:
        """See `cas_llm.tripwire.Guard`."""
        binding = current()
        if binding is None or not _is_watched(host, port, binding):
            return None
        session, scope = binding.session, binding.scope
        mode = session.settings.mode
        barred = mode.live and policy.is_barred_host(host, session.settings)
        if mode is Mode.DISABLED and not barred:
            return None
        if mode.live and not barred:
            unseen = Problem(misses.UNSEEN, scope.name, f"calls to {host}", detail=_UNRECORDED)
            # Looked up, connected, every write: one thing to know.
            if unseen not in scope.problems:
                refusals.report(scope, unseen, session.runtime)
            return None
        kind, why = (misses.LIVE_ON_CI, _BARRED) if barred else (misses.BLOCKED, _REFUSED)
        problem = Problem(kind, scope.name, f"{how} to {host}", detail=why)
        session.runtime.log.blocked += 1
        refusals.report(scope, problem, session.runtime)
        return misses.explain(problem)


_REFUSED = (
    "In replay no request may reach a provider, and this connection is one that no recorder "
    "sees.\nUse a client that cas-llm records (httpx, httpx2, aiohttp, requests, urllib3, "
    "botocore or an SDK on them), "
    "or let the host through: ignore_hosts in [tool.cas-llm]"
)
_BARRED = (
    "CI is set, so no connection may leave this machine for a provider.\n"
    "Allow it:  pytest --cas-llm-live-on-ci   or   CAS_LLM_LIVE_ON_CI=1"
)
_UNRECORDED = (
    "This connection went to a provider past every recorder, so it cannot be replayed.\n"
    "Use a client that cas-llm records (httpx, httpx2, aiohttp, requests, urllib3, "
    "botocore or an SDK on them), "
    "or let the host through: ignore_hosts in [tool.cas-llm]"
)

_guard = ProviderGuard()


def _is_watched(host: str, port: int | None, binding: Binding) -> bool:
    settings = binding.session.settings
    names = {host, f"{host}:{port}"} if port else {host}
    if not names.isdisjoint(settings.ignore_hosts):
        return False
    if is_provider_host(host) or not names.isdisjoint(settings.hosts):
        return True
    # A gateway that was told from its requests' shape; loopback ones are too often the app's own.
    if not policy.is_loopback(host) and not names.isdisjoint(binding.session.runtime.matched):
        return True
    if settings.block_network == "all" and settings.mode is Mode.REPLAY:
        return not policy.is_loopback(host)
    return not policy.is_loopback(host) and not names.isdisjoint(policy.named_hosts())


def install() -> None:
    """Put the adapters and the tripwire on, unless they are; each call needs an `uninstall`."""
    global _count  # noqa: PLW0603
    with _lock:
        _count += 1
        if _count == 1:
            # The adapters on top: both stand where aiohttp's connector hands out a connection.
            tripwire.arm(_guard)
            ADAPTERS.install()


def uninstall() -> None:
    """Undo one `install`; with the last one everything is as it was."""
    global _count  # noqa: PLW0603
    with _lock:
        if _count == 0:
            return
        _count -= 1
        if _count == 0:
            ADAPTERS.remove()
            tripwire.disarm(_guard)


def hold_at_exit(session: Session) -> None:
    """Let *session* hold again while the interpreter exits.

    Some libraries send what is left in their queues then, from handlers that were registered
    before this one and so run after it; what was a replay stays one.
    """

    def hold() -> None:
        install()
        push(Binding(session, Scope()))

    atexit.register(hold)


def announce(binding: Binding) -> None:
    """Let child processes started from now on join *binding*."""
    session = binding.session
    description = {
        **session.runtime.child_description(session.settings, binding.scope),
        "hosts": [*KNOWN_HOSTS, *session.settings.hosts],
    }
    os.environ[VARIABLE] = json.dumps(description)


def silence() -> None:
    """Let child processes started from now on be on their own."""
    os.environ.pop(VARIABLE, None)


def join(text: str) -> None:
    """Join the session that *text* describes, as a child process of it."""
    about: Mapping[str, Any] = json.loads(text)
    settings = _settings(about)
    runtime = Runtime(settings, Run(Path(about["run_dir"]), about["run"]))
    scope = Scope.join(about["scope"])
    runtime.run.note_child(scope.owner)
    install()
    push(Binding(Session(settings, runtime), scope))


def _settings(about: Mapping[str, Any]) -> Settings:
    mode = parse_mode(about["mode"], source=VARIABLE)
    base = Settings(
        said=(Said(Rank.COMMAND_LINE, mode, "the parent process"),), store=Path(about["store"])
    )
    return base.but(VARIABLE, **about["settings"])
