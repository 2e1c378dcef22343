"""Streams as values: server-sent events taken apart, and the pauses between chunks.

Pure: no socket, no clock, no waiting. Nothing here knows an API family; what an event means is
for `cas_llm.providers` to say.
"""

from __future__ import annotations

from cas_llm.streams.pacing import delays
from cas_llm.streams.sse import Event, SSEParser, parse_events

__all__ = ["Event", "SSEParser", "delays", "parse_events"]
