"""When providers shut models down: dates, and where they were read. A table, nothing else.

They hold for a provider's own hosts; a cloud that resells a model has dates of its own. Wrong or
missing ones are put right in ``[tool.cas-llm.stale] models = {"name" = "2026-01-31"}``. Read on
2026-11-21 from what each provider publishes:

- OpenAI: https://developers.openai.com/api/docs/deprecations
- Anthropic: https://platform.claude.com/docs/en/about-claude/model-deprecations
- Google: https://ai.google.dev/gemini-api/docs/deprecations
"""

from __future__ import annotations

from datetime import date

_OPENAI = {
    "2024-09-13": "gpt-3.5-turbo-0301 gpt-3.5-turbo-0613 gpt-3.5-turbo-16k-0613",
    "2025-06-06": "gpt-4-32k gpt-4-32k-0314 gpt-4-32k-0613",
    "2025-07-14": "gpt-4.5-preview gpt-4.5-preview-2025-02-27",
    "2025-07-28": "o1-preview o1-preview-2024-09-12",
    "2026-10-23": "gpt-3.5-turbo gpt-3.5-turbo-0125 gpt-4 gpt-4-0613 gpt-4-1106-preview "
    "gpt-4-turbo gpt-4-turbo-2024-04-09 gpt-4o-2024-05-13 gpt-4.1-nano gpt-4.1-nano-2025-04-14 o1 "
    "o1-2024-12-17 o1-pro o1-pro-2025-03-19 o3-mini o3-mini-2025-01-31 o4-mini "
    "o4-mini-2025-04-16",
    "2026-12-11": "gpt-5 gpt-5-2025-08-07 gpt-5-mini gpt-5-mini-2025-08-07 gpt-5-nano "
    "gpt-5-nano-2025-08-07 gpt-5-pro o3 o3-pro",
    "2027-01-14": "gpt-4o gpt-4o-mini gpt-4o-mini-2024-07-18 gpt-4.1 gpt-4.1-2025-04-14 "
    "gpt-4.1-mini gpt-4.1-mini-2025-04-14",
}
_ANTHROPIC = {
    "2024-11-06": "claude-1.0 claude-1.1 claude-1.2 claude-1.3 claude-instant-1.0 "
    "claude-instant-1.1 claude-instant-1.2",
    "2025-07-21": "claude-2.0 claude-2.1 claude-3-sonnet-20240229",
    "2026-01-05": "claude-3-opus-20240229",
    "2026-06-15": "claude-sonnet-4-20250514 claude-opus-4-20250514",
    "2026-08-05": "claude-opus-4-1 claude-opus-4-1-20250805",
}
_GOOGLE = {
    "2025-12-02": "gemini-2.5-pro-preview-03-25 gemini-2.5-pro-preview-05-06 "
    "gemini-2.5-pro-preview-06-05",
}
_TABLES = {"openai": _OPENAI, "anthropic": _ANTHROPIC, "gemini": _GOOGLE}

RETIRED: dict[str, dict[str, date]] = {
    api: {
        model: date.fromisoformat(day) for day, models in table.items() for model in models.split()
    }
    for api, table in _TABLES.items()
}
"""For each API family, what its provider's models are called and when they are shut down."""
