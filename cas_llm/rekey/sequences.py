"""Shared answers under their new keys: whose sequence a key gets, and how its entries are named.

Pure but for the clashes it asks for. A moved sequence keeps its run and ordinals and gets a take
above what the key it had and the key it gets have had, so that `prune` and a later move know it
for the one that stands for both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cas_llm.rekey.clashes import Clash, Clashes
from cas_llm.rekey.requests import Call
from cas_llm.store import Shared, pick


@dataclass(frozen=True)
class _Sequence:
    """The shared answers that one key is served."""

    key: str
    take: int
    run: str
    digests: tuple[str, ...]

    @property
    def calls(self) -> list[Call]:
        return [(self.key, digest) for digest in self.digests]


class Sequences:
    """The new entries for those *used* of *every* shared entry, and what clashes among them."""

    def __init__(
        self,
        every: Iterable[Shared],
        used: Iterable[Shared],
        keys: Mapping[Call, str],
        clashes: Clashes,
        allow: Collection[str],
    ) -> None:
        self._takes: dict[str, int] = {}
        for entry in every:
            if entry.ordinal == 1:  # without its first answer a sequence is not whole
                self._takes[entry.key] = max(entry.take, self._takes.get(entry.key, -1))
        self._clashes = clashes
        self._allow = allow
        self.clashes: list[Clash] = []
        new: list[Shared] = []
        groups: dict[str, list[_Sequence]] = {}
        for sequence in _sequences(used):
            # One whose answers go to several keys stays, as one of them could not be moved.
            targets = {keys[call] for call in sequence.calls}
            target = targets.pop() if len(targets) == 1 else sequence.key
            groups.setdefault(target, []).append(sequence)
        for key in sorted(groups):
            new += self._entries(key, sorted(groups[key], key=lambda one: one.key))
        self.new = tuple(new)

    def _entries(self, key: str, group: list[_Sequence]) -> list[Shared]:
        """What *key* lacks of its *group*: the leading sequence first, under the highest take.

        The others come after it under lower ones, which tells a later move that they are settled.
        """
        chosen = next((one for one in group if one.key in self._allow), None)
        leads = chosen or next((one for one in group if one.key == key), group[0])
        others = [one for one in group if one is not leads]
        for one in others:
            self.clashes += self._clashes.of_shared(leads.calls, one.calls)
        if leads.key == key and not others:
            return []
        top = max([self._takes.get(key, -1), *(one.take for one in group)])
        made = []
        for number, one in enumerate([leads, *others]):
            entries = [
                Shared(key, top + len(group) - number, one.run, ordinal, digest)
                for ordinal, digest in enumerate(one.digests, 1)
            ]
            # The first answer last: without it a sequence is not used yet.
            made += [*entries[1:], *entries[:1]]
        return made


def _sequences(used: Iterable[Shared]) -> list[_Sequence]:
    """The sequences in use; what a killed move left of one that is whole elsewhere is none."""
    keys: dict[str, list[Shared]] = {}
    for entry in used:
        keys.setdefault(entry.key, []).append(entry)
    whole: list[_Sequence] = []
    broken: list[_Sequence] = []
    for key, entries in keys.items():
        run = pick.leading_run(entries)
        digests = {entry.ordinal: entry.digest for entry in reversed(run)}
        ordered = tuple(digests[ordinal] for ordinal in sorted(digests))
        sequence = _Sequence(key, run[0].take, run[0].run, ordered)
        (whole if 1 in digests else broken).append(sequence)
    held = {digest for sequence in whole for digest in sequence.digests}
    return [*whole, *(one for one in broken if not held.issuperset(one.digests))]
