"""What it costs to record one answer more, when many are there; the upstream answers at once."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from measuring import Effort, Measured, Stores, Worker, interleaved, present
from outcomes import Outcome, ratios

_OWN = ("proto_cas", "cas-llm", "proto_cas durable", "cas-llm durable")
_PEERS = ("diskcache", "hishel", "LangChain SQLite", "vcrpy per test", "cassetter per test")
_NOTE = (
    "Each call is for an entry nobody has; a store grows by some hundreds while it is measured. "
    "`durable` syncs file and folder to the disk before the call returns; without it cas-llm syncs "
    "everything in one pass at the end, which is not in these figures. proto_cas writes one file, "
    "cas-llm three: key record, answer, entry."
)


def record(stores: Stores, effort: Effort) -> Outcome:
    """One recording more at 1 and at 10,000, synced later and at once, beside the peers."""
    outcome = Outcome()
    peers, outcome.skipped = present(_PEERS, effort)
    most = effort.at_most(10_000)
    wanted = [(name, count) for name in _OWN for count in (1, most)]
    wanted += [(name, most) for name in peers]
    found = _measured(stores, effort, [("floor", 1), *wanted])
    floor = found["floor, 1"]
    title = "Record one, by the number of recordings there are"
    outcome.tables.append(ratios(title, found, "floor, 1", note=_NOTE))
    many = f"{most:,}"
    outcome.held("11", found[f"cas-llm, {many}"].over(floor))
    outcome.held("12", found[f"cas-llm durable, {many}"].over(floor))
    outcome.held("13", found[f"cas-llm, {many}"].over(found["cas-llm, 1"]), "synced later")
    durable = found[f"cas-llm durable, {many}"].over(found["cas-llm durable, 1"])
    outcome.held("13", durable, "synced at once")
    return outcome


def cassette(stores: Stores, effort: Effort) -> Outcome:
    """The same into one cassette for all, which is written anew each time: some calls only."""
    outcome = Outcome()
    names, outcome.skipped = present(("cas-llm", "vcrpy", "cassetter"), effort)
    few = replace(effort, rounds=min(effort.rounds, 5), recordings=1)
    count = effort.at_most(1000)
    found = _measured(stores, few, [("floor", 1), *((name, count) for name in names)])
    title = f"Record one into one cassette of {count:,}"
    outcome.tables.append(ratios(title, found, "floor, 1"))
    return outcome


def _measured(stores: Stores, effort: Effort, wanted: list[tuple[str, int]]) -> dict[str, Measured]:
    with contextlib.ExitStack() as stack:
        workers = []
        for name, count in wanted:
            root = stores.copy(name, "chat", count)
            label = f"{name}, {count:,}"
            worker = Worker(name, root, "chat", count, "record", label=label)
            workers.append(stack.enter_context(worker))
        return interleaved(workers, "record", effort, exactly=effort.recordings)
