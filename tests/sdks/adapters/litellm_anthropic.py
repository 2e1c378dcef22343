"""litellm on its own HTTP handler: the provider ``anthropic``."""

from __future__ import annotations

from typing import Any

from sdks.adapter import At
from sdks.adapters.litellm import Completions


class LitellmAnthropic(Completions):
    """See the module."""

    variable = "ANTHROPIC_API_KEY"
    made_up = ("id", "created")
    absent = {**Completions.absent, "embeddings": "Anthropic has no embeddings"}

    def to(self, at: At) -> dict[str, Any]:
        return {"model": "anthropic/claude-scripted", "api_base": at.root}


ADAPTER = LitellmAnthropic()
