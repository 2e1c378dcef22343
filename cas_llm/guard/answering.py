"""What makes an answer or a key record stale by itself: age, model, key rules, an edit unsaid.

Reads answers as JSON and nothing of their bodies.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cas_llm.guard.retired import RETIRED
from cas_llm.guard.stored import digest_of
from cas_llm.guard.takes import Stale
from cas_llm.store import layout
from cas_llm.store.answer import FORMAT, parse

SOON = timedelta(days=30)


@dataclass(frozen=True)
class Held:
    """What an answer says of itself: the file `name`, and the members rules go by."""

    name: str
    key: str
    run: str
    ordinal: int
    test: str
    recorded_at: str
    models: tuple[str, ...]
    edited: bool

    @property
    def identity(self) -> tuple[str, str, int, str, str]:
        """What is one answer's alone, and an edit that forgot its mark leaves as it was."""
        return self.run, self.key, self.ordinal, self.test, self.recorded_at


def held(name: str, data: bytes) -> Held | None:
    """The answer in *data*; None where it is none."""
    if not (name.startswith(f"{layout.OBJECTS}/") and name.endswith(".json")):
        return None
    try:
        document = parse(data)
        if document["format"] != FORMAT:
            return None
        provenance = document["provenance"]
        named = (provenance.get("model"), provenance.get("requested_model"))
        return Held(
            name,
            str(document["key"]),
            str(document["run"]),
            int(document["ordinal"]),
            str(document.get("test", "")),
            str(provenance.get("recorded_at", "")),
            tuple(dict.fromkeys(one for one in named if isinstance(one, str) and one)),
            "edited" in document.get("marks", ()),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True)
class Answering:
    """The rules on answers: `tests_of` a digest or key, `record_of` a key, the day, the settings.

    `max_age` is in days, None for any; `models` are dates that win over those of `retired`.
    """

    tests_of: Callable[[str], tuple[str, ...]]
    record_of: Callable[[str], Mapping[str, Any]]
    today: date
    max_age: float | None = None
    models: Mapping[str, date] = field(default_factory=dict)

    def aged(self, answers: Iterable[Held]) -> Iterator[Stale]:
        """Answers older than the oldest they may be."""
        for one in answers if self.max_age is not None else ():
            try:
                day = datetime.fromisoformat(one.recorded_at).astimezone(UTC).date()
            except ValueError:
                continue
            age = (self.today - day).days
            if age > (self.max_age or 0):
                what = f"was recorded {age} days ago, on {day}"
                why = f"[tool.cas-llm.stale] max_age = {self.max_age:g}"
                yield self._anew("aged", "CAS083", one.name, what, why)

    def retired(self, answers: Iterable[Held]) -> Iterator[Stale]:
        """Answers of models that are shut down, or will be within 30 days."""
        for one in answers:
            day = next(
                filter(None, (self._shut_down(one.key, model) for model in one.models)), None
            )
            if day is None or day - self.today > SOON:
                continue
            verb = "was" if day <= self.today else "is to be"
            what = f"its model {one.models[0]} {verb} shut down on {day}"
            why = "it cannot be recorded anew: choose the model that takes its place, in time"
            yield self._anew("retired", "CAS085", one.name, what, why)

    def unmarked(self, answers: Iterable[Held], others: Iterable[Held]) -> Iterator[Stale]:
        """Answers that are another one with other bytes, and do not say that they were edited."""
        known: dict[tuple[str, str, int, str, str], set[str]] = {}
        told = list(answers)
        for one in (*others, *told):
            # One that says that it was edited is no original of anything.
            if not one.edited:
                known.setdefault(one.identity, set()).add(one.name)
        for one in told:
            twins = sorted(known.get(one.identity, set()) - {one.name})
            if twins and not one.edited and one.recorded_at and one.run:
                what = f"is {digest_of(twins[0])[:12]} with other bytes, and not marked as edited"
                why = "whoever reads it takes it for what the model said"
                command = f"cas-llm edit {one.key[:12]}"
                tests = self.tests_of(digest_of(one.name))
                yield Stale("unmarked", "CAS086", one.name, what, why, command, tests)

    def old_keys(
        self, records: Iterable[tuple[str, Mapping[str, Any]]], current: str
    ) -> Iterator[Stale]:
        """Key records of rules before the *current* ones."""
        for name, record in records:
            said = record.get("k")
            if said != current:
                what = f"was written by the rules {said!r}, today's are {current!r}"
                why = "looking it up takes a second try, and a later version may not try"
                yield self._anew("old_key", "CAS084", name, what, why)

    def _shut_down(self, key: str, model: str) -> date | None:
        if model in self.models:
            return self.models[model]
        if not any(model in table for table in RETIRED.values()):
            return None
        # `openai`, but not `openai@azure`: who resells a model has dates of his own.
        return RETIRED.get(str(self.record_of(key).get("api", "")), {}).get(model)

    def _anew(self, rule: str, code: str, name: str, what: str, why: str) -> Stale:
        tests = self.tests_of(digest_of(name))
        words = " ".join(shlex.quote(test) for test in tests[:5] if "::" in test)
        command = f"pytest {words} --cas-llm=capture" if words else "pytest --cas-llm=capture"
        return Stale(rule, code, name, what, why, command, tests)
