"""From the start of a process to its first replayed answer, and the memory it took."""

from __future__ import annotations

import sys

from measuring import HERE, Command, Effort, Spread, Stores, present, timed
from outcomes import Outcome, ratios

_BASE = "import openai"
_OWN = "floor, own transport"
_NOTE = (
    "Whole processes: interpreter, imports, store, one call. Nothing that goes through the SDK can "
    "start sooner than `import openai`; the floors make its client and one call on constant bytes, "
    "and `floor, own transport` with the transport the SDK makes for itself, as cas-llm needs it. "
    "`cas-llm tapes` is a script whose answers lie on other people's tapes, found by the index; "
    "the first process builds it, and is not counted."
)


def cold(stores: Stores, effort: Effort) -> Outcome:
    """The start at a thousand and more recordings; peak memory beside the floor's."""
    outcome = Outcome()
    names = ("proto_cas", "cas-llm", "cas-llm tapes", "diskcache", "cassetter per test")
    here, outcome.skipped = present(names, effort)
    own = {"proto_cas", "cas-llm", "cas-llm tapes"}
    counts = sorted({effort.at_most(count) for count in (1000, 10_000, 100_000)})
    home = stores.scratch()
    commands = {
        _BASE: Command([sys.executable, "-c", "import openai; openai.OpenAI"], home),
        "floor": _first(stores, "floor", 1),
        _OWN: _first(stores, _OWN, 1),
    }
    for count in counts:
        for name in here:
            if name in own or count == counts[0]:
                commands[f"{name}, {count:,}"] = _first(stores, name, count)
    found = timed(commands, effort.starts)
    outcome.tables.append(ratios("Start to first hit", found, _BASE, note=_NOTE))
    for count in counts:
        for name in ("cas-llm", "cas-llm tapes"):
            ratio = found[f"{name}, {count:,}"].over(found[_BASE])
            outcome.held("9", ratio, f"{name}, {count:,}")
            own = found[f"{name}, {count:,}"].over(found[_OWN])
            outcome.held("9b", own, f"{name}, {count:,}")
    for name in ("cas-llm", "cas-llm tapes"):
        most = found[f"{name}, {counts[-1]:,}"]
        above = (most.peak_kib - found["floor"].peak_kib) / 1024
        outcome.held("10", Spread(above, above, above), f"{name}, {counts[-1]:,}")
    return outcome


def _first(stores: Stores, name: str, count: int) -> Command:
    root = stores.at(name, "chat", count)
    words = [sys.executable, str(HERE / "worker.py"), "first", name, str(root), "chat", str(count)]
    return Command(words, root)
