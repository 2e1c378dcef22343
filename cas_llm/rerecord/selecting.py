"""Which recordings are meant: by key, test, model, age, text, or because a rule calls them stale.

Reads the catalogue of a store. Only what is in use is ever chosen; words add up, options narrow.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cas_llm.errors import CasLLMError, ConfigError
from cas_llm.session.catalogue import Catalogue, Entry, Naming
from cas_llm.session.scopes import SHARED

SELECTORS = "KEY, TEST, FILE or FOLDER, --model, --older-than, --stale, --text, --missed, --all"
_KEY = re.compile(r"[0-9a-f]{4,64}\Z")
_AGE = re.compile(r"(\d+(?:\.\d+)?)([hdwmy])\Z")
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 30.0, "y": 365.0}


@dataclass(frozen=True)
class Wanted:
    """What a person named; empty members do not narrow, and without any nothing is chosen.

    `stale` holds keys and digests, None where staleness was not asked about.
    """

    words: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    older_than: timedelta | None = None
    stale: frozenset[str] | None = None
    everything: bool = False

    def __bool__(self) -> bool:
        narrowed = self.older_than is not None or self.stale is not None
        return bool(self.words or self.models or self.texts or narrowed or self.everything)


@dataclass(frozen=True)
class Chosen:
    """A recording that is meant, and the places in use whose answer it is."""

    entry: Entry
    places: tuple[Naming, ...]


def age(text: str) -> timedelta:
    """The age that *text* says: ``36h``, ``90d``, ``12w``, ``6m`` or ``1y``.

    Raises:
        ConfigError: it says none.

    """
    found = _AGE.match(text.strip().lower())
    if found is None:
        raise ConfigError(f"{text!r} is no age; write 36h, 90d, 12w, 6m or 1y", source="rerecord")
    # Nothing is older than time itself is counted.
    return timedelta(days=min(float(found[1]) * _DAYS[found[2]], timedelta.max.days))


def chosen(held: Catalogue, wanted: Wanted, now: datetime) -> list[Chosen]:
    """The recordings that *wanted* means, with all that it says of each.

    Raises:
        ConfigError: nothing was named at all; lists what can be.
        CasLLMError: a word names nothing.

    """
    if not wanted:
        raise ConfigError(f"say what to record anew: {SELECTORS}", source="rerecord")
    found = []
    met: set[str] = set()
    for entry in held.entries:
        places = tuple(place for place in entry.namings if place.current)
        if wanted.words:
            places, words = _named(entry, places, wanted.words)
            met |= words
        if places and _fits(entry, wanted, now):
            found.append(Chosen(entry, places))
    if missing := [word for word in wanted.words if word not in met]:
        raise CasLLMError(
            f"nothing recorded and in use is called {missing[0]!r}: no key, test, file or folder; "
            "see what there is with: cas-llm ls"
        )
    return found


def of_last_takes(
    picked: Iterable[Chosen], held: Catalogue
) -> tuple[list[Chosen], list[tuple[Chosen, str]]]:
    """Of *picked* those that a scope's last take names, and the others with the reason.

    The tapes of an earlier text of a test are in use, as a branch may have that text; a run of the
    test would not ask for what they hold.
    """
    takes: dict[str, int] = {}
    for tape in held.tapes:
        takes[tape.scope] = max(tape.take, takes.get(tape.scope, 0))
    kept, left = [], []
    for one in picked:
        last = tuple(p for p in one.places if p.scope == SHARED or p.take == takes[p.scope])
        if last:
            kept.append(Chosen(one.entry, last))
        else:
            left.append((one, f"only an earlier text of {one.places[0].scope} asks for it"))
    return kept, left


def scopes_of(picked: Iterable[Chosen]) -> dict[str, list[Chosen]]:
    """The chosen recordings by the scopes they are in use in, in order of their names."""
    found: dict[str, list[Chosen]] = {}
    for one in picked:
        for scope in dict.fromkeys(place.scope for place in one.places):
            found.setdefault(scope, []).append(one)
    return dict(sorted(found.items(), key=lambda item: (item[0] == SHARED, item[0])))


def names(word: str, scope: str) -> bool:
    """Whether *word* is the test *scope*, its file, a folder above it, or the end of its id."""
    text = word.removeprefix("./").rstrip("/")
    bare = scope.partition("[")[0]
    ends = (f"::{one}".endswith(f"::{text}") for one in (scope, bare))
    if text in {".", scope, bare} or any(ends):
        return True
    return scope.startswith((f"{text}::", f"{text}[", f"{text}/"))


def _named(
    entry: Entry, places: tuple[Naming, ...], words: Collection[str]
) -> tuple[tuple[Naming, ...], set[str]]:
    """The places that some word names, and those words."""
    met: set[str] = set()
    kept: dict[Naming, None] = {}
    for word in words:
        is_key = bool(_KEY.match(word.lower())) and entry.key.startswith(word.lower())
        mine = [place for place in places if is_key or _is_of(word, place)]
        kept |= dict.fromkeys(mine)
        met |= {word} if mine else set()
    return tuple(kept), met


def _is_of(word: str, place: Naming) -> bool:
    return word == SHARED if place.scope == SHARED else names(word, place.scope)


def _fits(entry: Entry, wanted: Wanted, now: datetime) -> bool:
    return all(_refusals(entry, wanted, now))


def _refusals(entry: Entry, wanted: Wanted, now: datetime) -> Iterator[bool]:
    """For each option that was given, whether *entry* has it."""
    if wanted.models:
        yield any(_is_model(entry.model, model) for model in wanted.models)
    if wanted.older_than is not None:
        yield entry.when is not None and now - entry.when > wanted.older_than
    if wanted.stale is not None:
        yield not wanted.stale.isdisjoint((entry.key, entry.digest))
    lines = "\n".join((*entry.ask, *entry.answer)).casefold()
    yield all(text.casefold() in lines for text in wanted.texts)


def _is_model(model: str, named: str) -> bool:
    """Whether *model* is the one *named*, or a dated version of it."""
    return model == named or model.startswith((f"{named}-20", f"{named}@20"))
