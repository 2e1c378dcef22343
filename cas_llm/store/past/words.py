"""What a person's word means where a recording may be gone: a key that was, a test that was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from cas_llm.errors import CasLLMError
from cas_llm.store import layout
from cas_llm.store.past.entries import About, entries, is_tape, shared_at
from cas_llm.store.past.memory import Memory
from cas_llm.store.pruning.trees import Tree, on_disk

SHORTEST = 4
# So much of a key is as good as all of it.
_CERTAIN = 12
HEX = re.compile(r"[0-9a-f]{1,64}\Z")
_CANDIDATES = 8


def about(memory: Memory, word: str) -> About:
    """What *word* names in the store or in what is remembered of it: a key before a test.

    Raises:
        CasLLMError: it is too short, fits several, or fits nothing.

    """
    text = word.strip().lower()
    is_hex = HEX.match(text) is not None
    if is_hex and len(text) < SHORTEST:
        raise CasLLMError(
            f"{word!r} is too short: give at least {SHORTEST} hex digits of a key; "
            "see keys with: cas-llm ls"
        )
    if "::" in word and entries(on_disk(memory.root), About(scope=word)).tapes:
        return About(scope=word)
    for places in _nearest_first(memory, certain=is_hex and len(text) >= _CERTAIN):
        keys = sorted({key for tree in places for key in _keys(tree.names, text)}) if is_hex else []
        if keys:
            return About(key=only(keys, word, "keys"))
        scopes = _scopes(places, word)
        if scopes:
            return About(scope=only(scopes, word, "tests"))
    raise nothing(memory, word)


def nothing(memory: Memory, word: str) -> CasLLMError:
    """The error to raise where neither the store nor what is remembered has what *word* names."""
    what = f"nothing called {word!r}, no key and no test, is in {memory.root}"
    if memory.top is None:
        return CasLLMError(
            f"{what} or its trash, and it is in no git repository that could remember more; "
            "see what there is with: cas-llm ls"
        )
    if memory.is_shallow:
        return CasLLMError(
            f"{what} or in the history that was fetched, and this clone is shallow; "
            "fetch the rest with: git fetch --unshallow"
        )
    return CasLLMError(
        f"{what} or in the history of any branch that is here; fetch others' branches with: "
        "git fetch --all; see what there is with: cas-llm ls"
    )


def nameless(memory: Memory, key: str, why: str) -> CasLLMError:
    """The error to raise where a key is known, but nothing that could be served."""
    return CasLLMError(
        f"{key[:12]} is known in {memory.root}, but {why}, so there is no answer to it; record it: "
        "pytest --cas-llm=fallback; see all that is recorded with: cas-llm ls"
    )


def _nearest_first(memory: Memory, *, certain: bool) -> Iterator[list[Tree]]:
    """What is here or led here, then what any branch ever had: the second only if it must be.

    Where the word is *certain* to mean one key, what is here comes first.
    """
    disk = on_disk(memory.root)
    if certain:
        yield [disk]
    yield [disk, *memory.near(), memory.of(memory.deletions)]
    yield [memory.of(memory.changes)]


def _keys(names: Iterable[str], prefix: str) -> Iterator[str]:
    start = f"{layout.REQUESTS}/{prefix[:2]}/{prefix[2:]}"
    shared = f"{layout.SHARED}/{prefix[:2]}/{prefix[2:]}"
    for name in names:
        if name.startswith(start) and layout.is_blob(name):
            yield name.removeprefix(f"{layout.REQUESTS}/").replace("/", "").partition(".")[0]
        elif name.startswith(shared) and (entry := shared_at(name)):
            yield entry.key


def _scopes(places: Iterable[Tree], word: str) -> list[str]:
    """The scopes *word* may mean: of that id, else of an id that ends in it, else that has it."""
    places = list(places)
    for scope in (word, f"use::{word}"):
        if any(entries(tree, About(scope=scope)).tapes for tree in places):
            return [scope]
    found: set[str] = set()
    known: set[str] = set()
    for tree in places:
        fresh = {name for name in tree.names if is_tape(name)} - known
        known |= fresh
        tapes = entries(tree, About(), fresh).tapes.values()
        found.update(tape.scope for tape in tapes if word in tape.scope)
    ends = sorted(scope for scope in found if scope.endswith(f"::{word}"))
    return ends if len(ends) == 1 else sorted(found)


def only(found: Sequence[str], word: str, what: str) -> str:
    """The one of *found* that *word* stands for.

    Raises:
        CasLLMError: it fits several; names the first of them, and *what* they are.

    """
    if len(found) == 1:
        return found[0]
    listed = [one[:20] if HEX.match(one) else one for one in found[:_CANDIDATES]]
    more = f"\n  … {len(found) - _CANDIDATES} more" if len(found) > _CANDIDATES else ""
    raise CasLLMError(
        f"{word!r} fits {len(found)} {what}; give more of one:\n  " + "\n  ".join(listed) + more
    )
