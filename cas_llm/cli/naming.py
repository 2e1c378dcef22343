"""What a person may call a recording: a prefix of its key or digest, a test id, a tape's file.

Reads names only; a word that fits nothing, or more than one thing, is one clear error.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cas_llm.errors import CasLLMError, StoreError
from cas_llm.store import Store, Tape, layout
from cas_llm.store.past.words import HEX, only

SHORTEST = 4
SHOWN = 12


@dataclass(frozen=True)
class Named:
    """What a word names: a request by its `key`, an answer by its `digest`, or `tapes`."""

    key: str = ""
    digest: str = ""
    tapes: tuple[Tape, ...] = ()


def find(store: Store, word: str) -> Named:
    """What *word* names in *store*; keys go before digests, and those before tests.

    Raises:
        CasLLMError: nothing, or several things; lists those it could be.

    """
    text = word.strip().lower()
    if HEX.match(text):
        keys = _stored(store, layout.REQUESTS, text)
        if keys:
            return Named(key=only(keys, word, "keys"))
        digests = _stored(store, layout.OBJECTS, text)
        if digests:
            return Named(digest=only(digests, word, "digests"))
    if word.endswith(".json") and Path(word).is_file():
        return Named(tapes=(_tape_at(store, Path(word).resolve()),))
    tapes = tapes_named(store, word)
    if tapes:
        return Named(tapes=tapes)
    raise _nothing(store, word)


def key(store: Store, word: str) -> str:
    """The key that *word* is a prefix of.

    Raises:
        CasLLMError: none or several; says so where *word* is an answer's digest or a test.
        StoreError: that answer cannot be read; names its file.

    """
    text = word.strip().lower()
    found = _stored(store, layout.REQUESTS, text) if HEX.match(text) else []
    if found:
        return only(found, word, "keys")
    digests = _stored(store, layout.OBJECTS, text) if HEX.match(text) else []
    if not digests:
        if tapes := tapes_named(store, word):
            raise CasLLMError(
                f"{tapes[0].scope} is a test; give the key of one of its requests: "
                f"cas-llm show {shlex.quote(tapes[0].scope)}"
            )
        raise _nothing(store, word)
    asked = store.load(only(digests, word, "digests")).key
    raise CasLLMError(f"{word!r} is an answer; give the key of its request: {short(asked)}")


def matching(keys: Iterable[str], word: str) -> str:
    """The one of *keys* that *word* is a prefix of.

    Raises:
        CasLLMError: none or several; lists those it could be.

    """
    text = word.strip().lower()
    _long_enough(text)
    found = sorted({key for key in keys if key.startswith(text)})
    if not found:
        raise CasLLMError(f"no key begins with {word!r} here; see them with: cas-llm pending")
    return only(found, word, "keys")


def tapes_named(store: Store, word: str) -> tuple[Tape, ...]:
    """The tapes of the one scope that *word* names: its id, ``use()`` name, or a part of it.

    Raises:
        CasLLMError: several scopes have *word* in their id; lists them.

    """
    for scope in (word, f"use::{word}"):
        own = store.manifest.tapes_of(scope)
        if own:
            return own
    found: dict[str, list[Tape]] = {}
    for path in store.manifest.tape_paths():
        try:
            tape = store.manifest.load_tape(path)
        except (StoreError, OSError):
            continue
        if word in tape.scope:
            found.setdefault(tape.scope, []).append(tape)
    if not found:
        return ()
    # A name that ends an id is meant before one that only lies within others.
    ends = [scope for scope in found if scope.endswith(f"::{word}")]
    scopes = ends if len(ends) == 1 else sorted(found)
    return tuple(found[only(scopes, word, "tests")])


def short(digest: str) -> str:
    """The prefix of a key or digest that is shown."""
    return digest[:SHOWN]


def _stored(store: Store, folder: str, prefix: str) -> list[str]:
    _long_enough(prefix)
    place = store.root / folder / prefix[:2]
    found = (f"{path.parent.name}{path.stem}" for path in place.glob(f"{prefix[2:]}*.json"))
    return sorted(digest for digest in found if len(digest) == 64)


def _long_enough(prefix: str) -> None:
    if len(prefix) < SHORTEST:
        raise CasLLMError(
            f"{prefix!r} is too short: give at least {SHORTEST} hex digits of a key; "
            "see keys with: cas-llm ls"
        )


def _tape_at(store: Store, path: Path) -> Tape:
    if not path.is_relative_to(store.root.resolve()):
        raise CasLLMError(f"{path} lies outside the store {store.root}; name its own with --store")
    return store.manifest.load_tape(path)


def _nothing(store: Store, word: str) -> CasLLMError:
    if not store.exists:
        return CasLLMError(f"no store at {store.root}; make one with: cas-llm init")
    return CasLLMError(
        f"nothing recorded is called {word!r} in {store.root}: no key, answer, test or tape; "
        "see what there is with: cas-llm ls"
    )
