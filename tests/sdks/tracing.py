"""The tracing of openai-agents, which is on by default: run by the matrix, in its row.

Its exporter posts to OpenAI's own host from a thread of its own, whatever the base URL.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from sdks.adapter import At, adapter_named
from sdks.runs import run
from support.provider import ScriptedProvider

CELL = ("cell", "openai_agents tracing on: in replay no trace is sent, and none is a miss")


@pytest.fixture
def traced(monkeypatch):
    """The adapter with tracing left on, and a key for the exporter."""
    import agents

    sdk = adapter_named("openai_agents")
    monkeypatch.setenv(sdk.variable, "x" * 20)
    monkeypatch.setattr(agents, "set_tracing_disabled", lambda disabled: None)
    agents.tracing.get_trace_provider().set_disabled(disabled=False)
    return sdk


def flush():
    from agents.tracing import get_trace_provider

    get_trace_provider().force_flush()


def test_a_replay_with_tracing_on_sends_no_trace(traced, store, caplog, record_property):
    """The traces are swallowed: no miss, no live call, no error of the exporter's."""
    record_property(*CELL)
    with ScriptedProvider() as provider:
        at = At(provider.root)
        with run("capture", store):
            recorded = traced.does("agent", at)
    with caplog.at_level(logging.INFO), run("replay", store) as session:
        assert traced.does("agent", at) == recorded
        flush()
        assert session.runtime.log.sums.missed == 0
    said = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("TELEMETRY POST api.openai.com") for line in said)
    assert not any("non-fatal" in line for line in said)


def test_a_miss_with_tracing_on_is_one_miss(traced, store, record_property):
    """The trace of a run that failed is no second miss."""
    import cas_llm

    record_property(*CELL)
    with ScriptedProvider() as provider:
        at = At(provider.root)
        with run("capture", store):
            traced.does("plain", at)
    with pytest.raises(cas_llm.CacheMiss) as missed, run("replay", store):
        with pytest.raises(Exception, match="not recorded"):
            traced.does("plain", replace(at, prompt="goodbye"))
        flush()
    assert len(missed.value.misses) == 1
