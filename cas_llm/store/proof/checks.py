"""What `verify` is given: how to understand what the store only keeps, and how much to look at.

Values and the types of functions; reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cas_llm.store.answer import Answer

Lines = tuple[str, ...]
LoadPart = Callable[[str, str], bytes]


@dataclass(frozen=True)
class Checks:
    """What the store asks others: each raises ValueError where the bytes cannot be understood.

    `parts_of` gives the digests and extensions that a key record needs; `key_of` its key, derived
    anew; `lines_of` what a reviewer should see of a key record and its answer; `secret_in` where
    a secret stands, or an empty text; `recorder` is what this version calls itself. `version`
    changes whenever another judgement may come out, so that none is taken from an earlier one;
    where it is empty nothing is noted.
    """

    parts_of: Callable[[bytes], Mapping[str, str]]
    key_of: Callable[[bytes], str]
    lines_of: Callable[[bytes, Answer, LoadPart], tuple[Lines, Lines]]
    secret_in: Callable[[bytes], str]
    recorder: str
    version: str = ""


@dataclass(frozen=True)
class Subset:
    """The part *number* of *of* equal parts of all files, told by their digests."""

    number: int = 1
    of: int = 1

    def holds(self, digest: str) -> bool:
        """Whether the file named *digest* is in this part."""
        return int(digest[:8], 16) % self.of == self.number - 1


@dataclass(frozen=True, slots=True)
class Task:
    """Files of one kind to look at together; `group` is the same for them each time."""

    kind: str
    group: str
    names: tuple[str, ...]
