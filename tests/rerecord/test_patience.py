"""Waits: what a server names is believed, up to a bound; else they double and are spread."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from cas_llm.rerecord.budget import Budget
from cas_llm.rerecord.patience import Patience, may_pass, retry_after

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "said", "seconds"),
    [
        ("retry-after", "7", 7.0),
        ("retry-after", "0.5", 0.5),
        ("retry-after-ms", "250", 0.25),
        ("retry-after", format_datetime(NOW + timedelta(seconds=9), usegmt=True), 9.0),
        ("retry-after", format_datetime(NOW - timedelta(seconds=9), usegmt=True), 0.0),
        ("retry-after", "soon", None),
        ("retry-after", "-1", None),
        ("retry-after", "nan", None),
        ("x-other", "7", None),
    ],
)
def test_a_time_is_read_in_every_form(name: str, said: str, seconds: float | None) -> None:
    """Seconds, milliseconds, a date in the future or the past; nonsense is nothing."""
    assert retry_after(((name, said),), lambda: NOW) == seconds


def test_waits_double_up_to_the_longest_and_end() -> None:
    """Without a word of the server's the wait doubles; after the last attempt there is none."""
    patience = Patience(attempts=5, first=1.0, longest=3.0)
    assert [patience.wait(n, None, 1.0) for n in range(1, 6)] == [1.0, 2.0, 3.0, 3.0, None]
    assert patience.wait(1, None, 0.0) == 0.5


def test_a_server_that_asks_for_too_long_is_not_asked_again() -> None:
    """What it names is kept to, a little spread; more than the longest wait ends it."""
    patience = Patience(attempts=5, longest=60.0)
    assert patience.wait(1, 10.0, 0.0) == 10.0
    assert patience.wait(1, 10.0, 1.0) == 11.0
    assert patience.wait(1, 61.0, 0.0) is None


@pytest.mark.parametrize(
    ("status", "passes"), [(429, True), (500, True), (529, True), (401, False)]
)
def test_only_what_may_pass_is_asked_again(status: int, passes: bool) -> None:
    """A wrong key stays wrong."""
    assert may_pass(status) is passes


def test_a_budget_holds_back_what_is_under_way() -> None:
    """Spent and expected together reach the limit; then only free calls begin."""
    budget = Budget(1.0)
    assert budget.begin(0.6)
    assert budget.begin(0.6)
    assert not budget.begin(0.1)
    assert budget.begin(0)
    budget.end(0.6, 0.1)
    assert budget.begin(0.1)
    budget.end(0.6, 0.95)
    budget.end(0.1, None)
    assert budget.is_out
    assert not budget.begin(None)
    assert budget.unknown == 1


def test_no_money_means_no_call() -> None:
    """A limit of nothing lets nothing begin that may cost something."""
    assert not Budget(0.0).begin(None)
