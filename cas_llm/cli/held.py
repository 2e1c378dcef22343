"""The answers that wait for their test, each with what it says, and the choice among them.

Part of the command line; reads only. What a run holds that still works is its own: it is about to
take the answer in, or to ask again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cas_llm.cli import naming
from cas_llm.errors import CasLLMError, ConfigError, StoreError
from cas_llm.store import Store
from cas_llm.store.pending import Waiting

if TYPE_CHECKING:
    from cas_llm.store import Answer


@dataclass(frozen=True)
class Item:
    """A pending answer with what it says; `problem` tells why it can't be read.

    `worker` is the process of the run that recorded it, as long as that works; else 0.
    """

    waiting: Waiting
    answer: Answer | None
    problem: str = ""
    worker: int = 0

    @property
    def cost(self) -> float | None:
        """What it cost, or None where that is unknown."""
        return self.answer.provenance.get("cost_usd") if self.answer else None


def items(store: Store) -> tuple[Item, ...]:
    """Every pending answer of *store*, the oldest run's first."""
    waits = store.pending.all()
    workers = {run: store.pending.worker(run) for run in {waiting.run for waiting in waits}}
    return tuple(_item(store, waiting, workers[waiting.run]) for waiting in waits)


def select(
    found: Iterable[Item], *, key: str = "", test: str = "", every: bool = False
) -> tuple[Item, ...]:
    """Those of *found* with this key, or of this test, or all.

    Raises:
        ConfigError: nothing was chosen, or in two ways.
        CasLLMError: nothing waits that fits.

    """
    found = tuple(found)
    if bool(key) + bool(test) + every != 1:
        raise ConfigError("say which: one of KEY, --test ID, --all", source="pending")
    if key:
        whole = naming.matching((item.waiting.key for item in found), key)
        return tuple(item for item in found if item.waiting.key == whole)
    chosen = tuple(item for item in found if every or _is_test(item.waiting.scope, test))
    if not chosen and test:
        raise CasLLMError(f"nothing waits for {test!r}; see what does with: cas-llm pending")
    return chosen


def free(chosen: Iterable[Item]) -> tuple[Item, ...]:
    """Those of the *chosen* whose run is over.

    Raises:
        CasLLMError: some were chosen, and there is none of them.

    """
    chosen = tuple(chosen)
    left = tuple(item for item in chosen if not item.worker)
    if chosen and not left:
        raise CasLLMError(
            f"the run that recorded what was chosen still works (process {chosen[0].worker}), and "
            "takes an answer in itself once its test passes; what waits when it has ended is "
            "listed by: cas-llm pending"
        )
    return left


def refuse_broken(chosen: Iterable[Item]) -> None:
    """Raise CasLLMError for the first of the *chosen* answers that can't be read."""
    for item in chosen:
        if item.answer is None:
            raise CasLLMError(
                f"the pending answer {naming.short(item.waiting.digest)} can't be read "
                f"({item.problem}); drop it with: "
                f"cas-llm pending drop {naming.short(item.waiting.key)}"
            )


def newest(chosen: Iterable[Item]) -> list[Item]:
    """Of each ask the newest run's answer, in the order they were recorded."""
    found: dict[tuple[str, str, int], Item] = {}
    for item in sorted(chosen, key=lambda item: (item.waiting.began, item.waiting.run)):
        waiting = item.waiting
        found[waiting.scope, waiting.key, waiting.ordinal] = item
    return sorted(found.values(), key=_recorded)


def _recorded(item: Item) -> tuple[float, str, int, str]:
    at = str(item.answer.provenance.get("recorded_at", "")) if item.answer else ""
    return item.waiting.began, at, item.waiting.ordinal, item.waiting.key


def _item(store: Store, waiting: Waiting, worker: int) -> Item:
    try:
        return Item(waiting, store.load(waiting.digest), worker=worker)
    except StoreError as error:
        return Item(waiting, None, str(error), worker)


def _is_test(scope: str, test: str) -> bool:
    return scope in {test, f"use::{test}"} or scope.startswith((f"{test}::", f"{test}["))
