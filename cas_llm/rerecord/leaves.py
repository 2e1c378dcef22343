"""Which recorded answers nothing quotes, so that another answer may take their place.

On a tape any later mention counts; elsewhere ids, long texts, and what stands there as said by the
model. In doubt an answer is quoted: its test is run instead, which is always right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cas_llm.errors import StoreError
from cas_llm.keys import load_record, parts_of, restore
from cas_llm.providers import provider_for
from cas_llm.providers.shapes import family_of_call
from cas_llm.rerecord.spoken import LONG, Spoken, holds, replies, server_side, spoken, texts
from cas_llm.session.catalogue import Catalogue, Entry
from cas_llm.session.scopes import SHARED
from cas_llm.store import Store
from cas_llm.store.pick import Shared
from cas_llm.store.retaking import calls_of, current_tapes

_WORD = 4
_WORDS = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Asked:
    """A recorded request as it can be read: record, body, all its text, where it is in use."""

    key: str
    record: Mapping[str, Any]
    body: Any
    text: str
    scopes: tuple[str, ...]

    @property
    def where(self) -> str:
        """A test that asks it, else the key."""
        named = [scope for scope in self.scopes if scope != SHARED]
        return named[0] if named else f"the shared request {self.key[:12]}"


class Leaves:
    """The requests of *store* that are in use, and what they quote; *held* is its catalogue."""

    def __init__(self, store: Store, held: Catalogue) -> None:
        self._store = store
        self._held = held
        in_use = current_tapes(held.tapes)
        self._tapes = [tape for tape in held.tapes if tape.digest in in_use]
        self._known: dict[str, Asked | None] = {}

    def asked(self, key: str) -> Asked | None:
        """The request *key*; None where it cannot be read."""
        if key not in self._known:
            self._known[key] = self._read(key)
        return self._known[key]

    def why_not(self, entry: Entry, scope: str = "") -> str:
        """Why the answer of *entry* cannot be asked for alone; empty for a leaf.

        Where several tapes quote it, that of *scope* is named.
        """
        asked = self.asked(entry.key)
        if asked is None:
            return "its request cannot be read; cas-llm verify --repair"
        if not _asks_a_model(asked):
            return f"{asked.record['method']} {asked.record['path']} asks no model"
        if name := server_side(asked.body, str(asked.record["path"])):
            return f"it names what only the provider's server knows: {name}"
        try:
            answer = self._store.load(entry.digest)
        except StoreError as error:
            return str(error)
        provider = provider_for(str(asked.record["api"]).partition("@")[0])
        response = answer.response
        message = provider.message(response.body, response.header("content-type"))
        said = spoken(provider, message, asked.text)
        where = (
            self._later_on_tape(entry, said, scope)
            or self._elsewhere(entry.key, said)
            or self._later_in_run(entry, asked, said)
        )
        return f"its answer is quoted in {where}" if where else ""

    def _later_on_tape(self, entry: Entry, said: Spoken, scope: str) -> str:
        for tape in sorted(self._tapes, key=lambda tape: tape.scope != scope):
            calls = calls_of(tape)
            if (entry.key, entry.digest) not in calls:
                continue
            after = calls[calls.index((entry.key, entry.digest)) + 1 :]
            for number, (key, _) in enumerate(after, len(calls) - len(after) + 1):
                later = self.asked(key)
                if later is None or (key != entry.key and _quotes(later, said)):
                    return f"turn {number} of {tape.scope}"
        return ""

    def _elsewhere(self, own: str, said: Spoken) -> str:
        short = {text for text in said.said if len(text) < LONG}
        found = {key for text in short for key in self._replies.get(text, ())}
        for text in said.long:
            with_word = self._all_words.get(_longest_word(text), ())
            found |= {key for key in with_word if holds(self._text(key), text)}
        others = sorted(found - {own})
        quoting = self.asked(others[0]) if others else None
        return quoting.where if quoting else ""

    def _later_in_run(self, entry: Entry, asked: Asked, said: Spoken) -> str:
        """A request of the same program that came after the answer, and first brings it up."""
        runs = {
            one.run for one in self._shared if (one.key, one.digest) == (entry.key, entry.digest)
        }
        short = [t for t in said.said if _WORD <= len(t) < LONG and not holds(asked.text, t)]
        for run in runs:
            for text in short:
                for when, key in self._words.get(run, {}).get(_longest_word(text), ()):
                    if holds(self._text(key), text):
                        if key != entry.key and when >= entry.recorded_at:
                            return f"the shared request {key[:12]}"
                        break  # it was there before anybody could quote it
        return ""

    @cached_property
    def _shared(self) -> list[Shared]:
        used = {
            (entry.key, entry.digest)
            for entry in self._held.entries
            if any(place.current and place.scope == SHARED for place in entry.namings)
        }
        return [one for one in self._held.shared if (one.key, one.digest) in used]

    @cached_property
    def _words(self) -> dict[str, dict[str, list[tuple[str, str]]]]:
        """For each run and word its shared requests that hold it, in the order of time."""
        when = {(entry.key, entry.digest): entry.recorded_at for entry in self._held.entries}
        found: dict[str, dict[str, list[tuple[str, str]]]] = {}
        for one in sorted(self._shared, key=lambda one: when.get((one.key, one.digest), "")):
            words = found.setdefault(one.run, {})
            for word in set(_words_of(self._text(one.key))):
                words.setdefault(word, []).append((when.get((one.key, one.digest), ""), one.key))
        return found

    @cached_property
    def _in_use(self) -> tuple[Asked, ...]:
        keys = {key for tape in self._tapes for key, _ in calls_of(tape)}
        keys |= {one.key for one in self._shared}
        return tuple(asked for key in sorted(keys) if (asked := self.asked(key)))

    @cached_property
    def _replies(self) -> dict[str, list[str]]:
        """What requests quote as the model's words, and which do."""
        found: dict[str, list[str]] = {}
        for asked in self._in_use:
            for text in set(replies(asked.body)):
                found.setdefault(text, []).append(asked.key)
        return found

    @cached_property
    def _all_words(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for asked in self._in_use:
            for word in set(_words_of(asked.text)):
                found.setdefault(word, []).append(asked.key)
        return found

    def _text(self, key: str) -> str:
        asked = self.asked(key)
        return asked.text if asked else ""

    @cached_property
    def _scopes(self) -> dict[str, dict[str, None]]:
        found: dict[str, dict[str, None]] = {}
        for tape in self._tapes:
            for key, _ in calls_of(tape):
                found.setdefault(key, {})[tape.scope] = None
        for one in self._shared:
            found.setdefault(one.key, {})[SHARED] = None
        return found

    def _read(self, key: str) -> Asked | None:
        objects = self._store.objects
        try:
            record = load_record(objects.get_request(key))
            types = parts_of(record)
            shown = record.get("body", record.get("form", record.get("multipart")))
            body = restore(shown, lambda digest: objects.get(digest, types[digest]))
        except (StoreError, ValueError, KeyError, TypeError):
            return None
        text = "\n".join([str(record["path"]), *texts(body), *texts(record.get("query"))])
        return Asked(key, record, body, text, tuple(self._scopes.get(key, ())))


def _asks_a_model(asked: Asked) -> bool:
    """Whether the request is answered by a model, and leaves nothing on a server."""
    path = str(asked.record["path"])
    if asked.record["method"] != "POST":
        return False
    if "body" in asked.record:
        return bool(family_of_call(path, asked.body))
    return "/audio/" in path or "/images/" in path


def _quotes(later: Asked, said: Spoken) -> bool:
    return any(holds(later.text, text) for text in said.all)


def _words_of(text: str) -> list[str]:
    return _WORDS.findall(text)


def _longest_word(text: str) -> str:
    return max(_words_of(text), key=len, default="")
