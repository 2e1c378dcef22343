"""What one-call completions cost, added up."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from cas_llm import prices
from cas_llm.providers import Usage, provider_for


@dataclass(frozen=True)
class Used:
    """The tokens of one completion: the `model` that answered, whether it was a `hit`.

    `price` is what the call costs live, None where that is unknown.
    """

    model: str
    hit: bool
    price: float | None
    input: int = 0
    output: int = 0
    cached_input: int = 0
    reasoning: int = 0

    @property
    def cost(self) -> float | None:
        """What was spent now, in US dollars: nothing on a hit, None where it is unknown."""
        return 0.0 if self.hit else self.price

    def __str__(self) -> str:
        tokens = f"{self.input} + {self.output} tokens"
        price = prices.money(self.price)
        money = f"replayed, {price} saved" if self.hit else price
        return f"{self.model}: {money} ({tokens})"


class Adds(Protocol):
    """A tracker: told of each completion's cost and what it used."""

    def add(self, cost: float | None, usage: Used, /) -> Any:
        """Take in what was spent, in US dollars; *cost* is None where it is unknown."""


def used(message: Mapping[str, Any], api: str, model: str, *, hit: bool) -> Used:
    """What the answer *message* used; never raises, an unknown price is None."""
    provider = provider_for("openai")
    found = provider.usage(message) or Usage()
    resolved = provider.resolved_model(message) or model
    known = message.get("usage") is not None
    return Used(
        model=resolved,
        hit=hit,
        price=prices.price(api, resolved, found) if known else None,
        input=found.input,
        output=found.output,
        cached_input=found.cached_input,
        reasoning=found.reasoning,
    )


@dataclass(frozen=True)
class Costs:
    """Money of some calls, in US dollars; `unknown` live calls have no known price."""

    calls: int = 0
    spent: float = 0.0
    saved: float = 0.0
    unknown: int = 0

    def plus(self, cost: float | None, usage: Used) -> Costs:
        """These costs with one call more."""
        return replace(
            self,
            calls=self.calls + 1,
            spent=self.spent + (cost or 0.0),
            saved=self.saved + ((usage.price or 0.0) if usage.hit else 0.0),
            unknown=self.unknown + (cost is None),
        )


class CostTracker:
    """Adds up what completions cost and what replays saved; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begin anew at nothing."""
        with self._lock:
            self.total = Costs()
            self.by_model: dict[str, Costs] = {}

    def add(self, cost: float | None, usage: Used) -> None:
        """Count one completion in."""
        with self._lock:
            self.total = self.total.plus(cost, usage)
            before = self.by_model.get(usage.model, Costs())
            self.by_model[usage.model] = before.plus(cost, usage)

    @property
    def spent(self) -> float:
        """US dollars spent, as far as prices are known."""
        return self.total.spent

    @property
    def saved(self) -> float:
        """US dollars that hits spared."""
        return self.total.saved

    @property
    def unknown(self) -> int:
        """Live calls whose price is not known."""
        return self.total.unknown

    def __str__(self) -> str:
        spent = prices.money(self.spent)
        more = f" and {self.unknown} of unknown price" if self.unknown else ""
        return f"{self.total.calls} calls: {spent} spent{more}, {prices.money(self.saved)} saved"
