"""Prices are known or unknown, never guessed and never an error."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.prices import about, money, price
from cas_llm.providers import Usage

USED = Usage(input=100_000, output=10_000)
DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("api", "model", "amount"),
    [
        ("openai", "gpt-4o-mini", 0.021),
        ("openai", "gpt-4o-mini-2024-07-18", 0.021),
        ("openai@azure", "gpt-4o-mini-2024-07-18", 0.021),
        ("openai@openrouter", "openai/gpt-4o-mini", 0.021),
        ("anthropic", "claude-sonnet-4-5-20250929", 0.45),
        ("openai@loopback", "whatever", 0.0),
    ],
)
def test_a_known_model_has_its_price(api, model, amount):
    """A dated model name, another host and this machine have the right price."""
    assert price(api, model, USED, at=DAY) == pytest.approx(amount)


def test_a_date_nobody_priced_is_the_price_of_the_model():
    """A new snapshot of a known model isn't unknown."""
    assert price("openai", "gpt-4o-mini-2031-01-02", USED, at=DAY) == pytest.approx(0.021)


@pytest.mark.parametrize(
    ("api", "model"),
    [
        ("openai", "no-such-model"),
        ("openai@my.host", "gpt-4o"),
        ("openai", ""),
        ("http@x", "m"),
        ("", "m"),
    ],
)
def test_an_unknown_price_is_none(api, model):
    """What nobody knows is None."""
    assert price(api, model, USED) is None


def test_cached_tokens_are_cheaper():
    """Tokens read from the cache cost less; more of them than input tokens change nothing."""
    cached = price("openai", "gpt-4o-mini", Usage(1000, 0, cached_input=1000), at=DAY)
    assert cached < price("openai", "gpt-4o-mini", Usage(1000, 0), at=DAY)
    over = Usage(1000, 0, cached_input=5000, cache_write=5000)
    assert price("openai", "gpt-4o-mini", over, at=DAY) == cached


APIS = st.text(max_size=8) | st.sampled_from(["openai", "gemini@vertex", "openai@groq"])
MODELS = st.text(max_size=12) | st.sampled_from(["gpt-4o", "gemini-2.5-pro"])


@settings(max_examples=60, deadline=None)
@given(APIS, MODELS, st.builds(Usage, *[st.integers()] * 5))
def test_nothing_makes_it_raise(api, model, usage):
    """Whatever is asked, the answer is an amount or None."""
    amount = price(api, model, usage)
    assert amount is None or amount >= 0


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        (float("nan"), "unknown"),
        (0, "$0.00"),
        (0.00001, "<$0.0001"),
        (0.0001, "$0.0001"),
        (0.00123, "$0.0012"),
        (0.0099, "$0.0099"),
        (0.00999, "$0.01"),
        (0.031, "$0.031"),
        (0.03, "$0.03"),
        (0.42, "$0.42"),
        (1234.5, "$1,234.50"),
        (-0.42, "-$0.42"),
    ],
)
def test_money_is_short_and_honest(amount, text):
    """Small amounts keep the digits that matter; an unknown one is called so."""
    assert money(amount) == text


@pytest.mark.parametrize(
    ("amount", "told"), [(0.42, "about $0.42"), (0.00001, "under $0.0001"), (0.0, "about $0.00")]
)
def test_an_estimate_is_said_to_be_one(amount, told):
    """What is too small to be shown is a bound, not an estimate of a bound."""
    assert about(amount) == told
