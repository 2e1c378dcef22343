"""pytest-xdist: workers hand what they have to report to the process that distributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

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

            output[_NAME] = json.dumps(self._running.document())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        import json

        text = getattr(node, "workeroutput", {}).get(_NAME)
        if text:
            self._running.workers.append(json.loads(text))
