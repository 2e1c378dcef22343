"""What one replayed call costs: by shape, sync and async, alone and many at once, as N grows.

Each file is read once before it counts, so that a disk's first touch is not taken for a design.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from measuring import Effort, Measured, Stores, Worker, interleaved, present
from outcomes import Outcome, ratios

_SDK = ("floor", "proto_cas", "cas-llm")
_PEERS = (
    "vcrpy per test",
    "cassetter per test",
    "hishel",
    "LangChain SQLite",
    "diskcache",
)
_CASSETTES = ("vcrpy", "cassetter")
_ABOVE = "`diskcache` and LangChain sit above the SDK: a hit of theirs is no HTTP response."


def hit(stores: Stores, effort: Effort) -> Outcome:
    """One chat completion of 2 KB at 1,000 recordings, with every peer."""
    names = (*_SDK, "cas-llm tapes", *_PEERS, *_CASSETTES)
    return _shape(stores, effort, names, "chat", 1000, "1", "Hit, 2 KB", _ABOVE)


def session(stores: Stores, effort: Effort) -> Outcome:
    """The look-up alone: the session below the SDK, beside the bare look-up of the yardstick."""
    outcome = Outcome()
    names = ("proto_cas bare", "cas-llm session", "cas-llm session, own tapes")
    count = effort.at_most(1000)
    found = _measured(stores, effort, [(name, name, count) for name in names], "chat")
    note = (
        "Below the SDK and the transport. `cas-llm session` redacts, derives the key, picks the "
        "recording, reads and checks the answer, counts and logs; `proto_cas bare` hashes a "
        "sorted dump, reads one file and checks its digest."
    )
    outcome.tables.append(
        ratios(f"Hit, session alone, {count:,} recordings", found, names[0], note=note)
    )
    outcome.count_misses(found)
    return outcome


def flat(stores: Stores, effort: Effort) -> Outcome:
    """The same hit at 1 and at many recordings."""
    outcome = Outcome()
    counts = sorted({effort.at_most(count) for count in (1, 100, 1000, 10_000, 100_000)})
    names, outcome.skipped = present(
        ("proto_cas", "cas-llm", "diskcache", "cassetter per test"), effort
    )
    wanted = [("floor", "floor", 1)]
    for name in names:
        most = counts[-1] if name in {"proto_cas", "cas-llm"} else 10_000
        wanted += [(f"{name}, {count:,}", name, count) for count in counts if count <= most]
    found = _measured(stores, effort, wanted, "chat")
    title = "Hit as the store grows"
    outcome.tables.append(ratios(title, found, "floor", note="The number is of recordings."))
    for label, name, count in wanted[1:]:
        ratio = found[label].over(found["floor"]).median
        outcome.growth.setdefault(name, {})[count] = ratio
    for count in counts[counts.index(effort.at_most(10_000)) :]:
        grown = found[f"cas-llm, {count:,}"].over(found["cas-llm, 1"])
        outcome.held("2", grown, "" if count == 10_000 else f"at {count:,}")
    outcome.count_misses(found)
    return outcome


def asynchronous(stores: Stores, effort: Effort) -> Outcome:
    """The hit from an event loop, one after another and fifty at once."""
    outcome = Outcome()
    names, outcome.skipped = present(
        (*_SDK, "vcrpy per test", "hishel", "LangChain SQLite"), effort
    )
    count = effort.at_most(1000)
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                Worker(name, stores.at(name, "chat", count), "chat", count, "serve-async")
            )
            for name in names
        ]
        alone = interleaved(workers, "hits", effort)
        together = interleaved(workers, "together", effort, least=50)
    outcome.tables += [
        ratios(f"Hit, async, {count:,} recordings", alone, "floor"),
        ratios(f"Hit, 50 at once, per call, {count:,} recordings", together, "floor"),
    ]
    outcome.held("3a", alone["cas-llm"].over(alone["floor"]))
    outcome.held("3b", together["cas-llm"].over(together["floor"]))
    outcome.count_misses(together)
    return outcome


def long(stores: Stores, effort: Effort) -> Outcome:
    """A chat completion of 50 KB."""
    names = (*_SDK, *_PEERS, *_CASSETTES)
    return _shape(stores, effort, names, "long", 100, "4", "Hit, 50 KB", _ABOVE)


def stream(stores: Stores, effort: Effort) -> Outcome:
    """A stream of 200 chunks, read to its end."""
    names = (*_SDK, "vcrpy per test", "cassetter per test")
    note = "The SDK spends most of it on its 200 chunk objects."
    title = "Hit, stream of 200 chunks"
    return _shape(stores, effort, names, "stream", 100, "5", title, note)


def vectors(stores: Stores, effort: Effort) -> Outcome:
    """A hundred embeddings, 825 KB, decoded by the SDK."""
    names = (*_SDK, "vcrpy per test", "hishel")
    title = "Hit, 825 KB of embeddings"
    return _shape(stores, effort, names, "vectors", 20, "6", title)


def _shape(  # noqa: PLR0917 - what tells one shape from another
    stores: Stores,
    effort: Effort,
    names: Sequence[str],
    kind: str,
    count: int,
    target: str,
    title: str,
    note: str = "",
) -> Outcome:
    outcome = Outcome()
    here, outcome.skipped = present(names, effort)
    count = effort.at_most(count)
    found = _measured(stores, effort, [(name, name, count) for name in here], kind)
    outcome.tables.append(ratios(f"{title}, {count:,} recordings", found, "floor", note=note))
    outcome.held(target, found["cas-llm"].over(found["floor"]))
    outcome.count_misses(found)
    return outcome


def _measured(
    stores: Stores, effort: Effort, wanted: Sequence[tuple[str, str, int]], kind: str
) -> dict[str, Measured]:
    """The hits of each (label, variant, recordings), in turn."""
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                Worker(name, stores.at(name, kind, count), kind, count, label=label)
            )
            for label, name, count in wanted
        ]
        return interleaved(workers, "hits", effort)
