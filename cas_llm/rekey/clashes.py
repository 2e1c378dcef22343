"""Recorded requests that become one: where that is harmless, and where it is a clash.

Once two requests have one key, the k-th ask of it in a scope gets the k-th answer on the scope's
tape, whichever of the two it was. That serves each ask its own answer only while they come in the
tape's order. So, of two requests of one scope:

- where both were answered with the same bytes, nothing can go wrong;
- where the later one quotes the earlier one's answer, or one that does, no run can turn them
  round;
- anything else is a clash: asked at once, or in another order, each would get the other's answer.
  So is what a function's live body asked, which has no place in the order.

One thing an order does not save: a key with several answers gives a repeated ask the next one,
where a request with a single answer was given that again. So requests that join are told.

Requests of two scopes don't clash, as each test has its own tape. Shared answers have no order at
all, so that two shared requests with different answers always clash. So do two tapes that one
scope uses side by side, if they then differ about an ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cas_llm.digest import digest_of
from cas_llm.errors import StoreError
from cas_llm.keys import Difference, compare, restore
from cas_llm.providers import provider_for
from cas_llm.rekey.requests import Call, Requests
from cas_llm.store import Store, Tape

_IDS = frozenset({"id", "call_id"})


@dataclass(frozen=True)
class Clash:
    """Two recorded requests, by their keys, that would have one `key` and different answers.

    `scope` is whose they are, empty for shared ones. `answers` are what they were answered with.
    `leads` says that the first one's answer would be served for both: no order tells them apart.
    """

    key: str
    first: str
    second: str
    scope: str
    differences: tuple[Difference, ...] = ()
    answers: tuple[str, str] = ("", "")
    leads: bool = False

    @property
    def keys(self) -> frozenset[str]:
        """The keys by which a person may mean it."""
        return frozenset({self.key, self.first, self.second})


class Clashes:
    """Finds clashes among the calls of *requests*, whose new keys are in *keys*."""

    def __init__(self, store: Store, requests: Requests, keys: Mapping[Call, str]) -> None:
        self._store = store
        self._requests = requests
        self._keys = keys
        self._answers: dict[str, tuple[int, str]] = {}

    def on_tape(self, tape: Tape) -> Iterator[Clash]:
        """Those of one tape: of many requests that become one, each with one before it."""
        told: set[frozenset[str]] = set()
        for one, other in self._unordered(tape):
            pair = frozenset((one[0], other[0]))
            if pair not in told:
                told.add(pair)
                yield self.between(one, other, tape.scope)

    def among_tapes(self, tapes: Sequence[Tape]) -> Iterator[Clash]:
        """Those of tapes, the best first, that one scope uses side by side for one text."""
        asks: dict[tuple[str, int], Call] = {}
        for tape in tapes:
            counts: dict[str, int] = {}
            for turn in tape.turns:
                call = turn.key, turn.digest
                key = self._keys[call]
                counts[key] = counts.get(key, 0) + 1
                other = asks.setdefault((key, counts[key]), call)
                if other[0] != call[0] and not self._alike(other, call):
                    yield self.between(other, call, tape.scope, leads=True)

    def of_shared(self, one: Sequence[Call], other: Sequence[Call]) -> Iterator[Clash]:
        """That of two shared sequences that would become one, if their answers differ."""
        if len(one) != len(other) or not all(map(self._alike, one, other)):
            yield self.between(one[0], other[0], "", leads=True)

    def between(self, one: Call, other: Call, scope: str, *, leads: bool = False) -> Clash:
        """The clash of two calls, with where their requests differ."""
        records = [self._requests.record(self._requests.fullest(call)[0]) for call in (one, other)]
        load = self._loader(*records)
        differences = compare(records[0], records[1], load)
        said = (
            " ".join(self._store.load(one[1]).answer),
            " ".join(self._store.load(other[1]).answer),
        )
        return Clash(self._keys[one], one[0], other[0], scope, differences, said, leads)

    def _unordered(self, tape: Tape) -> Iterator[tuple[Call, Call]]:
        """Calls of one tape that become one, each with the first it may change places with."""
        turns = [(turn.key, turn.digest) for turn in tape.turns]
        inner = [call for turn in tape.turns for call in turn.within]
        calls = [*turns, *inner]
        reach: Callable[[int], frozenset[int]] | None = None
        for group in self._merged(calls):
            for count, later in enumerate(group):
                for earlier in group[:count]:
                    one, other = calls[earlier], calls[later]
                    if one[0] == other[0] or self._alike(one, other):
                        continue
                    reach = reach or self._reach(turns)
                    # A function's body may make its calls at any time.
                    if later >= len(turns) or earlier not in reach(later):
                        yield one, other
                        break

    def _merged(self, calls: Sequence[Call]) -> Iterator[list[int]]:
        """The places of calls that get one key and had several."""
        groups: dict[str, list[int]] = {}
        for place, call in enumerate(calls):
            groups.setdefault(self._keys[call], []).append(place)
        for group in groups.values():
            if len({calls[place][0] for place in group}) > 1:
                yield group

    def _alike(self, one: Call, other: Call) -> bool:
        """Whether both were answered with the same bytes."""
        return self._answered(one[1]) == self._answered(other[1])

    def _answered(self, digest: str) -> tuple[int, str]:
        """The status and the digest of the bytes of an answer, read once."""
        if digest not in self._answers:
            response = self._store.load(digest).response
            self._answers[digest] = response.status, digest_of(response.body)
        return self._answers[digest]

    def _reach(self, turns: Sequence[Call]) -> Callable[[int], frozenset[int]]:
        """For each turn the earlier ones that it cannot be asked before."""
        bodies = [_strings(self._body(call)) for call in turns]
        marks = [self._marks(call) - said for call, said in zip(turns, bodies, strict=True)]
        found: list[frozenset[int]] = []
        for later, said in enumerate(bodies):
            quoted = [n for n in range(later) if marks[n] & said]
            found.append(frozenset(quoted).union(*(found[n] for n in quoted)))
        return found.__getitem__

    def _body(self, call: Call) -> Any:
        record = self._requests.record(self._requests.fullest(call)[0])
        return restore(record.get("body"), self._loader(record))

    def _loader(self, *records: Mapping[str, Any]) -> Callable[[str], bytes | None]:
        def load(digest: str) -> bytes | None:
            parts = (self._requests.part(record, digest) for record in records)
            return next((data for data in parts if data is not None), None)

        return load

    def _marks(self, call: Call) -> set[str]:
        """What a request that follows an answer has of it: what was said, and its ids."""
        record = self._requests.record(call[0])
        provider = provider_for(str(record["api"]).partition("@")[0])
        try:
            response = self._store.load(call[1]).response
        except StoreError:
            return set()
        message = provider.message(response.body, response.header("content-type"))
        return {provider.text(message), *_ids(message)} - {""}


def _strings(value: Any) -> set[str]:
    """Every text that stands in *value*, names left out."""
    found: set[str] = set()
    pending = [value]
    for item in pending:
        if isinstance(item, str):
            found.add(item)
        elif isinstance(item, dict):
            pending += item.values()
        elif isinstance(item, list):
            pending += item
    return found


def _ids(value: Any) -> set[str]:
    found: set[str] = set()
    pending = [value]
    for item in pending:
        if isinstance(item, dict):
            found |= {item[name] for name in _IDS & item.keys() if isinstance(item[name], str)}
            pending += item.values()
        elif isinstance(item, list):
            pending += item
    return found
