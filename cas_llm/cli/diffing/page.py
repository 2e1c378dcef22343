"""A comparison as a page: what a reviewer reads first, and what is folded below it.

Part of the command line; prints nothing and knows no format. Every text in it is as it was
recorded: each format makes it safe in its own way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cas_llm.cli.diffing import brief
from cas_llm.cli.diffing.runs import Runs
from cas_llm.drift.changes import GONE, NEW, Change, Compared
from cas_llm.drift.classes import (
    CLASSES,
    ERROR,
    GRAVE,
    LONGER,
    REFUSAL,
    REWRITTEN,
    SAME,
    SCHEMA,
    SHORTER,
    TOOL_CALL,
    VALUE,
    WORDING,
)
from cas_llm.drift.wording import Row, parting, row
from cas_llm.keys import short
from cas_llm.keys.explain import ABSENT
from cas_llm.prices import money
from cas_llm.session.causes import plural

PENDING = "(pending)"
"""Stands for a revision where answers that wait are compared."""

_CAUSES = 3
_PLACES = 2
_FIRST = 8
_ROWS = 3
_CUT = 300
_MODELS = 3

_WORDS = {
    WORDING: "wording only",
    SHORTER: "shorter than half",
    LONGER: "longer than double",
    REWRITTEN: "rewritten",
}


@dataclass(frozen=True)
class Title:
    """What is compared: the `revision` as it was typed, and the commit it stands for."""

    revision: str
    commit: str = ""
    default_branch: str = ""

    def __str__(self) -> str:
        if self.revision == PENDING:
            return "answers that wait for their test"
        if not self.commit:
            return "against nothing: no commit yet"
        if self.revision == "HEAD":
            return f"not committed yet (against HEAD, {self.commit[:12]})"
        return f"against {self.revision} ({self.commit[:12]})"


@dataclass(frozen=True)
class Why:
    """What requests were changed: in how many tests, at which `path`, the sentences that differ."""

    heading: str
    path: str = ""
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class First:
    """One line of what to look at first."""

    name: str
    word: str
    told: str


@dataclass(frozen=True)
class Fold:
    """Changes of one class, under a word that says how many there are."""

    name: str
    title: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Page:
    """The page, from its top: `why`, `facts`, `first`, `folds`, `last`."""

    title: Title
    why: tuple[Why, ...] = ()
    facts: tuple[tuple[str, ...], ...] = ()
    first: tuple[First, ...] = ()
    folds: tuple[Fold, ...] = ()
    last: tuple[str, ...] = ()
    more: int = field(default=0)

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs, and nothing else is to be said."""
        return not (self.why or self.facts or self.first or self.folds or self.last)


def page(title: Title, found: Compared, runs: Runs | None = None) -> Page:
    """What *found* and what *runs* of the tests tell, in the order people need it."""
    grave = [change for change in found.changes if change.drift in GRAVE]
    facts = [_recorded(found, runs), *((line,) for line in (runs.lines if runs else ()))]
    facts += [(line,) for line in _answers(found)]
    return Page(
        title,
        why=tuple(_why(found)),
        facts=tuple(filter(None, facts)),
        first=tuple(
            First(change.name, said(change.drift), brief.told(change)) for change in grave[:_FIRST]
        ),
        folds=tuple(_folds(found)),
        last=tuple(_last(title, found)),
        more=max(0, len(grave) - _FIRST),
    )


def said(drift: str) -> str:
    """A class as people read it."""
    return drift.replace("-", " ")


def _why(found: Compared) -> Iterator[Why]:
    for cause in found.causes[:_CAUSES]:
        tests = plural(len(cause.scopes), "test")
        for number, one in enumerate(cause.differences[:_PLACES]):
            head = "and" if number else f"One request changed in {tests}:"
            yield Why(head, one.path, tuple(_parting(one.old, one.new)))
        if (more := len(cause.differences) - _PLACES) > 0:
            yield Why(f"and {plural(more, 'more place')}")
    if rest := found.causes[_CAUSES:]:
        tests = plural(len({scope for cause in rest for scope in cause.scopes}), "test")
        yield Why(f"and {plural(len(rest), 'other change')} of requests in {tests}")


def _parting(old: object, new: object) -> Iterator[Row]:
    if isinstance(old, str) and isinstance(new, str):
        before, after = parting(old, new)
    else:
        before, after = ("" if side is ABSENT else short(side, _CUT) for side in (old, new))
    for sign, text in (("-", before), ("+", after)):
        if text:
            yield row(sign, text if len(text) <= _CUT else f"{text[: _CUT - 1]}…")


def _recorded(found: Compared, runs: Runs | None) -> tuple[str, ...]:
    parts = []
    calls = [one for one in found.recorded if "edited" not in one.marks]
    if calls:
        parts.append(f"{plural(len(calls), 'call')} {'re-' * bool(found.changes)}recorded")
        parts += _models([one.model for one in calls])
        costs = [one.cost for one in calls if one.cost is not None]
        unknown = f", {len(calls) - len(costs)} unpriced" if len(calls) > len(costs) else ""
        parts += [f"spent {money(sum(costs))}{unknown}"] if costs else []
    if edited := len(found.recorded) - len(calls):
        parts.append(f"{plural(edited, 'answer')} edited by hand")
    return (*parts, *(runs.told if runs else ()))


def _models(names: Sequence[str]) -> list[str]:
    known = sorted({name for name in names if name})
    more = [f"and {plural(len(known) - _MODELS, 'more model')}"] if len(known) > _MODELS else []
    return [*known[:_MODELS], *more]


def _answers(found: Compared) -> Iterator[str]:
    counts = dict(found.counts)
    if found.changes:
        told = [_counted(counts[name], name) for name in _WORDS if name in counts]
        graver = [name for name in CLASSES if name not in {*_WORDS, SAME}]
        shown = [name for name in graver if name in counts or name in {REFUSAL, SCHEMA}]
        told += [_counted(counts.get(name, 0), name) for name in shown]
        told += [_counted(counts[name], name) for name in (SAME, NEW, GONE) if name in counts]
        yield f"Answers: {', '.join(told)}"
    unread = sum(not c.kinds for c in found.answers if c.old[1] and c.new[1])
    if unread:
        yield f"{plural(unread, 'answer')} cannot be read: cas-llm verify --repair"


def _counted(count: int, name: str) -> str:
    if name == REFUSAL:
        return plural(count, "refusal")
    word = _WORDS.get(name, "tool call changed" if name == TOOL_CALL else said(name))
    return f"{count:,} {word}"


def _folds(found: Compared) -> Iterator[Fold]:
    groups: dict[str, list[Change]] = {}
    for change in found.changes:
        groups.setdefault(change.drift, []).append(change)
    for name in (*CLASSES, NEW, GONE):
        if name in groups:
            shown = len({(c.old[1], c.new[1]) for c in groups[name]})
            yield Fold(name, _titled(shown, name), tuple(groups[name]))
    for word, tests in (("new", found.added), ("gone", found.removed)):
        if tests:
            changes = tuple(change for some in tests.values() for change in some)
            yield Fold(word, f"{plural(len(tests), f'{word} test')}", changes)


def _titled(count: int, name: str) -> str:
    noun = name in {ERROR, TOOL_CALL, REFUSAL, VALUE}
    return plural(count, said(name)) if noun else f"{count:,} {said(name)}"


def _last(title: Title, found: Compared) -> Iterator[str]:
    for scope, tied in found.ties.items():
        yield (
            f"{plural(len(tied), 'tape')} of one take: {scope}: the one served is chosen by its "
            "digest alone; settle it: cas-llm review"
        )
    if found.moved:
        has = "has another key" if found.moved == 1 else "have other keys"
        yield f"{plural(found.moved, 'recording')} {has}, with the answers as they were"
    if found.superseded:
        on = f" on {title.default_branch}" if title.default_branch else ""
        verb = "goes" if found.superseded == 1 else "go"
        count = plural(found.superseded, "superseded recording")
        yield f"{count} {verb} with the next `cas-llm prune`{on}"
    if found.damaged:
        count = plural(len(found.damaged), "tape")
        yield f"{count} not compared, as it cannot be read: cas-llm verify --repair"
