"""pytest-xdist: workers hand what they have to report to the process that distributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from cas_llm.transports import install as transports

if TYPE_CHECKING:
    from cas_llm.pytest_plugin.running import Running

_NAME = "cas_llm_report"


class Workers:
    """Sends a worker's document, and collects them in the distributing process."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            import json

            output[_NAME] = json.dumps(self._running.ending.document())

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self) -> None:
        # A worker is no child of this process's session: it begins one of its own. Joining would
        # import cas_llm before pytest can rewrite its assertions, about which pytest warns.
        transports.silence()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        import json

        text = getattr(node, "workeroutput", {}).get(_NAME)
        if text:
            self._running.workers.append(json.loads(text))


class Latecomers:
    """In the distributing process: starts cas-llm there once a worker has something to report.

    Where only a marker or the fixture asks for it, the workers alone know, as they alone collect.
    """

    def __init__(self, running: Callable[[], Running | None], start: Callable[[], Running]) -> None:
        self._running = running
        self._start = start

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self) -> None:
        # A worker is no child of this process's session: it begins one of its own. Joining would
        # import cas_llm before pytest can rewrite its assertions, about which pytest warns.
        transports.silence()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if self._running() is None and getattr(node, "workeroutput", {}).get(_NAME):
            Workers(self._start()).pytest_testnodedown(node)
