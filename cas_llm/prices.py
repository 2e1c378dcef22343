"""What a call costs, in US dollars.

Pure but for `genai_prices`, whose table of prices is imported when the first price is asked for;
the network is never asked. A price that isn't known is None, never a guess and never an error.
"""

from __future__ import annotations

import math
import re
from datetime import datetime

from cas_llm.providers.base import Usage

_FREE = {"loopback", "local"}
_PRICED_AS = {
    "gemini": ("google",),
    "vertex": ("google", "anthropic"),
    "bedrock": ("aws", "anthropic"),
    "azure": ("azure", "openai"),
    "github": ("azure", "openai"),
    "xai": ("x-ai",),
    "moonshot": ("moonshotai",),
    "zhipu": ("zhipuai", "zai"),
    "voyage": ("voyageai",),
    "huggingface": ("huggingface_together", "huggingface_novita"),
}
_SUFFIX = re.compile(r"[-@](?:20\d{2}-\d{2}-\d{2}|20\d{6}|latest|preview|v\d+:\d+)\Z")


def price(api: str, model: str, usage: Usage, *, at: datetime | None = None) -> float | None:
    """The price of one call in US dollars, or None where it isn't known.

    *api* is the name in the key (``openai``, ``openai@groq``); a call to loopback is free. A
    model without a price of its own is looked up without its date. *at* picks the price of a day
    for the models whose prices changed; without it the newest is taken.
    """
    family, _, place = api.partition("@")
    provider = place or family
    if provider in _FREE:
        return 0.0
    if not model:
        return None
    for name in _names(model):
        for priced in _PRICED_AS.get(provider, (provider,)):
            amount = _look_up(priced, name, usage, at)
            if amount is not None:
                return amount
    return None


def money(amount: float | None) -> str:
    """*amount* for people: ``$0.0001``, ``$0.031``, ``$0.42``, ``unknown``."""
    if amount is None or not math.isfinite(amount):
        return "unknown"
    sign, size = ("-", -amount) if amount < 0 else ("", amount)
    if size == 0:
        return "$0.00"
    if size < 0.00005:
        return f"{sign}<$0.0001" if not sign else "$0.00"
    if size >= 0.0995:
        return f"{sign}${size:,.2f}"
    digits = f"{size:.3f}" if size >= 0.00995 else f"{size:.4f}"
    whole, _, cents = digits.partition(".")
    return f"{sign}${whole}.{cents[:2]}{cents[2:].rstrip('0')}"


def about(amount: float) -> str:
    """*amount* as an estimate: ``about $0.42``, ``under $0.0001``."""
    told = money(amount)
    return f"under {told[1:]}" if told.startswith("<") else f"about {told}"


def _names(model: str) -> tuple[str, ...]:
    """*model*, then without its date or tag, then without a path before it."""
    bare = model.rpartition("/")[2]
    return tuple(dict.fromkeys((model, _SUFFIX.sub("", model), bare, _SUFFIX.sub("", bare))))


def _look_up(provider: str, model: str, usage: Usage, at: datetime | None) -> float | None:
    try:
        import genai_prices

        # some servers count one token as read from and as written to their cache
        read = min(usage.cached_input, usage.input)
        tokens = genai_prices.Usage(
            input_tokens=usage.input,
            output_tokens=usage.output,
            cache_read_tokens=read or None,
            cache_write_tokens=min(usage.cache_write, usage.input - read) or None,
        )
        found = genai_prices.calc_price(
            tokens, model, provider_id=provider, genai_request_timestamp=at
        )
        amount = float(found.total_price)
    except Exception:  # noqa: BLE001  # whatever a table of prices trips over, the call went well
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None
